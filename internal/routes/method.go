package routes

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// overrides are the header fields from which frameworks take the method of a request.
var overrides = [...]string{"X-Http-Method-Override", "X-Method-Override", "X-Http-Method"}

// Allows reports whether methods has the method of r, in any of its readings. GET stands for HEAD.
func Allows(methods []string, r *http.Request) bool {
	if hasMethod(methods, r.Method) {
		return true
	}
	r, named := dashed(r)
	return hasOtherMethod(r, named) &&
		slices.ContainsFunc(methodsOf(r), func(m string) bool { return hasMethod(methods, m) })
}

func hasMethod(methods []string, method string) bool {
	return slices.Contains(methods, method) ||
		method == http.MethodHead && slices.Contains(methods, http.MethodGet)
}

// hasOtherMethod reports whether the method of r can be read as another one.
func hasOtherMethod(r *http.Request, named bool) bool {
	for i := range len(r.Method) {
		if c := r.Method[i]; c >= 'a' && c <= 'z' {
			return true
		}
	}
	for i := 0; named && i < len(overrides); i++ {
		if r.Header[overrides[i]] != nil {
			return true
		}
	}
	return overridden(r.URL.RawQuery) != nil
}

// methodsOf returns the methods that r can be read to have, its own one first. It reads no body, so
// it does not see a field of a form.
func methodsOf(r *http.Request) []string {
	methods := addNew([]string{r.Method}, strings.ToUpper(r.Method))
	for _, name := range overrides {
		for _, line := range r.Header[name] {
			first, _, _ := strings.Cut(line, ",") // of a list, servers take the first
			methods = addMethod(methods, first)
		}
	}
	for _, value := range overridden(r.URL.RawQuery) {
		methods = addMethod(methods, value)
	}
	return methods
}

// maxMethods bounds the methods that are read of one request. A client may send any number.
const maxMethods = 16

func addMethod(methods []string, value string) []string {
	value = strings.ToUpper(strings.Trim(value, " \t"))
	if len(methods) > maxMethods || len(value) > 64 || !IsToken(value) {
		return methods
	}
	return addNew(methods, value)
}

// overridden returns the values of _method in a query. Some servers split it at semicolons too.
func overridden(query string) (values []string) {
	for query != "" {
		pair := query
		if i := strings.IndexAny(query, "&;"); i >= 0 {
			pair, query = query[:i], query[i+1:]
		} else {
			query = ""
		}
		name, value, _ := strings.Cut(pair, "=")
		if name != "_method" && !meansMethod(name) {
			continue
		}
		if plain, err := url.QueryUnescape(value); err == nil {
			values = append(values, plain)
		}
	}
	return values
}

// meansMethod reports whether a name in a query is _method once it is decoded, as PHP does it too:
// without leading spaces and text from a NUL on, and with an underscore for a dot.
func meansMethod(name string) bool {
	name, _, _ = strings.Cut(name, "%00")
	for before := ""; name != before; {
		before, name = name, strings.TrimPrefix(strings.TrimLeft(name, "+"), "%20")
	}
	if len(name) > 3*len("_method") {
		return false
	}
	if strings.IndexByte(name, '%') >= 0 {
		plain, err := url.QueryUnescape(name)
		if err != nil {
			return false
		}
		name = plain
	}
	return name == "_method" || name == ".method"
}

// CheckMethod reports that no request has the given method, if that is so.
func CheckMethod(method string) error {
	switch {
	case !IsToken(method):
		return fmt.Errorf("%.80q: want a method such as POST", method)
	case insteadOf(method) != "":
		return fmt.Errorf("%q matches no request: want %s", method, insteadOf(method))
	}
	return nil
}

// insteadOf returns what to want instead of a method that no request has, or "": every method and
// several methods as other routers write them, and a common method in another case, which counts in
// HTTP.
func insteadOf(method string) string {
	switch upper := strings.ToUpper(method); upper {
	case "*", "ANY", "ALL":
		return "no method, for all of them"
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE":
		if method != upper {
			return upper
		}
	}
	if strings.Contains(method, "|") {
		return "each method by itself"
	}
	return ""
}
