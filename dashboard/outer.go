package dashboard

import (
	"context"
	"iter"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/refund"
)

// decisions is what limiters leave in the context of a request that they allow.
type decisions interface {
	Of(l *ratelimit.Limiter) iter.Seq[ratelimit.Decision]
}

// outerKeys reports whether l has decided on the request with this context before, and returns the
// keys of these decisions. A request that passes Limiter.Handler and a decorator is decided twice.
// It is one request of its client.
func outerKeys(ctx context.Context, l *ratelimit.Limiter) (keys []ratelimit.Key, decided bool) {
	for c := refund.From(ctx); c != nil; c = refund.From(c.Outer()) {
		of, ok := c.(decisions)
		if !ok {
			continue
		}
		rules := of.Of(l)
		if rules == nil {
			continue
		}
		decided = true
		for d := range rules {
			keys = append(keys, d.Key)
		}
	}
	return keys, decided
}
