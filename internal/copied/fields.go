package copied

import (
	"net/http"
	"slices"
)

// omitted are fields that clients send often. A limiter reads none of them by itself. Adapters,
// which are modules of their own, have the same names. A name must stay here for good, and no
// limiter may begin to read it, because an older adapter would go on without the field.
var omitted = []string{
	"Accept", "Accept-Encoding", "Accept-Language", "Cache-Control", "Connection", "Content-Length",
	"Content-Type", "If-Modified-Since", "If-None-Match", "Pragma", "Priority", "Referer", "Sec-Ch-Ua",
	"Sec-Ch-Ua-Mobile", "Sec-Ch-Ua-Platform", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site",
	"Sec-Fetch-User", "Upgrade-Insecure-Requests", "User-Agent",
}

// Omits reports whether a copy that no function of the user may see can be without the field of
// that canonical name. A key that reads such a field needs a whole copy.
func Omits(name string) bool { return slices.Contains(omitted, name) }

// Accept returns the lines of the field Accept of r, which w answers. Only denials read it, so a
// copy can be without it.
func Accept(w http.ResponseWriter, r *http.Request) []string {
	if c, ok := w.(interface {
		Accept(r *http.Request) []string
	}); ok {
		return c.Accept(r)
	}
	return r.Header["Accept"]
}
