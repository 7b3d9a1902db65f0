// Package browser is for services that browsers call from pages of another origin (CORS).
//
// Put the limiter inside the CORS middleware. Then a denied request carries the fields that let the
// page read it, and preflights are answered before the limiter counts them:
//
//	handler := cors.New(cors.Options{ // any CORS middleware
//		AllowedOrigins: []string{"https://app.example"},
//		ExposedHeaders: browser.Fields(ratelimit.DraftHeaders),
//	}).Handler(limiter.Handler(mux))
//
// docs/browsers.md has the rest.
package browser

import (
	"net/http"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/respond"
	"github.com/ratelimit-go/ratelimit/internal/routes"
)

// Fields returns the names of the fields that a limiter with this form of Headers writes,
// Retry-After included. It is the list for Access-Control-Expose-Headers. A page of another origin
// can read no other field.
func Fields(form ratelimit.Headers) []string { return respond.FieldNames(string(form)) }

// Preflight reports whether r is a CORS preflight, as the Fetch standard has it (section 4.8): an
// OPTIONS request with one Origin and one Access-Control-Request-Method, without a body and without
// credentials. Browsers send no other, so a request that can do more does not pass for one.
//
// It is for limiters that cannot be inside the CORS middleware. Use it as the Skip of rules, with a
// rule for preflights beside them. As Config.Exempt it lets preflights pass without a bound. That
// is right only if the next handler answers each of them itself.
func Preflight(r *http.Request) bool {
	if r.Method != http.MethodOptions || r.ContentLength != 0 || len(r.TransferEncoding) > 0 {
		return false
	}
	origin, method := r.Header["Origin"], r.Header["Access-Control-Request-Method"]
	return len(origin) == 1 && origin[0] != "" && len(method) == 1 && routes.IsToken(method[0]) &&
		len(r.Header["Cookie"]) == 0 && len(r.Header["Authorization"]) == 0
}
