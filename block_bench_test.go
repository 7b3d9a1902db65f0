package ratelimit_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/ratelimit-go/ratelimit"
)

// BenchmarkBlock compares a key that is blocked with keys that are allowed or denied.
func BenchmarkBlock(b *testing.B) {
	limiter := func(limits string, block *ratelimit.Block) *ratelimit.Limiter {
		r := rule("p", limits)
		r.Block = block
		return newLimiter(b, ratelimit.Config{Rules: []ratelimit.Rule{r}})
	}
	for _, bc := range []struct {
		name    string
		l       *ratelimit.Limiter
		blocked bool
	}{
		{"plain/allowed", limiter(endless, nil), false},
		{"plain/denied", limiter("1 per day", nil), false},
		{"block/allowed", limiter(endless, new(ratelimit.Block)), false},
		{"block/blocked", limiter(endless, new(ratelimit.Block)), true},
	} {
		ctx, key := context.Background(), client()
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
			r, w := with(), &discard{h: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.h)
				h.ServeHTTP(w, r)
			}
		})
	}
}
