package ratelimit

import (
	"context"
	"math"
	"math/bits"
	"slices"
	"time"
)

// FailurePolicy is what a [Limiter] does when its [Store] fails. The zero value is no choice: it is
// a mistake in a [Config] with a Store that may fail, and means that of the Config in a [Rule] or
// [Login].
type FailurePolicy uint8

const (
	// FailOpen admits the request.
	FailOpen FailurePolicy = iota + 1
	// FailClosed refuses it with status 503.
	FailClosed
	// UseMemory decides in the memory of this process instead, where each instance enforces the
	// part of the limits that Config.Instances says. Buckets there begin full, and know
	// nothing of those in the Store.
	UseMemory
)

// maxInstances bounds Config.Instances.
const maxInstances = 1_000_000

// fail decides c in the place of a store that has failed, as its rules have chosen. A rule that is
// closed closes the request. Otherwise those that use memory decide, all or none, and those
// that are open are left out.
func (l *Limiter) fail(ctx context.Context, c *check) {
	c.failed = c.choice()
	l.remote.policies[c.failed].Add(1)
	if c.failed == UseMemory {
		c.usePlans()
		l.decideLocal(ctx, c)
	}
}

// choice returns what decides c.
func (c *check) choice() FailurePolicy {
	chosen := FailOpen
	for i := range c.ops {
		switch c.ops[i].Limit.onFailure {
		case FailClosed:
			return FailClosed
		case UseMemory:
			chosen = UseMemory
		}
	}
	return chosen
}

// usePlans puts the local plans of rules in the place of theirs. Rules without one are hidden.
func (c *check) usePlans() {
	n := 0
	for i, p := range c.plans {
		c.plans[i] = p.local
		for j := range p.policies {
			if p.local != nil {
				c.policies[n] = &p.local.policies[j]
				c.ops[n].Limit = c.policies[n].NamedLimit
			} else {
				c.policies[n] = &policy{NamedLimit: p.policies[j].NamedLimit, hidden: true}
			}
			n++
		}
		if p.local == nil {
			c.plans[i] = new(plan)
		}
	}
}

// decideLocal has local memory decide the ops of c that use it. The others are allowed, with more
// left than any bucket holds, so they are never the strictest, and cost nothing.
func (l *Limiter) decideLocal(ctx context.Context, c *check) {
	var ops []Op
	for i := range c.ops {
		op := &c.ops[i]
		if op.Limit.onFailure == UseMemory {
			ops = append(ops, *op)
			continue
		}
		op.Cost, op.Result = 0, Result{Allowed: true, Remaining: math.MaxInt64}
	}
	_ = l.local().Apply(ctx, ops) // which fails for ops that are not valid only
	for i := range c.ops {
		if op := &c.ops[i]; op.Limit.onFailure == UseMemory {
			op.Result, ops = ops[0].Result, ops[1:]
		}
	}
}

func (op *Op) isLocal() bool { return op.Limit != nil && op.Limit.local }

// amend applies ops, which are credits and drains of what was taken before, where it was taken: in
// the store or, if that had failed, in local memory. If the store fails now, which is the error, they
// are lost. It reorders ops, but not those of one rule.
func (l *Limiter) amend(ctx context.Context, ops []Op) (err error) {
	if l.memory != nil {
		return l.memory.Apply(ctx, ops)
	}
	there := 0
	for i := range ops {
		if !ops[i].isLocal() {
			ops[there], ops[i] = ops[i], ops[there]
			there++
		}
	}
	if there > 0 {
		err = l.askRemote(ctx, ops[:there])
	}
	if there < len(ops) {
		_ = l.local().Apply(ctx, ops[there:])
	}
	return err
}

// appendTaken appends the ops by which v has taken tokens, of the store or of local memory.
func (v *verdict) appendTaken(ops []Op) []Op {
	if v.failed == 0 {
		return append(ops, v.ops...)
	}
	for i := range v.ops {
		if op := &v.ops[i]; v.failed == UseMemory && op.isLocal() {
			ops = append(ops, *op)
		}
	}
	return ops
}

// part returns the limits that each of n instances enforces by itself.
func (ls Limits) part(n int) Limits {
	parts := slices.Clone(ls)
	for i, l := range parts {
		parts[i] = l.part(int64(n))
	}
	return parts
}

// part returns an n-th of l: its rate exactly, and its burst rounded down, but 1 at least. A
// bucket that would take longer than any may to fill is the slowest there is.
func (l Limit) part(n int64) Limit {
	if n <= 1 || l.IsUnlimited() {
		return l
	}
	_, _, burst := l.reduced()
	part := Limit{Count: l.Count, Period: l.Period}
	hi, lo := bits.Mul64(uint64(l.Period), uint64(n))
	if l.Count%n == 0 || hi > 0 || lo > math.MaxInt64 {
		part.Count /= n
	} else {
		part.Period = time.Duration(lo)
	}
	part = part.WithBurst(max(burst/n, 1))
	if part.check() != nil {
		return Limit{Count: 1, Period: maxFill}
	}
	return part
}
