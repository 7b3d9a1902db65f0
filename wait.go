package ratelimit

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/inflight"
	"github.com/ratelimit-go/ratelimit/internal/verdict"
	"github.com/ratelimit-go/ratelimit/store"
)

// hold holds a request until its tokens are there, and returns for how long. If the request may not
// go on, hold refunds its tokens and makes c a denial: too many requests are held, or the client
// leaves, or it would leave before.
func (e *engine) hold(ctx context.Context, c *call) time.Duration {
	wait := c.showWaits()
	if wait > 0 && c.Allowed(c.Strictest()) && !e.sleep(ctx, c, wait) {
		c.DenyHeld(c.holds)
	}
	return wait
}

// showWaits makes the Results of c the answers of buckets without extra room, and returns how long
// the request is to be held.
func (c *call) showWaits() (longest time.Duration) {
	c.holds, longest = c.ShowWaits(c.holds[:0])
	return longest
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
		c.Failed, c.Err = verdict.Closed, denied.Err
	default:
		p := denied.Permit
		i := slices.IndexFunc(set.rules, func(r *rule) bool { return r.Name == p.Rule })
		c.Denied = verdict.Denial{Rule: &set.rules[i].info, Key: p.Key, Wait: denied.Wait}
		c.Denied.Reason = string(ReasonInFlight)
		if p.ForAll {
			c.Denied.Reason = string(ReasonCapacity)
		}
	}
	return denied == nil
}

// join takes the permits that were left for later. If one is missing, it refunds the tokens of the
// request, which was held for some time, and makes c a denial.
func (e *engine) join(ctx context.Context, c *call, set *ruleSet, s *inflight.Stay, held time.Duration) {
	taken := c.Taken()
	switch {
	case s == nil || !c.Allowed(c.Strictest()) || e.lease(c, set, s, s.Join()):
		return
	case held > 0:
		e.stepOut(ctx, taken, held)
	default:
		e.refund(ctx, taken)
	}
	c.Ops, c.From = c.Ops[:0], c.From[:0]
}

// denyLate refunds tokens that are not there yet, and makes c a denial.
func (e *engine) denyLate(ctx context.Context, c *call) {
	if c.showWaits() == 0 || !c.Allowed(c.Strictest()) {
		return
	}
	if c.Ops[0].Kind != store.Peek {
		e.refund(ctx, c.Taken())
	}
	c.DenyHeld(c.holds)
	for _, h := range c.holds {
		if op := &c.Ops[h.Op]; op.Cost > c.From[h.Op].Shown().Burst { // only a held request has as many
			op.Result.ExceedsBurst, op.Result.RetryAfter = true, 0
		}
	}
}

// sleep waits for the turn of a request, and reports whether it came. If not, tokens are refunded.
func (e *engine) sleep(ctx context.Context, c *call, wait time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
		e.refund(ctx, verdict.Charged{Ops: c.Ops, From: c.From})
		return false
	}
	var places []inflight.Permit
	var held []*rule
	for i, h := range c.holds {
		if r := ruleOf(c.From[h.Op].Rule); i == 0 || c.From[c.holds[i-1].Op].Rule != &r.info {
			places = append(places, r.places(c.Ops[h.Op].Key)...)
			held = append(held, r)
		}
	}
	if full, _ := e.waiting.Take(places); full != nil {
		e.refund(ctx, verdict.Charged{Ops: c.Ops, From: c.From})
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
		e.stepOut(ctx, verdict.Charged{Ops: c.Ops, From: c.From}, time.Since(began))
		return false
	}
}

// stepOut refunds what a request has taken whose client left after it was held for some time. The
// tokens of a queue are refunded only if no request stands behind: the turns of later requests are
// fixed, so refunded tokens would let a newcomer go on together with the last of them, and a client
// could join and leave again and again to build a burst. [rate.Reservation.Cancel] does the same.
func (e *engine) stepOut(ctx context.Context, taken verdict.Charged, held time.Duration) {
	var others verdict.Charged
	for i, p := range taken.From {
		op := taken.Ops[i]
		op.Limit = op.Limit.Unversioned() // each limit of a rule is refunded apart
		if p.Queue.Extra == 0 {
			others.Ops, others.From = append(others.Ops, op), append(others.From, p)
		} else if !op.Result.Overflow { // otherwise others stand in the same queue
			// If any request has taken a token since, the Take is denied, and the Refund with it.
			take, back := op, op
			take.Kind, take.Cost = store.Take, p.Queue.LeftAfter(op.Result.ResetAfter, held)
			back.Kind, back.Cost = store.Refund, op.Cost+take.Cost
			_ = e.amend(ctx, []store.Op{take, back}, []*verdict.Policy{p, p}) // reported there
		}
	}
	e.refund(ctx, others)
}

// DeniedError is the error of [Limiter.Wait] for tokens that it does not wait for.
type DeniedError struct {
	Decision Decision // not allowed
}

// Error returns why the tokens were denied.
func (e *DeniedError) Error() string {
	s := fmt.Sprintf("ratelimit: rule %q: denied: %s", e.Decision.Rule, e.Decision.Reason)
	if e.Decision.RetryAfter > 0 {
		s += fmt.Sprintf(", retry after %v", e.Decision.RetryAfter)
	}
	return s
}

// Wait takes cost tokens like [Limiter.Take], and waits until they are there. If the rule has a
// MaxWait, callers and held requests of all instances go on in the order in which they came.
// Without a MaxWait, Wait tries again after each RetryAfter, and callers can overtake each other. A
// try is then no violation of a [Block].
//
// If the deadline of ctx or MaxWait would pass before, or waiting does not help, Wait returns a
// [*DeniedError] at once. If ctx has ended or ends while it waits, it returns the error of ctx. Its
// other errors are the errors of Take.
func (l *Limiter) Wait(ctx context.Context, rule string, key Key, cost int64) error {
	for ctx.Err() == nil {
		var d [1]Decision
		err := l.applyAll(ctx, []Change{{store.Take, rule, key, cost}}, d[:], true)
		if err != nil {
			return err
		}
		r := l.table.Load().byName.Find(rule)
		if d[0].Allowed {
			l.taken(ctx, r, &d[0])
			return nil
		}
		failed := d[0].StoreErr != nil && !d[0].Local
		waited := r != nil && r.MaxWait == 0 && !failed && waitFor(ctx, d[0].RetryAfter)
		if !waited && ctx.Err() == nil {
			l.taken(ctx, r, &d[0])
			return &DeniedError{d[0]}
		}
	}
	return ctx.Err()
}

// waitFor waits for d and reports whether it has passed. It returns false at once if d is zero, or
// if the deadline of ctx comes before.
func waitFor(ctx context.Context, d time.Duration) bool {
	if deadline, ok := ctx.Deadline(); d <= 0 || ok && time.Until(deadline) < d {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
