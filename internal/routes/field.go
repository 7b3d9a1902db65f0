package routes

import (
	"net/http"
	"slices"
	"strings"
)

// originals are the header fields from which some servers take the path of a request.
var originals = [...]string{"X-Original-Url", "X-Rewrite-Url"}

// dashed returns r, or a copy of r whose header fields have dashes for underscores, if a field that
// can matter has an underscore. What runs behind CGI, FastCGI, WSGI or Rack cannot tell both apart:
// there X_HTTP_Method_Override is X-HTTP-Method-Override, too. It reports whether a field can name
// another path, method or host. Most requests have none, and then nothing looks for each of them.
func dashed(r *http.Request) (_ *http.Request, named bool) {
	for name := range r.Header {
		switch {
		case name == "Forwarded":
			named = true
		case name == "" || name[0]|0x20 != 'x': // the names of all others begin with an x
		case strings.IndexByte(name, '_') >= 0:
			return withDashes(r), true
		default:
			named = named || names(name)
		}
	}
	return r, named
}

func names(field string) bool {
	return slices.Contains(originals[:], field) || slices.Contains(overrides[:], field) ||
		slices.Contains(forwardedHosts[:], field)
}

func withDashes(r *http.Request) *http.Request {
	c := *r
	c.Header = make(http.Header, len(r.Header))
	for name, lines := range r.Header {
		name = http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-"))
		c.Header[name] = append(c.Header[name], lines...)
	}
	return &c
}
