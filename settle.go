package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// Response is how a request was answered. It is what the functions of a [Rule], a [Penalty] and a
// [Login] that go by the response are given: Charge, Offence, Failed and Succeeded.
type Response struct {
	// Request is the request, as the handler was given it.
	Request *http.Request
	// Status is the status code. It is 200 if the handler wrote none, 500 if it panicked
	// before it wrote one, and 101 if it took the connection over.
	Status int
	// Header is the header of the response. It must not be changed.
	Header http.Header
	// Bytes is the number of bytes of the body that were written.
	Bytes int64
	// Duration is how long the handler took.
	Duration time.Duration
	// Panicked reports that the handler did not return.
	Panicked bool
	// Hijacked reports that the handler took the connection over. The response counts until then.
	Hijacked bool
	// Cost is what was reserved for the rule, or what [SetCost] has made of it.
	Cost int64
}

// ChargeIf returns a function for [Rule.Charge] by which a request costs what was reserved for it
// if charged reports true of its response, and nothing if not.
func ChargeIf(charged func(Response) bool) func(Response) int64 {
	return func(res Response) int64 {
		if charged(res) {
			return res.Cost
		}
		return 0
	}
}

// ChargeStatus is [ChargeIf] for responses with one of the given status codes. With 401 and 403
// only failed logins count.
func ChargeStatus(codes ...int) func(Response) int64 {
	codes = slices.Clone(codes)
	return ChargeIf(func(res Response) bool { return slices.Contains(codes, res.Status) })
}

// ChargeFailures is [ChargeIf] for responses with a status of 400 or more, and for
// handlers that panicked.
func ChargeFailures(res Response) int64 {
	if res.Status >= 400 || res.Panicked {
		return res.Cost
	}
	return 0
}

// ChargeSuccesses is [ChargeIf] for all other responses than those of [ChargeFailures].
func ChargeSuccesses(res Response) int64 { return res.Cost - ChargeFailures(res) }

// SetCost makes n tokens the cost of the request with this context under the named rule, in the
// place of what was reserved for it: rows returned, bytes sent, milliseconds used. It may
// be called more than once, as long as the request is being served and by one goroutine
// at a time. What is too much is given back at once; what is missing is taken as far
// as the bucket has it. A rule with a Charge is still charged what that says.
//
// The error says that n is negative or that no rule of that name has taken anything for the
// request, as when it does not apply, when its limiter has Config.NoContext and passed the request on
// as it is, or when the Store had failed and the rule has not decided in memory. If the Store fails now,
// that is reported to OnError, the change is lost, and the error is nil.
func SetCost(ctx context.Context, rule string, n int64) error {
	if n < 0 {
		return fmt.Errorf("ratelimit: SetCost: negative cost %d", n)
	}
	for a := admissionOf(ctx); a != nil; a = admissionOf(a.Context) {
		if a.setCosts([]ruleCost{{rule, n}}) {
			return nil
		}
	}
	return fmt.Errorf("ratelimit: SetCost: no rule %q has been charged for this request", rule)
}

// charges are the ops by which a request was charged, with what it costs. Where SetCost has raised that
// there is what the bucket did not have, or the store was not there to take: this must
// not be given back, or raising a cost and lowering it would make tokens.
type charges struct {
	ops   []Op
	short []int64 // by op; nil if nothing is missing
}

func (c *charges) missed(i int) int64 {
	if c.short == nil {
		return 0
	}
	return c.short[i]
}

// raise notes that the cost of the i-th op was raised by n tokens, of which the bucket had so many.
func (c *charges) raise(i int, n, had int64) {
	if c.short == nil && had < n {
		c.short = make([]int64, len(c.ops))
	}
	if had < n {
		c.short[i] += n - had
	}
}

// lower notes that the cost of the i-th op was lowered by n tokens, and returns how many are to be
// given back.
func (c *charges) lower(i int, n int64) int64 {
	missed := min(c.missed(i), n)
	if missed > 0 {
		c.short[i] -= missed
	}
	return n - missed
}

// ruleCost is what the named rule is to have taken.
type ruleCost struct {
	rule string
	n    int64
}

