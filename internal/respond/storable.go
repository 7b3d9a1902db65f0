package respond

import (
	"net/http"
	"slices"
	"strings"
)

// Storable reports whether a shared cache may store the response with this status and header (RFC
// 9111, section 3), or may update a stored response by it. In doubt it may.
func Storable(r *http.Request, status int, h http.Header) bool {
	for name, lines := range h {
		if isTargeted(name) && slices.ContainsFunc(lines, mayStore) {
			return true
		}
	}
	var public, explicit, noStore, understood bool
	for _, line := range h["Cache-Control"] {
		for _, directive := range members(line) {
			name, value, _ := strings.Cut(directive, "=")
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "no-store":
				noStore = true
			case "must-understand": // a cache that knows the status ignores no-store
				understood = true
			case "private":
				if value == "" { // with names, only these fields are private
					return false
				}
			case "public", "s-maxage":
				public, explicit = true, true
			case "must-revalidate":
				public = true
			case "max-age":
				explicit = true
			}
		}
	}
	if noStore && !understood || len(r.Header["Authorization"]) > 0 && !public {
		return false
	}
	if explicit || len(h["Expires"]) > 0 {
		return true
	}
	switch status { // that a cache may store by itself, and 304, which updates what it has stored
	case 200, 203, 204, 206, 300, 301, 304, 308, 404, 405, 410, 414, 501:
		return r.Method == http.MethodGet || r.Method == http.MethodHead
	}
	return false
}

// isTargeted reports whether the named field tells some caches what Cache-Control tells all others
// (RFC 9213): these ignore Cache-Control.
func isTargeted(name string) bool {
	switch name {
	case "Surrogate-Control", "Edge-Control", "X-Accel-Expires":
		return true
	}
	return strings.HasSuffix(name, "-Cache-Control")
}

// mayStore reports whether a line of such a field may allow to store the response.
func mayStore(line string) bool {
	line = strings.ToLower(line)
	understood := slices.Contains(members(line), "must-understand")
	return !slices.ContainsFunc(members(line), func(directive string) bool {
		return directive == "no-store" && !understood ||
			directive == "private" || directive == "0" // of X-Accel-Expires
	})
}
