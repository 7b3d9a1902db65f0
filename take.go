package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/ratelimit-go/ratelimit/store"
)

// A Change changes what a key has spent under one rule or budget, for [Limiter.Apply].
type Change struct {
	Kind store.Kind
	Rule string
	Key  Key
	Cost int64
}

// Apply makes several changes in one step, such as a Take from the budget of a user and from the
// budget of the user's company. It returns a Decision for each. If any Take is not allowed, no
// change is made. A Decision that is allowed says what the store would have done without the others.
// A Take under a rule in [DryRun] takes the tokens that are there, and is allowed.
//
// Apply treats each change as Take, Peek, Refund and Reset do. It never waits. Its errors are those
// of [Limiter.Take].
func (l *Limiter) Apply(ctx context.Context, changes ...Change) ([]Decision, error) {
	ds := make([]Decision, len(changes))
	if err := l.applyAll(ctx, changes, ds, (*Limiter).denyLate); err != nil {
		return nil, err
	}
	return ds, nil
}

// one puts the decision on a single key into d, from where the caller returns it: d is large, and
// each copy of it costs as much as a lock.
//
// It decides on the stack if it can, which saves a third of the time (BenchmarkTake).
// TestTakeAgreesWithApply compares both ways.
func (l *Limiter) one(ctx context.Context, kind store.Kind, name string, k Key, cost int64, d *Decision) error {
	t := l.table.Load()
	r := t.byName.find(name)
	switch {
	case r == nil:
		return noRule(name)
	case t.off:
		d.Allowed = true
		return nil
	case r.simple && l.memory != nil && l.oneKnown(r.plan.policies, kind, k, cost, d):
		return nil
	}
	var err error
	*d, err = l.applyOne(ctx, Change{kind, name, k, cost})
	return err
}

// oneKnown decides on a key whose buckets the memory store holds. Otherwise it changes nothing and
// returns false.
func (l *Limiter) oneKnown(p []policy, kind store.Kind, k Key, cost int64, d *Decision) bool {
	if len(p) == 0 || len(p) > maxPlain || !k.Valid() || cost < 0 {
		return false
	}
	if len(p) == 1 { // without clearing room for more, which takes a tenth of the time
		var one [1]store.Op
		op := &one[0]
		op.Kind, op.Limit, op.Key, op.Cost = kind, p[0].Limit, k, cost
		if !l.memory.tables.ApplyKnown(one[:]) {
			return false
		}
		p[0].decide(d, op)
		return true
	}
	var few [maxPlain]store.Op
	ops := few[:len(p)]
	for i := range ops {
		op := &ops[i]
		op.Kind, op.Limit, op.Key, op.Cost = kind, p[i].Limit, k, cost
	}
	if !l.memory.tables.ApplyKnown(ops) {
		return false
	}
	worst := strictest(ops)
	p[worst].decide(d, &ops[worst])
	return true
}

func (l *Limiter) applyOne(ctx context.Context, ch Change) (Decision, error) {
	var ds [1]Decision
	err := l.applyAll(ctx, []Change{ch}, ds[:], (*Limiter).denyLate)
	return ds[0], err
}

// A part is the ops of one Change.
type part struct {
	rule       *rule
	first, end int
	observed   bool // the rule denies nothing for this key
}

// applyAll makes changes in one step, and puts a decision for each into ds. If tokens were taken that
// are not there yet, under a rule with MaxWait, late decides what happens.
func (l *Limiter) applyAll(
	ctx context.Context, changes []Change, ds []Decision, late func(*Limiter, context.Context, *call),
) error {
	c := l.newCall()
	defer l.free(c)
	for i := range changes {
		if err := l.prepare(ctx, c, &changes[i], len(changes) == 1); err != nil {
			l.unasked(c)
			return err
		}
	}
	if c.denied.reason == ReasonNone {
		if err := l.applyBlocks(ctx, c); errors.Is(err, store.ErrInvalidOp) {
			return err
		}
		late(l, ctx, c)
	} else {
		l.unasked(c)
	}
	for i := range changes {
		if changes[i].Kind == store.Reset && c.parts[i].rule.block != nil {
			l.lift(c.parts[i].rule, changes[i].Key)
		}
		c.decidePart(&ds[i], &c.parts[i])
	}
	return nil
}

