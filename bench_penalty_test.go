package ratelimit_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/ratelimit-go/ratelimit"
)

// What a key that is blocked costs, beside one that is allowed.
func BenchmarkPenalty(b *testing.B) {
	rules := func(limits string, p *ratelimit.Penalty) *ratelimit.Limiter {
		r := rule("p", limits)
		r.Penalty = p
		return newLimiter(b, ratelimit.Config{Rules: []ratelimit.Rule{r}})
	}
	for _, bc := range []struct {
		name    string
		l       *ratelimit.Limiter
		blocked bool
	}{
		{"plain/allowed", rules(endless, nil), false},
		{"plain/refused", rules("1 per day", nil), false},
		{"penalty/allowed", rules(endless, new(ratelimit.Penalty)), false},
		{"penalty/blocked", rules(endless, new(ratelimit.Penalty)), true},
	} {
		ctx, key := context.Background(), theClient(b)
		if bc.blocked {
			if err := bc.l.Block(ctx, "p", key, 24*time.Hour); err != nil {
				b.Fatal(err)
			}
		}
		b.Run("decision/"+bc.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = bc.l.Take(ctx, "p", key, 1)
			}
		})
		b.Run("response/"+bc.name, func(b *testing.B) {
			h := bc.l.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			r := httptest.NewRequest("GET", "/", nil)
			w := &discard{h: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.h)
				h.ServeHTTP(w, r)
			}
		})
	}
}

func BenchmarkListContains(b *testing.B) {
	l := new(ratelimit.List)
	prefixes := make([]string, 100_000)
	for i := range prefixes {
		prefixes[i] = address(i << 6)
	}
	if err := l.Replace(prefixes); err != nil {
		b.Fatal(err)
	}
	r := request("192.0.2.1:1")
	b.ReportAllocs()
	for b.Loop() {
		l.Contains(r)
	}
}
