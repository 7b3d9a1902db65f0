// Package routes finds what belongs to the http.ServeMux pattern that a request matches.
package routes

import (
	"fmt"
	"net/http"
	"strings"
)

// A Table finds values by [http.ServeMux] patterns. Once it is filled, it is safe for concurrent
// use. The zero Table is empty.
type Table[T any] struct {
	mux    *http.ServeMux
	values map[string]T
}

// matched is the handler of every pattern. If a ServeMux finds another handler, the request does
// not match exactly: its path is not clean, or lacks a slash at its end.
type matched struct{}

func (matched) ServeHTTP(http.ResponseWriter, *http.Request) {}

// Add makes v the value of the requests that match pattern. The error says what is wrong with the
// pattern, or with which earlier pattern it conflicts.
func (t *Table[T]) Add(pattern string, v T) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s", withoutPlaces(fmt.Sprint(p)))
		}
	}()
	if t.mux == nil {
		t.mux, t.values = http.NewServeMux(), map[string]T{}
	}
	t.mux.Handle(pattern, matched{})
	t.values[pattern] = v
	if method := pattern[:max(strings.IndexAny(pattern, " \t"), 0)]; wrongCase(method) {
		return fmt.Errorf("method %q matches no request: want %s", method, strings.ToUpper(method))
	}
	return nil
}

// Find returns the value of the most specific pattern that r matches. It also matches a request
// that a ServeMux would redirect to a clean path. Then exact is false, because another router may
// not redirect it.
func (t *Table[T]) Find(r *http.Request) (v T, exact, found bool) {
	if t.mux == nil {
		return v, false, false
	}
	h, pattern := t.mux.Handler(r)
	v, found = t.values[pattern]
	_, exact = h.(matched)
	return v, exact, found
}

// withoutPlaces returns what http.ServeMux says of a pattern, without the lines of this package.
func withoutPlaces(text string) string {
	for {
		before, place, found := strings.Cut(text, " (registered at ")
		_, after, closed := strings.Cut(place, ")")
		if !found || !closed {
			return text
		}
		text = before + after
	}
}

// CheckMethod reports that no request has the given method, if that is so.
func CheckMethod(method string) error {
	switch {
	case !IsToken(method):
		return fmt.Errorf("%q: want a method such as POST", method)
	case wrongCase(method):
		return fmt.Errorf("%q matches no request: want %s", method, strings.ToUpper(method))
	}
	return nil
}

// wrongCase reports whether method is a common method except for its case, which counts in HTTP.
func wrongCase(method string) bool {
	switch upper := strings.ToUpper(method); upper {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE":
		return method != upper
	}
	return false
}

// IsToken reports whether s is a token of RFC 9110, section 5.6.2, as methods and the names of
// header fields and cookies are.
func IsToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}
