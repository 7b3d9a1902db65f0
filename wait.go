package ratelimit

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/pace"
	"github.com/ratelimit-go/ratelimit/store"
)

// A rule with MaxWait has buckets that are larger than its limits say, by the tokens that flow in
// while a request is held. A request that finds more than these extra tokens goes on at once. A
// request that has to use them waits until the bucket would have had its tokens without them. So the
// queue is in the bucket: all instances together serve requests in the order in which they were
// decided, and no instance polls. This is the burst of nginx's limit_req without nodelay.

const (
	maxMaxWait = time.Hour        // a client, or a proxy, gives up long before
	minMaxWait = time.Millisecond // a number without a unit is less

	defaultMaxWaiting = 100
)

// checkWait reports that no request would be held for wait, if that is so.
func (ls Limits) checkWait(wait time.Duration) error {
	if wait == 0 || len(ls) > 0 && ls.check() != nil {
		return nil
	}
	least := time.Duration(math.MaxInt64)
	for _, l := range ls {
		if l.IsUnlimited() {
			return nil
		}
		if _, extra := pace.Limit(l).Extend(wait); extra > 0 {
			return nil
		}
		least = min(least, pace.Of(l.Count, l.Period).TimeOf(1).Ceil())
	}
	switch {
	case len(ls) == 0:
		return fmt.Errorf("%v without Limits, so that no request is held: want Limits too", wait)
	case wait < least:
		return fmt.Errorf("%v is less than a token takes to come, so that no request is held: want at least %v", wait, least)
	}
	return fmt.Errorf("%v: a bucket with the tokens that flow in meanwhile takes more than 100 years to fill: want a smaller burst", wait)
}

// wait returns how long a request that op allowed, or would allow, is to be held: never too short,
// and less than 2 ns too long.
func (p *policy) wait(op *store.Op) time.Duration {
	left, debt := op.Result.Remaining, op.Result.ResetAfter
	if op.Kind == store.Peek {
		left, debt = left-op.Cost, debt+p.pace.TimeOf(op.Cost).Ceil()
	}
	if left >= p.extra || !op.Result.Allowed || op.Cost == 0 {
		return 0
	}
	return debt - time.Duration(p.pace.TimeOf(p.shown().Burst).NS)
}

// A hold is a limit whose tokens are not there yet.
type hold struct {
	op   int
	wait time.Duration
	left int64 // without the extra room, and so usually negative
}

// showWaits makes the Results of c those of buckets without extra room, and returns how long the
// request is to be held.
func (c *call) showWaits() time.Duration {
	longest := time.Duration(0)
	if !c.decided() {
		return 0
	}
	c.holds = c.holds[:0]
	holding := 0
	for i := range c.ops {
		op, p := &c.ops[i], c.from[i]
		if p.extra == 0 {
			continue
		}
		wait := p.wait(op)
		left := op.Result.Remaining - p.extra
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
func (l *Limiter) hold(ctx context.Context, c *call) {
	wait := c.showWaits()
	if wait > 0 && c.allowed(c.strictest()) && !l.sleep(ctx, c, wait) {
		c.denyHeld()
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
		op.Result.Remaining = max(op.Result.Remaining+op.Cost, 0)
		back := time.Duration(c.from[i].pace.TimeOf(op.Cost).NS)
		op.Result.ResetAfter = max(op.Result.ResetAfter-back, 0)
	}
}

// sleep waits for the turn of a request, and reports whether it may go on. If not, it refunds the
// tokens.
func (l *Limiter) sleep(ctx context.Context, c *call, wait time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
		l.refund(ctx, charged{c.ops, c.from})
		return false
	}
	for i, r := range c.waiters {
		if r.waiting.Add(1) > r.maxWaiting() {
			leaveQueue(c.waiters[:i+1])
			l.refund(ctx, charged{c.ops, c.from})
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
		l.stepOut(ctx, c, time.Since(began))
		return false
	}
}

// stepOut refunds what a request has taken whose client left after it was held for some time. The
// tokens of a queue are refunded only if no request stands behind: the turns of later requests are
// fixed, so refunded tokens would let a newcomer go on together with the last of them, and a client
// could join and leave again and again to build a burst. [rate.Reservation.Cancel] does the same.
func (l *Limiter) stepOut(ctx context.Context, c *call, held time.Duration) {
	var others charged
	for i, p := range c.from {
		op := c.ops[i]
		if p.extra == 0 {
			others.ops, others.from = append(others.ops, op), append(others.from, p)
			continue
		}
		// If any request has taken a token since, the Take is denied, and the Refund with it.
		take, back := op, op
		take.Kind, take.Cost = store.Take, p.leftAfter(&op, held)
		back.Kind, back.Cost = store.Refund, op.Cost+take.Cost
		_ = l.amend(ctx, []store.Op{take, back}, []*policy{p, p}) // reported there
	}
	l.refund(ctx, others)
}

// leftAfter returns how many tokens there are if no op has touched the bucket since op took from it,
// d ago. In doubt, which is a nanosecond, it is one more.
func (p *policy) leftAfter(op *store.Op, d time.Duration) int64 {
	fill := p.pace.TimeOf(p.Burst())
	debt := pace.Span{NS: int64(max(op.Result.ResetAfter-d-1, 0))}
	if !debt.AtMost(fill) {
		return 0
	}
	return p.pace.Tokens(p.pace.Sub(fill, debt))
}

func leaveQueue(rules []*rule) {
	for _, r := range rules {
		r.waiting.Add(-1)
	}
}

func (r *rule) maxWaiting() int64 {
	if r.MaxWaiting == 0 {
		return defaultMaxWaiting
	}
	return int64(r.MaxWaiting)
}
