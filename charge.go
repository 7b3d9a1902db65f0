package ratelimit

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/ratelimit-go/ratelimit/internal/copied"
	"github.com/ratelimit-go/ratelimit/internal/verdict"
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

// takeDry counts a request under the rules in DryRun. It returns what they took, and adds it to a.
func (e *engine) takeDry(
	w http.ResponseWriter, r *http.Request, a *admission, dryRuns []dryRun,
) (dry verdict.Charged) {
	for _, o := range dryRuns {
		c := e.newCall()
		if o.plan == nil {
			c.Denied.Rule, c.Denied.Reason = &o.rule.info, string(ReasonNoKey)
		} else {
			c.Add(o.plan, o.key, o.cost, store.Take)
			_ = e.apply(r.Context(), &c.Verdict) // reported there
			e.denyLate(r.Context(), c)
		}
		switch worst := c.Strictest(); {
		case worst < 0 && o.plan != nil: // the store failed, or the rule is unlimited
		case worst >= 0 && c.Ops[worst].Result.Allowed:
			c.CountNear()
			taken, all := c.Taken(), a.all()
			all.Ops, all.From = append(all.Ops, taken.Ops...), append(all.From, taken.From...)
			dry.Ops, dry.From = append(dry.Ops, taken.Ops...), append(dry.From, taken.From...)
		default:
			o.rule.tally.DryRun.Add(1)
			if hook := e.hooks.Load().DryRun; hook != nil {
				var d Decision
				conclude(&c.Verdict, &d)
				e.safely(r.Context(), "DryRun", func() { hook(copied.Whole(w, r), d) })
			}
		}
		e.free(c)
	}
	return dry
}

// cost returns what the request costs under the named rule, or reserved if it was not charged.
func (a *admission) cost(rule string, reserved int64) int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return reserved
	}
	for _, op := range a.all().Ops {
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
		for i, p := range all.From {
			j := slices.IndexFunc(costs, func(c ruleCost) bool { return c.rule == p.Rule.Name })
			if j < 0 || p.Here != here {
				continue
			}
			found = true
			if all.adjust(c, i, costs[j].n) {
				raised, wanted = append(raised, i), append(wanted, c.Ops[len(c.Ops)-1].Cost)
			}
		}
	}
	if len(c.Ops) == 0 {
		return found
	}
	a.spareQueue(c)
	err := a.engine.amend(a.Context, c.Ops, c.From) // reported there
	for i := range c.Ops {
		if op := &c.Ops[i]; op.Kind == store.TakeUpTo {
			had := int64(0) // if the store failed, it may have taken all or nothing
			if err == nil {
				had = min(c.From[i].Had(&c.Ops[i-1]), op.Cost)
			}
			all.missing.Raise(raised[0], len(all.Ops), wanted[0], had)
			raised, wanted = raised[1:], wanted[1:]
		}
	}
	return found
}

// spareQueue lowers the TakeUpTo ops of c to the tokens that are there for all requests. The rest
// of the bucket is room for requests that wait (MaxWait), and must not be charged.
func (a *admission) spareQueue(c *call) {
	var asks verdict.Charged
	var of []int
	for i := range c.Ops {
		if op, p := &c.Ops[i], c.From[i]; op.Kind == store.TakeUpTo && p.Queue.Extra > 0 {
			ask := *op
			ask.Kind, ask.Cost = store.Peek, min(op.Cost, p.Shown().Burst)+p.Queue.Extra
			asks.Ops, asks.From, of = append(asks.Ops, ask), append(asks.From, p), append(of, i)
		}
	}
	if len(asks.Ops) == 0 {
		return
	}
	err := a.engine.amend(a.Context, asks.Ops, asks.From) // reported there
	for i, at := range of {
		op, p, own := &c.Ops[at], c.From[at], int64(0)
		if err == nil || p.Here {
			own = max(0, p.Had(&asks.Ops[i])-p.Queue.Extra)
		}
		op.Cost = min(op.Cost, own)
	}
}

// adjust adds to with what makes n the cost of the i-th op. It reports whether that is a TakeUpTo.
func (c *charges) adjust(with *call, i int, n int64) bool {
	op, p := &c.Ops[i], c.From[i]
	before := op.Cost
	op.Cost = n
	switch {
	case n < before:
		with.AddOne(p, op.Key, c.missing.Lower(i, before-n), store.Refund)
		with.Ops[len(with.Ops)-1].Shared = op.Result.Overflow
	case n > before:
		// A Peek in the same step tells how many tokens there are.
		with.AddOne(p, op.Key, min(n-before, p.Burst()), store.Peek)
		with.AddOne(p, op.Key, n-before, store.TakeUpTo)
		return true
	}
	return false
}
