package ratelimit

import (
	"context"
	"slices"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/inflight"
	"github.com/ratelimit-go/ratelimit/store"
)

// hold returns how long a request that op allowed, or would allow, is to be held.
func (p *policy) hold(op *store.Op) time.Duration {
	left, debt := op.Result.Remaining, op.Result.ResetAfter
	if op.Kind == store.Peek {
		left, debt = left-op.Cost, debt+p.queue.TimeOf(op.Cost).Ceil()
	}
	if !op.Result.Allowed || op.Cost == 0 || op.Kind > store.Peek {
		return 0
	}
	return p.queue.Hold(left, debt)
}

// showWaits makes the Results of c the answers of buckets without extra room, and returns how long
// the request is to be held.
func (c *call) showWaits() time.Duration {
	longest := time.Duration(0)
	if !c.decided() {
		return 0
	}
	c.holds = c.holds[:0]
	for i := range c.ops {
		op, p := &c.ops[i], c.from[i]
		if p.queue.Extra == 0 {
			continue
		}
		wait := p.hold(op)
		left := op.Result.Remaining - p.queue.Extra
		op.Result.Remaining = max(left, 0)
		if wait > 0 {
			c.holds = append(c.holds, hold{i, wait, left})
			longest = max(longest, wait)
		}
	}
	return longest
}

// hold holds a request until its tokens are there, and returns for how long. If the request may not
// go on, hold refunds its tokens and makes c a denial: too many requests are held, or the client
// leaves, or it would leave before.
func (e *engine) hold(ctx context.Context, c *call) time.Duration {
	wait := c.showWaits()
	if wait > 0 && c.allowed(c.strictest()) && !e.sleep(ctx, c, wait) {
		c.denyHeld()
	}
	return wait
}

// takeLater has a request that may be held take its later permits when the wait is over, so that
// other requests can have them meanwhile.
func (c *call) takeLater() {
	for i := range c.permits {
		c.permits[i].Later = c.permits[i].Later && c.waits
	}
}

// lease takes the permits of s in the store too, and reports whether it has them. If not, or if
// denied is not nil, c is a denial.
func (e *engine) lease(c *call, set *ruleSet, s *inflight.Stay, denied *inflight.Denial) bool {
	if denied == nil {
		denied = s.Lease(e.leases)
	}
	switch {
	case denied == nil:
	case denied.Permit == nil:
		c.failed, c.err = FailClosed, denied.Err
	default:
		p := denied.Permit
		i := slices.IndexFunc(set.rules, func(r *rule) bool { return r.Name == p.Rule })
		c.denied = denial{set.rules[i], p.Key, ReasonInFlight, denied.Wait}
		if p.ForAll {
			c.denied.reason = ReasonCapacity
		}
	}
	return denied == nil
}

// join takes the permits that were left for later. If one is missing, it refunds the tokens of the
// request, which was held for some time, and makes c a denial.
func (e *engine) join(ctx context.Context, c *call, set *ruleSet, s *inflight.Stay, held time.Duration) {
	taken := c.taken()
	switch {
	case s == nil || !c.allowed(c.strictest()) || e.lease(c, set, s, s.Join()):
		return
	case held > 0:
		e.stepOut(ctx, taken, held)
	default:
		e.refund(ctx, taken)
	}
	c.ops, c.from = c.ops[:0], c.from[:0]
}

// denyLate refunds tokens that are not there yet, and makes c a denial.
func (e *engine) denyLate(ctx context.Context, c *call) {
	if c.showWaits() == 0 || !c.allowed(c.strictest()) {
		return
	}
	if c.ops[0].Kind != store.Peek {
		e.refund(ctx, c.taken())
	}
	c.denyHeld()
	for _, h := range c.holds {
		if op := &c.ops[h.op]; op.Cost > c.from[h.op].shown().Burst { // only a held request has as many
			op.Result.ExceedsBurst, op.Result.RetryAfter = true, 0
		}
	}
}

// denyHeld makes the answers of c, whose tokens were refunded, a denial by the limits that would
// have held it.
func (c *call) denyHeld() {
	for _, h := range c.holds {
		res := &c.ops[h.op].Result
		res.Allowed, res.RetryAfter, res.Remaining = false, h.wait, h.left
	}
	for i := range c.ops {
		op := &c.ops[i]
		if op.Kind != store.Peek { // a Peek has taken nothing
			op.Result.Remaining += op.Cost
			back := time.Duration(c.from[i].queue.TimeOf(op.Cost).NS)
			op.Result.ResetAfter = max(op.Result.ResetAfter-back, 0)
		}
		op.Result.Remaining = max(op.Result.Remaining, 0)
	}
}

// sleep waits for the turn of a request, and reports whether it may go on. If not, it refunds the
// tokens.
func (e *engine) sleep(ctx context.Context, c *call, wait time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
		e.refund(ctx, charged{c.ops, c.from})
		return false
	}
	var places []inflight.Permit
	var held []*rule
	for i, h := range c.holds {
		if r := c.from[h.op].rule; i == 0 || c.from[c.holds[i-1].op].rule != r {
			places = append(places, r.places(c.ops[h.op].Key)...)
			held = append(held, r)
		}
	}
	if full, _ := e.waiting.Take(places); full != nil {
		e.refund(ctx, charged{c.ops, c.from})
		return false
	}
	defer e.waiting.Release(places, false)
	for _, r := range held {
		r.tally.Held.Add(1)
	}
	began, timer := time.Now(), time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		e.stepOut(ctx, charged{c.ops, c.from}, time.Since(began))
		return false
	}
}

// stepOut refunds what a request has taken whose client left after it was held for some time. The
// tokens of a queue are refunded only if no request stands behind: the turns of later requests are
// fixed, so refunded tokens would let a newcomer go on together with the last of them, and a client
// could join and leave again and again to build a burst. [rate.Reservation.Cancel] does the same.
func (e *engine) stepOut(ctx context.Context, taken charged, held time.Duration) {
	var others charged
	for i, p := range taken.from {
		op := taken.ops[i]
		if op.Result.Overflow && p.queue.Extra > 0 { // others stand in the same queue
			continue
		}
		if p.queue.Extra == 0 {
			others.ops, others.from = append(others.ops, op), append(others.from, p)
			continue
		}
		// If any request has taken a token since, the Take is denied, and the Refund with it.
		take, back := op, op
		take.Kind, take.Cost = store.Take, p.queue.LeftAfter(op.Result.ResetAfter, held)
		back.Kind, back.Cost = store.Refund, op.Cost+take.Cost
		_ = e.amend(ctx, []store.Op{take, back}, []*policy{p, p}) // reported there
	}
	e.refund(ctx, others)
}
