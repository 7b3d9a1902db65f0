package routes

import (
	"net/http"
	"slices"
	"strings"
)

// originals are the header fields from which some servers take the path of a request.
var originals = [...]string{"X-Original-Url", "X-Rewrite-Url"}

// mounts are the header fields from which some servers take the beginning of a path, and look up
// the rest. Python's gunicorn reads SCRIPT_NAME as a client sends it.
var mounts = [...]string{"Script_name", "Script-Name", "X-Script-Name"}

// dashed returns r, or a copy of r whose header fields have dashes for underscores, if a field that
// can matter has an underscore. What runs behind CGI, FastCGI, WSGI or Rack cannot tell both apart:
// there X_HTTP_Method_Override is X-HTTP-Method-Override, too. It reports whether a field can name
// another path, method or host. Most requests have none, and then nothing looks for each of them.
func dashed(r *http.Request) (_ *http.Request, named bool) {
	for name := range r.Header {
		switch {
		case name == "Forwarded" || name == mounts[0]:
			named = true
		case name == "" || name[0]|0x20 != 'x': // the names of the others begin with an x
		case strings.IndexByte(name, '_') >= 0:
			return withDashes(r), true
		default:
			named = named || names(name)
		}
	}
	return r, named
}

func names(field string) bool {
	return slices.Contains(originals[:], field) || slices.Contains(mounts[:], field) ||
		slices.Contains(overrides[:], field) || slices.Contains(forwardedHosts[:], field)
}

// hasOtherPath reports whether a field of r names another path, or a part of one.
func hasOtherPath(r *http.Request) bool {
	has := func(name string) bool { return r.Header[name] != nil }
	return slices.ContainsFunc(originals[:], has) || slices.ContainsFunc(mounts[:], has)
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

// readMounted adds all readings of what is left of the path of r behind the beginnings that its
// fields name.
func (rs *readings) readMounted(r *http.Request) {
	paths := [...]string{r.URL.RawPath, r.URL.EscapedPath(), r.URL.Path}
	for _, name := range mounts {
		for _, begin := range r.Header[name] {
			for _, p := range paths {
				if rs.over() {
					return
				}
				rs.work += 1 + len(p)/8
				_, rest, found := strings.Cut(p, begin) // gunicorn finds it anywhere
				if found && begin != "" {
					rs.read(rest, decoded(rest))
				}
			}
		}
	}
}
