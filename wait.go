package ratelimit

import (
	"context"
	"slices"
	"time"

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
	holding := 0
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
			if j := slices.Index(c.waiters, p.rule); j >= holding {
				c.waiters[holding], c.waiters[j] = c.waiters[j], c.waiters[holding]
				holding++
			}
		}
	}
	c.waiters = c.waiters[:holding] // the other rules hold no request
	return longest
}

// hold holds a request until its tokens are there. If the request may not go on, hold refunds its
// tokens and makes c a denial: too many requests are held, or the client leaves, or it would leave
// before.
func (e *engine) hold(ctx context.Context, c *call) {
	wait := c.showWaits()
	if wait > 0 && c.allowed(c.strictest()) && !e.sleep(ctx, c, wait) {
		c.denyHeld()
	}
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
	for i, r := range c.waiters {
		if r.waiting.Add(1) > int64(r.MaxWaiting) {
			leaveQueue(c.waiters[:i+1])
			e.refund(ctx, charged{c.ops, c.from})
			return false
		}
	}
	defer leaveQueue(c.waiters)
	began, timer := time.Now(), time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		e.stepOut(ctx, c, time.Since(began))
		return false
	}
}

// stepOut refunds what a request has taken whose client left after it was held for some time. The
// tokens of a queue are refunded only if no request stands behind: the turns of later requests are
// fixed, so refunded tokens would let a newcomer go on together with the last of them, and a client
// could join and leave again and again to build a burst. [rate.Reservation.Cancel] does the same.
func (e *engine) stepOut(ctx context.Context, c *call, held time.Duration) {
	var others charged
	for i, p := range c.from {
		op := c.ops[i]
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

func leaveQueue(rules []*rule) {
	for _, r := range rules {
		r.waiting.Add(-1)
	}
}
