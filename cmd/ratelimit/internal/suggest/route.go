package suggest

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/accesslog"
)

// methods are the methods that have routes. HEAD counts as GET, as in the patterns of ServeMux.
var methods = []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// A policy file has patterns of at most 256 bytes.
const (
	maxSegments = 8
	maxPattern  = 200
)

// Collapse returns a pattern of net/http's ServeMux for the request of e, with wildcards for the
// segments of the path that look like ids. It returns "" if the request has no such pattern.
func Collapse(e *accesslog.Entry) string {
	method := e.Method
	if method == "HEAD" {
		method = "GET"
	}
	path := e.URL.EscapedPath()
	if !slices.Contains(methods, method) || !strings.HasPrefix(path, "/") {
		return ""
	}
	var b strings.Builder
	b.WriteString(method)
	b.WriteByte(' ')
	segments, ids := strings.Split(path[1:], "/"), 0
	for n, segment := range segments {
		switch {
		case segment == "." || segment == ".." || segment == "" && n < len(segments)-1:
			return "" // ServeMux redirects it
		case segment == "":
			b.WriteString("/{$}")
		case n == maxSegments, b.Len()+len(segment) > maxPattern:
			b.WriteString("/{rest...}")
			return b.String()
		case isID(segment):
			ids++
			b.WriteString("/{id")
			if ids > 1 {
				b.WriteString(strconv.Itoa(ids))
			}
			b.WriteByte('}')
		default:
			b.WriteByte('/')
			b.WriteString(segment)
		}
	}
	return b.String()
}

// isID reports whether a segment looks like an id: a number, a hash, a UUID, or text that is no
// plain word.
func isID(s string) bool {
	if len(s) > 32 {
		return true
	}
	digits, hex := 0, true
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c >= 'a' && c <= 'f', c >= 'A' && c <= 'F', c == '-':
		case c >= 'g' && c <= 'z', c >= 'G' && c <= 'Z', c == '.', c == '_', c == '~':
			hex = false
		default:
			return true
		}
	}
	return digits == len(s) || digits > 0 && hex && len(s) >= 8 || digits >= 5
}

// ByPatterns returns a function that finds the pattern of a request among the given patterns. Each
// must be a valid pattern of ServeMux, and none may conflict with another.
func ByPatterns(patterns []string) func(*accesslog.Entry) string {
	mux := newMux(patterns)
	return func(e *accesslog.Entry) string { return mux.find(e) }
}

// mux finds the pattern of a request.
type mux struct{ *http.ServeMux }

func newMux(patterns []string) mux {
	m := mux{http.NewServeMux()}
	for _, p := range patterns {
		m.add(p)
	}
	return m
}

// add adds a pattern. It returns false if the pattern conflicts with another one.
func (m mux) add(pattern string) (ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	m.HandleFunc(pattern, func(http.ResponseWriter, *http.Request) {})
	return true
}

func (m mux) find(e *accesslog.Entry) string {
	_, pattern := m.Handler(&http.Request{Method: e.Method, URL: e.URL, Host: e.Host})
	return pattern
}
