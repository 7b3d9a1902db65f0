package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"time"
)

// A rule that holds requests (MaxWait) has buckets that are larger than its limits say, by the
// tokens that flow in while a request is held. A request that finds more than these
// tokens goes on at once; one that has to use them waits until the bucket would have had
// its own without them. So the waiting line is in the bucket: requests are served in the
// order in which they were decided, by all instances together, and nobody polls.
// This is the burst of nginx's limit_req without nodelay.

// maxMaxWait bounds Rule.MaxWait. A client, or a proxy, gives up long before.
const maxMaxWait = time.Hour

const minMaxWait = time.Millisecond // a number without a unit is less

// defaultMaxWaiting is Rule.MaxWaiting if that is zero.
const defaultMaxWaiting = 100

// patient returns l with a bucket that also holds what flows in within wait, and how much that
// is. It is l itself if there is no such bucket.
func (l Limit) patient(wait time.Duration) (larger Limit, extra int64) {
	if wait <= 0 {
		return l, 0
	}
	count, period, burst := l.reduced()
	hi, lo := bits.Mul64(uint64(count), uint64(wait))
	if hi >= uint64(period) {
		return l, 0
	}
	n, _ := bits.Div64(hi, lo, uint64(period))
	if n > uint64(math.MaxInt64-burst) {
		return l, 0
	}
	larger = l
	larger.Burst = burst + int64(n)
	if larger.check() != nil {
		return l, 0
	}
	return larger, int64(n)
}

// checkWait reports that no request would be held for wait, if that is so.
func (ls Limits) checkWait(wait time.Duration) error {
	if wait == 0 || len(ls) > 0 && ls.check() != nil {
		return nil
	}
	least := time.Duration(math.MaxInt64)
	for _, l := range ls {
		if _, extra := l.patient(wait); extra > 0 || l.IsUnlimited() {
			return nil
		}
		count, period, _ := l.reduced()
		least = min(least, pace{uint32(count), period}.timeOf(1).ceil())
	}
	switch {
	case len(ls) == 0:
		return fmt.Errorf("%v without Limits, so that no request is held: want Limits too", wait)
	case wait < least:
		return fmt.Errorf("%v is less than a token takes to come, so that no request is held: want at least %v", wait, least)
	}
	return fmt.Errorf("%v: a bucket with what flows in meanwhile takes more than 100 years to fill: want a smaller burst", wait)
}

// shown returns the limit without the room for those who wait.
func (l *NamedLimit) shown() Limit {
	limit := l.limit
	limit.Burst -= l.extra
	return limit
}

// wait returns how long a request that op allowed, or would allow, is to be held: never too
// short, and less than 2 ns too long.
func (op *Op) wait() time.Duration {
	l, left, debt := op.Limit, op.Result.Remaining, op.Result.ResetAfter
	if op.Kind == OpPeek {
		left, debt = left-op.Cost, debt+l.timeOf(op.Cost).ceil()
	}
	if left >= l.extra || !op.Result.Allowed || op.Cost == 0 {
		return 0
	}
	return debt - time.Duration(l.timeOf(l.limit.Burst-l.extra).ns)
}

// held is an op whose tokens are not there yet.
type held struct {
	op   int
	wait time.Duration
	left int64 // without the room for those who wait: mostly less than nothing
}

// showWaits makes the results of c those of buckets without room for those who wait, and returns
// how long the request is to be held. If a store that failed has left any results they mean nothing.
func (c *check) showWaits() time.Duration {
	longest := time.Duration(0)
	if !c.decided() {
		return 0
	}
	c.holds = c.holds[:0]
	holding := 0
	for i := range c.ops {
		op := &c.ops[i]
		if op.Limit.extra == 0 {
			continue
		}
		wait := op.wait()
		left := op.Result.Remaining - op.Limit.extra
		op.Result.Remaining = max(left, 0)
		if wait > 0 {
			c.holds = append(c.holds, held{i, wait, left})
			longest = max(longest, wait)
			if j := slices.IndexFunc(c.waiters, func(r *rule) bool { return r.Name == op.Limit.rule }); j >= holding {
				c.waiters[holding], c.waiters[j] = c.waiters[j], c.waiters[holding]
				holding++
			}
		}
	}
	c.waiters = c.waiters[:holding] // others hold nobody
	return longest
}

