package rpclimit

import (
	"context"
	"errors"
	"fmt"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/report"
)

// keyOf returns the key of a call. If it has none, it is the shared one, or ok is false.
func (g *Guard) keyOf(ctx context.Context, c *Call, t *target) (k ratelimit.Key, ok bool) {
	err := report.Safely(func() (err error) { k, err = t.key(ctx, *c); return err })
	if err == nil && !k.IsZero() {
		return k, true
	}
	failed := err != nil && !errors.Is(err, ratelimit.ErrNoKey)
	if failed {
		g.reporter.Report(ctx, fmt.Errorf("rpclimit: Key of %s: %w", quote(t.name), err))
	}
	switch {
	case t.missing == ratelimit.DenyRequest:
		return ratelimit.Key{}, false
	case t.missing == ratelimit.SkipRule && !failed: // a mistake must not make calls free
		return ratelimit.Key{}, false
	}
	return t.shareKey, true
}

// costOf returns what a call or message costs, at least 1.
func (g *Guard) costOf(ctx context.Context, c *Call, r *rule, msg any) int64 {
	if r.Cost == nil {
		return 1
	}
	cost := int64(1)
	g.reporter.Call(ctx, "Cost", func() error {
		n := r.Cost(ctx, *c, msg)
		if n < 0 {
			return fmt.Errorf("rule %s: cost %d: want at least 0", quote(r.name), n)
		}
		cost = max(n, 1)
		return nil
	})
	return cost
}