// setCosts makes costs what their rules have taken, by one call of the store, and reports whether
// these have taken anything.
func (a *admission) setCosts(costs []ruleCost) bool {
	a.mu.Lock() // the store is asked under it, but nobody else than this request waits for it
	defer a.mu.Unlock()
	c := a.limiter.getCheck()
	defer a.limiter.putCheck(c)
	found := false
	var raised []int
	var wanted []int64
	charged := a.charged()
	for _, local := range []bool{false, true} { // an order that amend leaves as it is
		for i := range charged {
			j := slices.IndexFunc(costs, func(c ruleCost) bool { return c.rule == charged[i].Limit.rule })
			if j < 0 || charged[i].isLocal() != local {
				continue
			}
			found = true
			if a.change(c, i, costs[j].n) {
				raised, wanted = append(raised, i), append(wanted, c.ops[len(c.ops)-1].Cost)
			}
		}
	}
	if len(c.ops) == 0 {
		return found
	}
	a.spareLine(c.ops)
	err := a.limiter.amend(a.Context, c.ops) // reported there
	for i := range c.ops {
		if op := &c.ops[i]; op.Kind == OpDrain {
			had := int64(0) // if the store failed it may have taken all, or nothing
			if err == nil {
				had = min(c.ops[i-1].had(), op.Cost)
			}
			a.charges.raise(raised[0], wanted[0], had)
			raised, wanted = raised[1:], wanted[1:]
		}
	}
	return found
}

// spareLine lowers the drains among ops to what is there for everybody: what is there for those who wait
// (MaxWait) would be owed beyond empty.
func (a *admission) spareLine(ops []Op) {
	var asks []Op
	var of []*Op
	for i := range ops {
		if op := &ops[i]; op.Kind == OpDrain && op.Limit.extra > 0 {
			ask := *op
			ask.Kind, ask.Cost = OpPeek, min(op.Cost, op.Limit.shown().Burst)+op.Limit.extra
			asks, of = append(asks, ask), append(of, op)
		}
	}
	if len(asks) == 0 {
		return
	}
	err := a.limiter.amend(a.Context, asks) // reported there
	for i, op := range of {
		own := int64(0)
		if err == nil || op.isLocal() {
			own = max(0, asks[i].had()-op.Limit.extra)
		}
		op.Cost = min(op.Cost, own)
	}
}

// change adds to c what makes n the cost of the i-th op, and reports whether it is a drain.
func (a *admission) change(c *check, i int, n int64) bool {
	op := &a.charged()[i]
	change := *op
	op.Cost = n
	switch {
	case n < change.Cost:
		change.Kind, change.Cost = OpCredit, a.charges.lower(i, change.Cost-n)
		c.ops = append(c.ops, change)
	case n > change.Cost:
		change.Kind, change.Cost = OpDrain, n-change.Cost
		c.ops = append(c.ops, change.asks(), change)
		return true
	}
	return false
}

// asks returns the op that finds out how much of what a drain wants is there.
func (op Op) asks() Op {
	op.Kind, op.Cost = OpPeek, min(op.Cost, op.Limit.limit.Burst)
	return op
}

// had returns how much of its cost a peek has found: whole tokens, and none too many.
func (op *Op) had() int64 {
	switch wait := op.Result.RetryAfter; {
	case op.Result.Allowed:
		return op.Cost
	case wait <= 0 || wait > op.Limit.fill.ceil():
		return 0
	default:
		return max(op.Cost-op.Limit.tokens(span{ns: int64(wait) - 1})-1, 0)
	}
}

// settle charges what the response says.
func (l *Limiter) settle(r *http.Request, a *admission, controls []control, res Response) {
	defer a.close()
	res.Request = r
	var costs []ruleCost
	for _, ctl := range controls {
		res.Cost = a.cost(ctl.rule.Name, ctl.cost)
		if p := ctl.rule.penalty; p != nil && p.Offence != nil && !ctl.observed {
			l.judge(r, ctl, res)
		}
		if ctl.rule.Charge == nil {
			continue
		}
		n := res.Cost // also if Charge fails: a mistake there must not open a door
		l.guard(r, ctl.rule.Name+": Charge", func() error {
			cost := ctl.rule.Charge(res)
			if cost < 0 {
				return errors.New("negative cost")
			}
			n = cost
			return nil
		})
		costs = append(costs, ruleCost{ctl.rule.Name, n})
	}
	a.setCosts(costs)
}

// cost returns what the named rule has taken, or reserved if it has taken nothing.
func (a *admission) cost(rule string, reserved int64) int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, op := range a.charged() {
		if op.Limit.rule == rule {
			return op.Cost
		}
	}
	return reserved
}
