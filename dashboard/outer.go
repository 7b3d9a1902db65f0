package dashboard

import (
	"context"
	"slices"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/refund"
)

// admission is what a limiter leaves in the context of a request that it allows.
type admission interface {
	refund.Charge
	context.Context
	By(l *ratelimit.Limiter) bool
}

// outerKeys reports whether l has allowed the request with this context before, and returns the
// keys by which it did. A request that passes Limiter.Handler and a decorator is decided twice. It
// is one request of its client.
func outerKeys(ctx context.Context, l *ratelimit.Limiter) (keys []ratelimit.Key, decided bool) {
	for c := refund.From(ctx); c != nil; c = refund.From(c.Outer()) {
		if a, ok := c.(admission); ok && a.By(l) {
			keys, decided = append(keys, keysOf(a)...), true
		}
	}
	return keys, decided
}

// keysOf returns the keys of the decisions of a, without the limiters outside of it.
func keysOf(a admission) (keys []ratelimit.Key) {
	for d := range ratelimit.Decisions(a) {
		keys = append(keys, d.Key)
	}
	outside := len(slices.Collect(ratelimit.Decisions(a.Outer())))
	return keys[:len(keys)-outside]
}
