package outbound

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/inflight"
	"github.com/ratelimit-go/ratelimit/internal/report"
)

// charges are the tokens that a request has taken from budgets.
type charges []charge

type charge struct {
	rule *Rule
	key  ratelimit.Key
	cost int64
}

// refund returns the tokens, because the request was not sent.
func (cs charges) refund(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	for _, c := range cs {
		_ = c.rule.Limiter.Refund(ctx, c.rule.Budget, c.key, c.cost) // the limiter reports it
	}
}

// takeOwn waits for the tokens of all rules.
func (c *call) takeOwn() (charges, error) {
	if len(c.cfg.Rules) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithDeadline(c.req.Context(), c.deadline)
	defer cancel()
	taken := make(charges, 0, len(c.cfg.Rules))
	for i := range c.cfg.Rules {
		rule := &c.cfg.Rules[i]
		one := charge{rule, c.ownKey(i), c.ownCost(i)}
		if err := c.take(ctx, one); err != nil {
			taken.refund(c.req.Context())
			return nil, c.ownError(one, err)
		}
		taken = append(taken, one)
	}
	return taken, nil
}

// take takes tokens, and waits only if it may.
func (c *call) take(ctx context.Context, one charge) error {
	if c.cfg.MaxWait > 0 {
		place := []inflight.Permit{{
			Rule: one.rule.Budget, Key: one.key, Max: c.cfg.MaxWaiting, Meter: new(inflight.Meter),
		}}
		if full, _ := c.waiting.Take(place); full == nil {
			defer c.waiting.Release(place, false)
			return one.rule.Limiter.Wait(ctx, one.rule.Budget, one.key, one.cost)
		}
	}
	d, err := one.rule.Limiter.Take(c.req.Context(), one.rule.Budget, one.key, one.cost)
	if err == nil && !d.Allowed {
		err = &ratelimit.DeniedError{Decision: d}
	}
	return err
}

// ownError returns the error of RoundTrip for an error of a limiter.
func (c *call) ownError(one charge, err error) error {
	if ended := c.req.Context().Err(); ended != nil && !errors.Is(ended, context.DeadlineExceeded) {
		return ended
	}
	e := &WaitError{Key: c.key, Budget: one.rule.Budget, Err: report.Text(err)}
	var denied *ratelimit.DeniedError
	switch {
	case errors.As(err, &denied):
		if d := denied.Decision; d.RetryAfter > 0 {
			if e.Until = time.Now().Add(d.RetryAfter); c.own && e.Until.After(c.deadline) {
				e.Err = report.Text(fmt.Errorf("%w: %w", context.DeadlineExceeded, err))
			}
		}
	case errors.Is(err, context.DeadlineExceeded):
		e.Until = time.Now()
	default:
		return fmt.Errorf("outbound: budget %q: %w", one.rule.Budget, err)
	}
	return e
}

// ownKey returns the key by which a rule counts the request.
func (c *call) ownKey(i int) ratelimit.Key {
	rule := &c.cfg.Rules[i]
	if rule.Key == nil {
		return ratelimit.ValueKey("host", origin(c.req.URL))
	}
	var key ratelimit.Key
	c.reporter.Call(c.req.Context(), fmt.Sprintf("Rules[%d].Key", i), func() error {
		if key = rule.Key(c.req); key == (ratelimit.Key{}) {
			return errors.New("the zero Key: want a key")
		}
		return nil
	})
	if key == (ratelimit.Key{}) {
		return ratelimit.ValueKey("outbound", "without a key")
	}
	return key
}

// ownCost returns how many tokens of a rule the request takes.
func (c *call) ownCost(i int) int64 {
	cost := int64(1)
	if f := c.cfg.Rules[i].Cost; f != nil {
		c.reporter.Call(c.req.Context(), fmt.Sprintf("Rules[%d].Cost", i), func() error {
			n := f(c.req)
			if n < 0 {
				return fmt.Errorf("%d: want 0 or more", n)
			}
			cost = n
			return nil
		})
	}
	return cost
}
