package clients

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/browser"
)

// discard is a ResponseWriter that costs little itself.
type discard http.Header

func (d discard) Header() http.Header         { return http.Header(d) }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

// What a preflight costs that the CORS middleware answers, beside a denial and an allowed request.
func BenchmarkRequests(b *testing.B) {
	preflight := httptest.NewRequest(http.MethodOptions, "/", nil)
	for name, value := range map[string]string{
		"Origin": "https://app.example", "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "x-own",
	} {
		preflight.Header.Set(name, value)
	}
	get := httptest.NewRequest(http.MethodGet, "/", nil)
	for _, bc := range []struct {
		name, limits string
		cfg          ratelimit.Config
		r            *http.Request
	}{
		{"preflight", "1 per day", ratelimit.Config{}, preflight},
		{"denied", "1 per day", ratelimit.Config{}, get},
		{"allowed", "1000000000 per second", ratelimit.Config{}, get},
		{"allowed, MergeHeaders", "1000000000 per second", ratelimit.Config{MergeHeaders: true}, get},
		{"allowed, SharedCache", "1000000000 per second", ratelimit.Config{SharedCache: true}, get},
	} {
		b.Run(bc.name, func(b *testing.B) {
			bc.cfg.Rules = []ratelimit.Rule{{Name: "r", Limits: ratelimit.MustParse(bc.limits)}}
			l, err := ratelimit.New(bc.cfg)
			if err != nil {
				b.Fatal(err)
			}
			h, w := withCORS(l.Handler(ok), browser.Fields("")), discard{}
			b.ReportAllocs()
			for b.Loop() {
				clear(w)
				h.ServeHTTP(w, bc.r)
			}
		})
	}
}
