package ratelimit

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/ratelimit-go/ratelimit/store"
)

// SetCost makes n tokens the cost of the request with this context under the named rule, instead of
// what was reserved: rows returned, bytes sent, milliseconds used. The handler may call it several
// times, from one goroutine at a time. The excess is refunded at once. If n is more than was
// reserved, the rest is taken, as far as tokens are left. If the rule has a CountOnly or
// ResponseCost, that decides in the end.
//
// The error says that n is negative, or that no rule of that name has taken anything: it does not
// apply, or the Store failed and the rule did not decide in memory. If the Store fails now, the
// change is lost, Hooks.Error is told, and the error is nil.
func SetCost(ctx context.Context, rule string, n int64) error {
	if n < 0 {
		return fmt.Errorf("ratelimit: SetCost: negative cost %d", n)
	}
	for a := admissionOf(ctx); a != nil; a = admissionOf(a.Context) {
		if a.setCosts([]ruleCost{{rule, max(n, 1)}}) {
			return nil
		}
	}
	return fmt.Errorf("ratelimit: SetCost: %w: no rule %q was charged for this request", ErrNoRule, rule)
}

// finalCost returns what the request costs in the end. If the response was not seen, that is at
// least what was reserved: it may be a failure that is answered elsewhere. So is the cost if a
// function fails, because a mistake there must not open a door.
func (r *rule) finalCost(e *engine, res Response, seen bool) int64 {
	n, ctx := res.Cost, res.Request.Context()
	counts := true
	if r.CountOnly != nil && seen {
		r.call(e.reporter, ctx, "CountOnly", func() error { counts = r.CountOnly(res); return nil })
	}
	if !counts {
		return 0
	}
	if r.ResponseCost != nil {
		r.call(e.reporter, ctx, "ResponseCost", func() error {
			cost := r.ResponseCost(res)
			switch {
			case cost < 0:
				return fmt.Errorf("negative cost %d", cost)
			case seen:
				n = max(cost, 1)
			default:
				n = max(cost, n)
			}
			return nil
		})
	}
	return n
}

// reportUnseen reports, once per rule, that a response which decides was not seen.
func (e *engine) reportUnseen(ctx context.Context, r *rule) {
	if !r.unseen.Swap(true) {
		e.reporter.Report(ctx, fmt.Errorf("ratelimit: rule %q: a handler wrote no response, so its status "+
			"is unknown, and the request counts as a failure: write a status in the handler, or put "+
			"the limiter where your framework has rendered errors: see docs/abuse.md", r.Name))
	}
}

// settle charges what the response says, and counts violations.
func (e *engine) settle(r *http.Request, a *admission, settling []settlement, res Response, seen bool) {
	defer a.close()
	var costs []ruleCost
	for _, s := range settling {
		if !seen && !res.Panicked { // a panic is reported where it is recovered
			e.reportUnseen(r.Context(), s.rule)
		}
		res.Cost = a.cost(s.rule.Name, s.cost)
		if b := s.rule.Block; b != nil && b.When != nil && !s.dry {
			e.judge(r, s, res, seen)
		}
		if s.rule.charges() {
			costs = append(costs, ruleCost{s.rule.Name, s.rule.finalCost(e, res, seen)})
		}
	}
	if a.setCosts(costs) {
		for _, s := range settling {
			if slices.Contains(costs, ruleCost{s.rule.Name, 0}) {
				s.rule.tally.Refunded.Add(1)
			}
		}
	}
}

// takeDry counts a request under the rules in DryRun, and adds what they took to a.
func (e *engine) takeDry(r *http.Request, a *admission, dryRuns []dryRun) {
	for _, o := range dryRuns {
		c := e.newCall()
		c.add(o.plan, o.key, o.cost, store.Take)
		_ = e.apply(r.Context(), &c.verdict) // reported there
		e.denyLate(r.Context(), c)
		switch worst := c.strictest(); {
		case worst < 0: // the store failed, or the rule is unlimited
		case c.ops[worst].Result.Allowed:
			c.countNear()
			taken, all := c.taken(), a.all()
			all.ops, all.from = append(all.ops, taken.ops...), append(all.from, taken.from...)
		default:
			o.rule.tally.DryRun.Add(1)
			if hook := e.hooks.Load().DryRun; hook != nil {
				var d Decision
				c.decide(&d)
				e.safely("DryRun")(func() { hook(r, d) })
			}
		}
		e.free(c)
	}
}

