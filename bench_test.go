package ratelimit_test

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/ratelimit-go/ratelimit"
)

// endless allows every request of a benchmark.
const endless = "1000000 per second burst 1000000000"

func benchLimiter(b *testing.B, limits ...string) *ratelimit.Limiter {
	b.Helper()
	var rules []ratelimit.Rule
	for i := 0; i < len(limits); i += 2 {
		rules = append(rules, ratelimit.Rule{Name: limits[i], Limits: ratelimit.MustParse(limits[i+1])})
	}
	l, err := ratelimit.New(ratelimit.Config{Rules: rules})
	if err != nil {
		b.Fatal(err)
	}
	return l
}

func benchTake(b *testing.B, limits string) {
	l := benchLimiter(b, "per-client", limits)
	key := ratelimit.AddrKey(netip.MustParseAddr("192.0.2.1"))
	b.ReportAllocs()
	for b.Loop() {
		_, _ = l.Take(context.Background(), "per-client", key, 1)
	}
}

func BenchmarkTake(b *testing.B) { benchTake(b, endless) }

func BenchmarkTakeThreeLimits(b *testing.B) {
	benchTake(b, endless+"; 50000000 per minute burst 1000000000; 3000000000 per hour")
}

func BenchmarkTakeManyKeys(b *testing.B) {
	l := benchLimiter(b, "per-client", endless)
	keys := make([]ratelimit.Key, 100_000)
	for i := range keys {
		keys[i] = ratelimit.AddrKey(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
		_, _ = l.Take(context.Background(), "per-client", keys[i], 1)
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		rng := rand.New(rand.NewPCG(rand.Uint64(), 1))
		for pb.Next() {
			_, _ = l.Take(context.Background(), "per-client", keys[rng.IntN(len(keys))], 1)
		}
	})
}

// discard is a ResponseWriter that costs nothing itself.
type discard struct{ h http.Header }

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}

func benchServe(b *testing.B, l *ratelimit.Limiter) {
	h := l.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	w := &discard{h: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.h)
		h.ServeHTTP(w, r)
	}
}

func BenchmarkAllowed(b *testing.B) { benchServe(b, benchLimiter(b, "per-client", endless)) }

func BenchmarkAllowedThreeLimits(b *testing.B) {
	benchServe(b, benchLimiter(b, "per-client", endless+"; 50000000 per minute burst 1000000000; 3000000000 per hour"))
}

// The ordinary configuration: one rule for everything and one for the route, on the same address.
// The order of names must not matter.
func BenchmarkAllowedTwoRules(b *testing.B) {
	for _, names := range [][2]string{{"everything", "items"}, {"items", "everything"}} {
		b.Run(names[0]+" first", func(b *testing.B) {
			benchServe(b, benchLimiter(b, names[0], endless, names[1], endless))
		})
	}
}

func BenchmarkDenied(b *testing.B) { benchServe(b, benchLimiter(b, "per-client", "1 per day")) }

func BenchmarkDeniedTwoRules(b *testing.B) {
	benchServe(b, benchLimiter(b, "everything", endless, "items", "1 per day"))
}

// A rule with controls takes the general way.
func BenchmarkInFlight(b *testing.B) {
	l, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{{Name: "r", InFlight: 1000}}})
	if err != nil {
		b.Fatal(err)
	}
	benchServe(b, l)
}

func BenchmarkMethods(b *testing.B) {
	l, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{
		{Name: "r", Limits: ratelimit.MustParse(endless), Methods: []string{"GET"}},
	}})
	if err != nil {
		b.Fatal(err)
	}
	benchServe(b, l)
}
