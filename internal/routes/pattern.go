package routes

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
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
		if want := insteadOf(p.method); want != "" {
			return p, fmt.Errorf("method %q matches no request: want %s", p.method, want)
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
	if p.method != http.MethodConnect && p.path != cleaned(p.path) {
		return p, fmt.Errorf("path %.80q matches no request: want %.80q", p.path, cleaned(p.path))
	}
	return p, checkPath(p.path)
}

// cleaned returns a path as a ServeMux matches it.
func cleaned(p string) string {
	clean := path.Clean(p)
	if clean != "/" && strings.HasSuffix(p, "/") {
		clean += "/"
	}
	return clean
}

// checkPath finds wildcards and expressions of other routers, queries and fragments. In a pattern
// of a ServeMux they match only themselves, so a rule there would limit nothing.
func checkPath(path string) error {
	if i := strings.IndexAny(path, "?#"); i >= 0 {
		part := map[byte]string{'?': "query", '#': "fragment"}[path[i]]
		return fmt.Errorf("path %.80q: a pattern matches no %s: want the path alone", path, part)
	}
	for segment := range strings.SplitSeq(path, "/") {
		if want := insteadOfSegment(segment); want != "" {
			return fmt.Errorf("%.80q matches only itself: want %.80s", segment, want)
		}
	}
	return nil
}

// insteadOfSegment returns what to want instead of a segment that matches only itself although it
// is meant to match others. It returns "" for any other segment.
func insteadOfSegment(segment string) string {
	const rest = "{name...} for all that follows"
	_, err := url.PathUnescape(segment)
	switch {
	case isWildcard(segment):
		return "" // a ServeMux finds what is wrong
	case len(segment) > 1 && segment[0] == ':':
		return "{" + segment[1:] + "}"
	case strings.HasPrefix(segment, "*"):
		return "{name}, or " + rest
	case strings.HasPrefix(segment, "<") && strings.HasSuffix(segment, ">"):
		return "{name}"
	case strings.HasSuffix(segment, "..."):
		return rest
	case strings.ContainsAny(segment, "*[]^|\\<>"),
		strings.HasSuffix(segment, "$"), strings.HasSuffix(segment, ".+"):
		return "a whole segment such as {name}, or " + rest
	case err != nil:
		return "a whole segment such as {name}, or %25 for a percent sign"
	}
	return ""
}

// CheckExempt reports that a pattern exempts every path from so many rules, if that is so.
func CheckExempt(pattern string, rules int) error {
	p, err := parsePattern(pattern)
	if err != nil || p.host != "" || rules == 0 { // [Table.Add] returns the mistake
		return nil
	}
	only := pattern[:len(pattern)-len(p.path)] + "/{$}"
	if p.path == "/" || strings.LastIndexByte(p.path, '/') == 0 && strings.HasSuffix(p.path, "...}") {
		return fmt.Errorf("%.80q exempts every path: want %.80q for the path / alone", pattern, only)
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