// cost returns what the request costs under the named rule, or reserved if it was not charged.
func (a *admission) cost(rule string, reserved int64) int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return reserved
	}
	for _, op := range a.all().ops {
		if op.Limit.Rule() == rule {
			return op.Cost
		}
	}
	return reserved
}

// ruleCost is what the named rule is to have taken.
type ruleCost struct {
	rule string
	n    int64
}

// setCosts makes costs what their rules have taken, by one call of the store, and reports whether
// the rules have taken anything.
func (a *admission) setCosts(costs []ruleCost) bool {
	a.mu.Lock() // held during the call of the store, but only this request waits for it
	defer a.mu.Unlock()
	if a.closed {
		return false
	}
	c := a.engine.newCall()
	defer a.engine.free(c)
	found := false
	var raised []int
	var wanted []int64
	all := a.all()
	for _, here := range []bool{false, true} { // an order that amend leaves as it is
		for i, p := range all.from {
			j := slices.IndexFunc(costs, func(c ruleCost) bool { return c.rule == p.rule.Name })
			if j < 0 || p.here != here {
				continue
			}
			found = true
			if all.adjust(c, i, costs[j].n) {
				raised, wanted = append(raised, i), append(wanted, c.ops[len(c.ops)-1].Cost)
			}
		}
	}
	if len(c.ops) == 0 {
		return found
	}
	a.spareQueue(c)
	err := a.engine.amend(a.Context, c.ops, c.from) // reported there
	for i := range c.ops {
		if op := &c.ops[i]; op.Kind == store.TakeUpTo {
			had := int64(0) // if the store failed, it may have taken all or nothing
			if err == nil {
				had = min(c.from[i].had(&c.ops[i-1]), op.Cost)
			}
			all.missing.Raise(raised[0], len(all.ops), wanted[0], had)
			raised, wanted = raised[1:], wanted[1:]
		}
	}
	return found
}

// spareQueue lowers the TakeUpTo ops of c to the tokens that are there for all requests. The rest
// of the bucket is room for requests that wait (MaxWait), and must not be charged.
func (a *admission) spareQueue(c *call) {
	var asks charged
	var of []int
	for i := range c.ops {
		if op, p := &c.ops[i], c.from[i]; op.Kind == store.TakeUpTo && p.queue.Extra > 0 {
			ask := *op
			ask.Kind, ask.Cost = store.Peek, min(op.Cost, p.shown().Burst)+p.queue.Extra
			asks.ops, asks.from, of = append(asks.ops, ask), append(asks.from, p), append(of, i)
		}
	}
	if len(asks.ops) == 0 {
		return
	}
	err := a.engine.amend(a.Context, asks.ops, asks.from) // reported there
	for i, at := range of {
		op, p, own := &c.ops[at], c.from[at], int64(0)
		if err == nil || p.here {
			own = max(0, p.had(&asks.ops[i])-p.queue.Extra)
		}
		op.Cost = min(op.Cost, own)
	}
}

// adjust adds to with what makes n the cost of the i-th op. It reports whether that is a TakeUpTo.
func (c *charges) adjust(with *call, i int, n int64) bool {
	op, p := &c.ops[i], c.from[i]
	before := op.Cost
	op.Cost = n
	switch {
	case n < before:
		with.addOne(p, op.Key, c.missing.Lower(i, before-n), store.Refund)
		with.ops[len(with.ops)-1].Shared = op.Result.Overflow
	case n > before:
		// A Peek in the same step tells how many tokens there are.
		with.addOne(p, op.Key, min(n-before, p.Burst()), store.Peek)
		with.addOne(p, op.Key, n-before, store.TakeUpTo)
		return true
	}
	return false
}

// had returns how many whole tokens of its cost a Peek has found.
func (p *policy) had(op *store.Op) int64 {
	if op.Result.Allowed {
		return op.Cost
	}
	return p.queue.Found(op.Cost, op.Result.RetryAfter)
}