// prepare adds the ops of one change to c.
func (l *Limiter) prepare(ctx context.Context, c *call, ch *Change, alone bool) error {
	t := l.table.Load()
	r := t.byName.find(ch.Rule)
	switch {
	case r == nil:
		return noRule(ch.Rule)
	case ch.Key.IsZero() || ch.Cost < 0 || ch.Kind > store.TakeUpTo:
		return fmt.Errorf("ratelimit: rule %q: %w: kind %d, cost %d, key %v: want a key, and a cost of 0 or more",
			ch.Rule, store.ErrInvalidOp, ch.Kind, ch.Cost, ch.Key)
	}
	p := part{rule: r, first: len(c.ops), end: len(c.ops)}
	kind := ch.Kind
	takes := kind == store.Take || kind == store.Peek
	if kind == store.Take && (t.off || r.mode == Off) {
		c.parts = append(c.parts, p)
		return nil
	}
	p.observed = kind == store.Take && !r.enforces(ch.Key)
	if p.observed && !alone {
		kind = store.TakeUpTo
	}
	if takes && r.block != nil && !p.observed && c.suspect(l, r, ch.Key) {
		c.parts = append(c.parts, p)
		return nil
	}
	limits := r.limitsOf(l, ctx, ch.Key)
	if kind == store.Reset && r.LimitsFor != nil {
		limits = r.everyLimit()
	}
	c.add(limits, ch.Key, ch.Cost, kind)
	p.end = len(c.ops)
	if r.MaxWait > 0 && kind == store.Take {
		c.waiters = append(c.waiters, r)
	}
	if kind == store.Reset && r.block != nil {
		c.addBlock(r, r.block.Resets(nil, ch.Key)...)
	}
	c.parts = append(c.parts, p)
	return nil
}

// denyLate refunds tokens that are not there yet, and makes c a denial.
func (l *Limiter) denyLate(ctx context.Context, c *call) {
	if c.showWaits() == 0 || !c.allowed(c.strictest()) {
		return
	}
	if c.ops[0].Kind != store.Peek {
		l.refund(ctx, c.taken())
	}
	c.denyHeld()
	for _, h := range c.holds {
		if op := &c.ops[h.op]; op.Cost > c.from[h.op].shown().Burst { // only a held request has as many
			op.Result.ExceedsBurst, op.Result.RetryAfter = true, 0
		}
	}
}

// decidePart sets d to the decision on one change.
func (c *call) decidePart(d *Decision, p *part) {
	v := verdict{
		ops: c.ops[p.first:p.end], from: c.from[p.first:p.end],
		outcome: &outcome{denied: c.denied, failed: c.failed, err: c.err},
	}
	if c.denied.rule != p.rule {
		v.denied = denial{}
	}
	if v.err == nil || len(v.ops) > 0 {
		v.decide(d)
	} else {
		d.Allowed = true // nothing was asked of the store
	}
	if len(v.ops) == 0 || d.Rule == "" {
		d.Rule, d.Mode = p.rule.Name, p.rule.Mode
	}
	if p.observed {
		d.Allowed = true
	}
}

// DeniedError is the error of [Limiter.Wait] for tokens that it does not wait for.
type DeniedError struct {
	Decision Decision
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
// Without a MaxWait, Wait tries again after each RetryAfter, and callers can overtake each other.
//
// If the deadline of ctx or MaxWait would pass before, or waiting does not help, Wait returns a
// [*DeniedError] at once. If ctx ends while it waits, it returns the error of ctx. Its other errors
// are those of Take.
func (l *Limiter) Wait(ctx context.Context, rule string, key Key, cost int64) error {
	for {
		var d [1]Decision
		err := l.applyAll(ctx, []Change{{store.Take, rule, key, cost}}, d[:], (*Limiter).hold)
		switch {
		case err != nil:
			return err
		case d[0].Allowed:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		}
		r := l.table.Load().byName.find(rule)
		if r == nil || r.MaxWait > 0 || d[0].StoreErr != nil || !waitFor(ctx, d[0].RetryAfter) {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return &DeniedError{d[0]}
		}
	}
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

// Explain returns the decision of each limit that [Limiter.Handler] would ask about r, without taking
// a token: Allowed says whether the limit would allow the cost of r. It returns none if r is exempt
// or denied for lack of a key. Rules of decorators, deny lists, blocks and InFlight do not show.
func (l *Limiter) Explain(r *http.Request) []Decision {
	c := l.newCall()
	defer l.free(c)
	t := l.table.Load()
	set := t.route(r)
	if t.off || set.exempt || l.exempt(t, r) || !c.collect(l, set, r, store.Peek) {
		return nil
	}
	_ = l.apply(r.Context(), &c.verdict) // the decisions tell its error
	c.showWaits()
	all := make([]Decision, len(c.ops))
	for i := range all {
		d := &all[i]
		d.StoreErr = c.err
		c.from[i].decide(d, &c.ops[i])
		if !c.decided() {
			d.Allowed, d.Reason, d.Local = c.failed == FailOpen, ReasonStore, false
			d.Remaining, d.RetryAfter, d.ResetAfter = 0, 0, 0
		}
	}
	return all
}
