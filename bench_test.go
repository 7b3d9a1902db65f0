package ratelimit_test

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/ratelimit-go/ratelimit"
)

func benchLimiter(b *testing.B, limits string) *ratelimit.Limiter {
	b.Helper()
	l, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{{
		Name: "per-client", Limits: ratelimit.MustParse(limits), Key: ratelimit.ByRemoteIP(),
	}}})
	if err != nil {
		b.Fatal(err)
	}
	return l
}

const endless = "1000000 per second burst 1000000000"

func benchTake(b *testing.B, limits string) {
	l := benchLimiter(b, limits)
	key := ratelimit.AddrKey(netip.MustParseAddr("192.0.2.1"))
	b.ReportAllocs()
	for b.Loop() {
		_, _ = l.Take(context.Background(), "per-client", key, 1)
	}
}

func BenchmarkTake(b *testing.B) { benchTake(b, endless) }
func BenchmarkTakeThree(b *testing.B) {
	benchTake(b, endless+"; 50000000 per minute burst 1000000000; 3000000000 per hour")
}

func BenchmarkApply(b *testing.B) {
	s := ratelimit.NewMemoryStore(ratelimit.MemoryConfig{})
	named, _ := ratelimit.NameLimit("r", 0, ratelimit.MustParse(endless)[0])
	ops := []ratelimit.Op{{Limit: named, Key: ratelimit.AddrKey(netip.MustParseAddr("192.0.2.1")), Cost: 1}}
	b.ReportAllocs()
	for b.Loop() {
		_ = s.Apply(context.Background(), ops)
	}
}

func BenchmarkTakeManyKeys(b *testing.B) {
	l := benchLimiter(b, endless)
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

func benchHandler(b *testing.B, limits string) {
	h := benchLimiter(b, limits).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	r := httptest.NewRequest("GET", "/", nil)
	w := &discard{h: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.h)
		h.ServeHTTP(w, r)
	}
}

func BenchmarkAllowed(b *testing.B) { benchHandler(b, endless) }
func BenchmarkRefused(b *testing.B) { benchHandler(b, "1 per day") }

// BenchmarkTakeText makes the key from text in each decision.
func BenchmarkTakeText(b *testing.B) {
	l, text := benchLimiter(b, endless), "198.51.100.23"
	b.ReportAllocs()
	for b.Loop() {
		_, _ = l.Take(context.Background(), "per-client", ratelimit.UserKey(text), 1)
	}
}

func BenchmarkShedder(b *testing.B) {
	for name, target := range map[string]time.Duration{"fixed": 0, "adaptive": time.Second} {
		s, err := ratelimit.NewShedder(ratelimit.ShedConfig{MaxInFlight: 1000, TargetLatency: target})
		if err != nil {
			b.Fatal(err)
		}
		h := s.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		r := httptest.NewRequest("GET", "/", nil)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				w := httptest.NewRecorder()
				for pb.Next() {
					h.ServeHTTP(w, r)
				}
			})
		})
	}
}

// BenchmarkInFlight is a request to which nothing but a limit on those in flight applies.
func BenchmarkInFlight(b *testing.B) {
	l, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{{Name: "r", InFlight: 1000, Key: ratelimit.ByRemoteIP()}}})
	if err != nil {
		b.Fatal(err)
	}
	h := l.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	r := httptest.NewRequest("GET", "/", nil)
	w := &discard{h: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}
