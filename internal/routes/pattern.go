package routes

import (
	"errors"
	"fmt"
	"strings"
)

// A pattern is the parts of a ServeMux pattern.
type pattern struct{ method, host, path string }

func (p pattern) String() string {
	if p.method != "" {
		return p.method + " " + p.host + p.path
	}
	return p.host + p.path
}

// parsePattern splits text. It finds mistakes that a ServeMux does not find.
func parsePattern(text string) (p pattern, err error) {
	rest := text
	if i := strings.IndexAny(text, " \t"); i >= 0 {
		p.method, rest = text[:i], text[i+1:]
		if wrongCase(p.method) {
			return p, fmt.Errorf("method %q matches no request: want %s", p.method, strings.ToUpper(p.method))
		}
		if p.method == anyMethod {
			return p, fmt.Errorf("method %q matches no request: want no method, for all of them", p.method)
		}
		if rest != strings.Trim(rest, " \t") {
			return p, fmt.Errorf("%q: want one space between the method and the path", text)
		}
	}
	slash := strings.IndexByte(rest, '/')
	if slash < 0 {
		return pattern{path: text}, errors.New("a pattern without a path: want for example \"POST /login\"")
	}
	p.host, p.path = rest[:slash], rest[slash:]
	if p.host != "" && !strings.ContainsRune(p.host, '{') {
		host, sure := canonicalHost(p.host)
		if !sure || hasPort(p.host) {
			return p, fmt.Errorf("host %q matches no request: want a name without a port, "+
				"and the xn-- form of a name that is not ASCII", p.host)
		}
		p.host = host
	}
	return p, checkPath(p.path)
}

// checkPath finds wildcards of other routers, and queries. In a pattern of a ServeMux they match
// only themselves, so a rule there would limit nothing.
func checkPath(path string) error {
	if strings.ContainsRune(path, '?') {
		return fmt.Errorf("path %.80q: a pattern matches no query: want the path alone", path)
	}
	for segment := range strings.SplitSeq(path, "/") {
		switch {
		case len(segment) > 1 && segment[0] == ':':
			return fmt.Errorf("%.80q matches only itself: want {%.80s}", segment, segment[1:])
		case strings.HasPrefix(segment, "*"):
			return fmt.Errorf("%.80q matches only itself: want {name}, or {name...} for all that follows",
				segment)
		case strings.HasPrefix(segment, "<") && strings.HasSuffix(segment, ">"):
			return fmt.Errorf("%.80q matches only itself: want {name}", segment)
		}
	}
	return nil
}

// fold returns p with a path in lower case, and whether that changes it. Names of wildcards become
// numbers, because patterns with other names may match the same paths.
func (p pattern) fold() (text string, changed bool) {
	segments := strings.Split(p.path, "/")
	for i, s := range segments {
		switch {
		case s == "{$}":
		case strings.HasPrefix(s, "{") && strings.HasSuffix(s, "...}"):
			segments[i] = fmt.Sprintf("{w%d...}", i)
		case strings.HasPrefix(s, "{"):
			segments[i] = fmt.Sprintf("{w%d}", i)
		default:
			segments[i] = foldCase(s)
			changed = changed || segments[i] != s
		}
	}
	p.path = strings.Join(segments, "/")
	return p.String(), changed
}
