package tokenbudget

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/report"
	"github.com/ratelimit-go/ratelimit/store"
)

// part is what a request holds under one limit.
type part struct {
	limit    *limit
	key      ratelimit.Key
	asked    int64 // tokens to reserve
	reserved int64 // tokens that were taken
	debt     int64 // tokens that must stay in the bucket
	refunds  bool  // what was reserved can be put back
	decision ratelimit.Decision
}

// held is what a request holds under all limits.
type held struct{ parts []part }

// reserve takes the estimate under all limits that apply, or nothing. Then it returns a problem.
func (g *Guard) reserve(r *http.Request, ask asked) (*held, *problem) {
	h := &held{}
	for i := range g.budgets {
		b := &g.budgets[i]
		if !b.applies(ask.model) {
			continue
		}
		key, p := g.key(r, b)
		if p != nil {
			return &held{}, p
		}
		for j := range b.limits {
			if l := &b.limits[j]; !key.IsZero() {
				h.parts = append(h.parts, part{
					limit: l, key: key, asked: min(ask.total(), l.burst), debt: l.debt,
				})
			}
		}
	}
	if len(h.parts) == 0 {
		return h, nil
	}
	for range 3 { // a store that fails can have other limits: see part.shrink
		if err := h.take(r.Context(), g.limiter); err != nil {
			g.reporter.Report(r.Context(), fmt.Errorf("tokenbudget: %w", err))
			return &held{}, &problem{status: http.StatusInternalServerError, text: "Internal error."}
		}
		if !h.shrink() {
			break
		}
	}
	return h, h.conclude()
}

// take asks the limiter for all parts. A Take asks for the debt too, and puts it back at once. So
// it is denied if the bucket would fall below its debt.
func (h *held) take(ctx context.Context, l *ratelimit.Limiter) error {
	changes := make([]ratelimit.Change, 0, 2*len(h.parts))
	for i := range h.parts {
		p := &h.parts[i]
		changes = append(changes,
			ratelimit.Change{Kind: store.Take, Rule: p.limit.name, Key: p.key, Cost: p.asked + p.debt},
			ratelimit.Change{Kind: store.Refund, Rule: p.limit.name, Key: p.key, Cost: p.debt})
	}
	ds, err := l.Apply(ctx, changes...)
	if err != nil {
		return err
	}
	for i := range h.parts {
		h.parts[i].decision = ds[2*i]
	}
	return nil
}

// shrink asks for less under limits that are smaller than configured, and reports whether there is
// one. While the Store fails, each instance enforces a part of each limit ([ratelimit.UseMemory]).
func (h *held) shrink() (again bool) {
	for i := range h.parts {
		p := &h.parts[i]
		d := &p.decision
		if d.Allowed || d.Reason != ratelimit.ReasonExceedsBurst || d.Limit.Count == 0 {
			continue
		}
		whole := p.limit.burst + p.limit.debt
		burst := d.Limit.Burst
		if burst == 0 {
			burst = d.Limit.Count
		}
		p.debt = int64(float64(p.limit.debt) * float64(burst) / float64(whole))
		p.asked = max(min(p.asked, burst-p.debt), 1)
		again = true
	}
	return again
}

// conclude returns a problem if a part is denied. Otherwise it notes what was taken.
func (h *held) conclude() *problem {
	worst := -1
	for i := range h.parts {
		d := &h.parts[i].decision
		if !d.Allowed && (worst < 0 || d.RetryAfter > h.parts[worst].decision.RetryAfter) {
			worst = i
		}
	}
	if worst >= 0 {
		d := h.parts[worst].decision
		return &problem{status: d.Status(), retry: d.RetryAfter, text: deniedText(&h.parts[worst])}
	}
	for i := range h.parts {
		p := &h.parts[i]
		d := &p.decision
		p.refunds = d.StoreErr == nil && !d.Local && d.Limit.Count > 0
		if p.refunds || d.Local { // else nothing was taken: the store failed, or the budget is off
			p.reserved = p.asked
		}
	}
	return nil
}

func deniedText(p *part) string {
	d := &p.decision
	if d.Status() != http.StatusTooManyRequests {
		return "The budget of tokens is not known at present. Try again later."
	}
	wait := max(d.RetryAfter.Round(time.Millisecond), time.Millisecond)
	return fmt.Sprintf("Rate limit reached: the limit is %d tokens, %d are left, and %d are requested. "+
		"Try again in %v.", p.limit.burst, p.remaining(), p.asked, wait)
}

// remaining returns how many tokens are left before the debt begins.
func (p *part) remaining() int64 { return max(p.decision.Remaining-p.debt, 0) }

// applies reports whether the budget applies to a model.
func (b *budget) applies(model string) bool {
	if len(b.Models) == 0 || model == "" {
		return true
	}
	for _, m := range b.Models {
		start, open := strings.CutSuffix(m, "*")
		if open && len(model) >= len(start) && strings.EqualFold(model[:len(start)], start) {
			return true
		}
		if strings.EqualFold(m, model) {
			return true
		}
	}
	return false
}

// key returns the key of r under b. It is zero if the budget does not apply.
func (g *Guard) key(r *http.Request, b *budget) (key ratelimit.Key, denied *problem) {
	err := report.Safely(func() (err error) { key, err = b.Key.Key(r); return err })
	known := err == nil || errors.Is(err, ratelimit.ErrNoKey)
	if !known {
		g.reporter.Report(r.Context(), fmt.Errorf("tokenbudget: budget %q: Key: %w", b.Name, err))
	}
	switch {
	case err == nil && !key.IsZero():
		return key, nil
	case b.OnMissingKey == ratelimit.DenyRequest:
		return key, &problem{status: http.StatusForbidden, text: "The request has no key to count by."}
	case b.OnMissingKey == ratelimit.SkipRule && known:
		return ratelimit.Key{}, nil
	}
	return b.shared, nil
}
