package respond

import (
	"net/http"
	"strings"
)

// Storable reports whether a shared cache may store the response with this status and header (RFC
// 9111, section 3), or may update a stored response by it. In doubt it may.
func Storable(r *http.Request, status int, h http.Header) bool {
	var public, explicit bool
	for _, line := range h["Cache-Control"] {
		for _, directive := range members(line) {
			name, value, _ := strings.Cut(directive, "=")
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "no-store":
				return false
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
	if len(r.Header["Authorization"]) > 0 && !public {
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