// refuseHeld makes the answers of c, whose tokens were given back, those of a refusal by the limits that
// would have held it.
func (c *check) refuseHeld() {
	for _, h := range c.holds {
		res := &c.ops[h.op].Result
		res.Allowed, res.RetryAfter, res.Remaining = false, h.wait, h.left
	}
	for i := range c.ops {
		op := &c.ops[i]
		op.Result.Remaining = max(op.Result.Remaining+op.Cost, 0)
		op.Result.ResetAfter = max(op.Result.ResetAfter-time.Duration(op.Limit.timeOf(op.Cost).ns), 0)
	}
}

// hold holds a request until its tokens are there, and reports whether it may go on. It may
// not if too many are held, or if the client leaves or would leave before: then tokens are given back.
func (l *Limiter) hold(ctx context.Context, c *check, wait time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
		l.credit(ctx, c.ops)
		return false
	}
	for i, r := range c.waiters {
		if r.waiting.Add(1) > r.maxWaiting() {
			leave(c.waiters[:i+1])
			l.credit(ctx, c.ops)
			return false
		}
	}
	defer leave(c.waiters)
	began, timer := time.Now(), time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		l.stepOut(ctx, c.ops, time.Since(began))
		return false
	}
}

// stepOut gives back what a request has taken that was held for so long, when its client has left.
// What others stand in line behind for it does not: they go on no earlier for it, so whoever
// got its tokens would go on together with the last of them, and clients who come and leave could
// gather a line into a burst. [rate.Reservation.Cancel] withholds the same.
func (l *Limiter) stepOut(ctx context.Context, ops []Op, held time.Duration) {
	var others []Op
	for _, op := range ops {
		if op.Limit.extra == 0 {
			others = append(others, op)
			continue
		}
		// The first of these is refused, and so is the other, if anybody has taken a token since.
		take, credit := op, op
		take.Kind, take.Cost = OpTake, op.leftAfter(held)
		credit.Kind, credit.Cost = OpCredit, op.Cost+take.Cost
		_ = l.amend(ctx, []Op{take, credit}) // reported there
	}
	l.credit(ctx, others)
}

// leftAfter returns how many tokens there are if nobody has touched the bucket since op took from
// it, so long ago. In doubt, which is a nanosecond, it is one more.
func (op *Op) leftAfter(d time.Duration) int64 {
	l := op.Limit
	debt := span{ns: int64(max(op.Result.ResetAfter-d-1, 0))}
	if !debt.atMost(l.fill) {
		return 0
	}
	return l.tokens(l.sub(l.fill, debt))
}

func leave(rules []*rule) {
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

// oneControlled is one for a rule that holds requests or blocks keys: what would have to wait is
// refused.
func (l *Limiter) oneControlled(ctx context.Context, r *rule, p *plan, kind OpKind, key Key, cost int64, d *Decision) error {
	if err := p.checkTake(key, cost); err != nil {
		return err
	}
	s := suspect{rule: r, key: key}
	suspected := r.penalty != nil && (kind == OpTake || kind == OpPeek)
	if suspected {
		wait := time.Duration(0)
		if wait, s.ask = l.blocks.find(r.offender(key)); wait > 0 {
			d.Reason, d.Rule, d.Key, d.RetryAfter = ReasonBlocked, r.Name, key, wait
			return nil
		}
	}
	c := l.getCheck()
	defer l.putCheck(c)
	if suspected {
		c.suspects = append(c.suspects, s)
	}
	c.add(p, key, cost, kind)
	if r.penalty != nil && kind == OpReset {
		c.ops = r.penalty.resets(c.ops, key)
		defer l.blocks.lift(r.offender(key))
	}
	err := l.applyBlocks(ctx, c)
	if errors.Is(err, ErrInvalidOp) {
		return err
	}
	wait := c.showWaits()
	c.decide(d)
	if wait > 0 && d.Allowed {
		if kind == OpTake {
			l.credit(ctx, c.appendTaken(nil))
		}
		d.Allowed, d.Reason, d.RetryAfter = false, ReasonLimit, wait
		for i := range p.policies {
			if cost > p.policies[i].shown().Burst { // only who is held has so many
				d.Reason, d.RetryAfter = ReasonNever, 0
			}
		}
	}
	return err
}
