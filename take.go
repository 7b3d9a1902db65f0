package ratelimit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ratelimit-go/ratelimit/internal/rank"
	"github.com/ratelimit-go/ratelimit/internal/tally"
	"github.com/ratelimit-go/ratelimit/internal/verdict"
	"github.com/ratelimit-go/ratelimit/store"
)

// Take takes cost tokens from the buckets of key under the named rule or budget, all of them or
// none, and returns the decision. It ignores the parts of a rule that need a request: Key, Cost,
// Skip and InFlight. It never waits, even if the rule has a MaxWait: see [Limiter.Wait].
//
// A rule that is [Off] allows everything. A rule in [DryRun] decides as if it were enforced, and
// then allows everything too. Reason and RetryAfter tell what it decided.
//
// The error is a misuse: there is no such rule ([ErrNoRule]), or key or cost is not valid
// ([store.ErrInvalidOp]). If the store failed, OnStoreFailure has decided, and StoreErr of the
// Decision says so.
func (l *Limiter) Take(ctx context.Context, rule string, key Key, cost int64) (d Decision, err error) {
	err = l.one(ctx, store.Take, rule, key, cost, &d)
	return d, err
}

// Peek returns the decision that Take would return for one token if the rule were enforced, in any
// mode. It takes no token. If the rule has InFlight and no limit, Remaining is how many more
// requests of key this process would let in. Its errors are the errors of [Limiter.Take].
func (l *Limiter) Peek(ctx context.Context, rule string, key Key) (d Decision, err error) {
	err = l.one(ctx, store.Peek, rule, key, 1, &d)
	return d, err
}

// Refund puts cost tokens back into the buckets of key under the named rule. A bucket never holds
// more than its burst. The errors are the errors of [Limiter.Take], and a [*store.Error] if the
// store failed.
func (l *Limiter) Refund(ctx context.Context, rule string, key Key, cost int64) error {
	return l.changeOne(ctx, Change{store.Refund, rule, key, cost})
}

// Reset makes the buckets of key under the named rule full, including buckets of limits that
// LimitsFor has chosen. It also does what [Limiter.Unblock] does. Its errors are the errors of
// [Limiter.Refund].
func (l *Limiter) Reset(ctx context.Context, rule string, key Key) error {
	return l.changeOne(ctx, Change{store.Reset, rule, key, 0})
}

func (l *Limiter) changeOne(ctx context.Context, ch Change) error {
	d, err := l.applyOne(ctx, ch)
	return cmp.Or(err, d.StoreErr)
}

// A Change changes what a key has spent under one rule or budget, for [Limiter.Apply].
type Change struct {
	Kind store.Kind // [store.Take], Peek, Refund, Reset or TakeUpTo
	Rule string     // name of the rule or budget
	Key  Key        // not the zero Key
	Cost int64      // in tokens; Reset ignores it
}

// Apply makes several changes in one step, such as a Take from the budget of a user and from the
// budget of the user's company. It returns a Decision for each. If any Take is not allowed, no
// change is made. A Decision that is allowed says what the store would have done without the
// others. A Take under a rule in [DryRun] takes the tokens that are there, and is allowed.
//
// Apply treats each change as Take, Peek, Refund and Reset do. It never waits. A Take or Peek under
// a rule with a [Block] or a MaxWait must be the only change. A TakeUpTo under a MaxWait is an
// error. Apply returns the same errors as [Limiter.Take].
func (l *Limiter) Apply(ctx context.Context, changes ...Change) ([]Decision, error) {
	ds := make([]Decision, len(changes))
	if err := l.applyAll(ctx, changes, ds, false); err != nil {
		return nil, err
	}
	l.takenAll(ctx, changes, ds)
	return ds, nil
}

// takenAll is taken for all Takes of an Apply. If one is denied, none of the others has happened.
func (l *Limiter) takenAll(ctx context.Context, changes []Change, ds []Decision) {
	isTake := func(i int) bool { return changes[i].Kind == store.Take }
	denied := false
	for i := range changes {
		denied = denied || isTake(i) && !ds[i].Allowed
	}
	for i := range changes {
		if isTake(i) && ds[i].Allowed == !denied {
			l.taken(ctx, l.table.Load().byName.Find(changes[i].Rule), &ds[i])
		}
	}
}

// one puts the decision on a single key into d, from where the caller returns it: d is large, and
// each copy of it costs as much as a lock.
//
// It decides on the stack if it can, which saves half of the time (BenchmarkTake).
// TestTakeAgreesWithApply compares both ways.
func (l *Limiter) one(
	ctx context.Context, kind store.Kind, name string, k Key, cost int64, d *Decision,
) (err error) {
	r := l.table.Load().byName.Find(name)
	if r == nil {
		return noRule(name)
	}
	if r.simple && k.Valid() && cost >= 0 {
		var t *tally.Rule
		if kind == store.Take {
			t = &r.tally
		}
		if p := r.plan.Policies; len(p) > 1 {
			if l.severalKnown(p, kind, k, cost, t, d) {
				if t != nil {
					l.counted(ctx, r, d)
				}
				return nil
			}
		} else { // without clearing room for more, which takes a tenth of the time
			var one [1]store.Op
			op := &one[0]
			op.Kind, op.Limit, op.Key, op.Cost = kind, p[0].Limit, k, cost
			if l.memory.tables.ApplyKnown(one[:], t) {
				concludeOne(&p[0], d, op)
				if t != nil && (op.Result.Remaining < p[0].Near || l.hooks.Load().Taken != nil) {
					l.counted(ctx, r, d)
				}
				return nil
			}
		}
	}
	*d, err = l.applyOne(ctx, Change{kind, name, k, cost})
	if err == nil && kind == store.Take {
		l.taken(ctx, r, d)
	}
	return err
}

// severalKnown decides on a key if the memory store holds its buckets of all limits in p. Otherwise
// it changes nothing and returns false.
func (l *Limiter) severalKnown(
	p []verdict.Policy, kind store.Kind, k Key, cost int64, t *tally.Rule, d *Decision,
) bool {
	var few [maxPlain]store.Op
	ops := few[:len(p)]
	for i := range ops {
		op := &ops[i]
		op.Kind, op.Limit, op.Key, op.Cost = kind, p[i].Limit, k, cost
	}
	if !l.memory.tables.ApplyKnown(ops, t) {
		return false
	}
	worst := rank.Strictest(ops)
	concludeOne(&p[worst], d, &ops[worst])
	return true
}

func (l *Limiter) applyOne(ctx context.Context, ch Change) (Decision, error) {
	var ds [1]Decision
	err := l.applyAll(ctx, []Change{ch}, ds[:], false)
	return ds[0], err
}

// applyAll makes changes in one step, and puts a decision for each into ds. If wait, it waits for
// the tokens of a rule with MaxWait.
func (l *Limiter) applyAll(ctx context.Context, changes []Change, ds []Decision, wait bool) error {
	c, t := l.newCall(), l.table.Load()
	defer l.free(c)
	for i := range changes {
		if err := l.prepare(ctx, c, t, &changes[i], len(changes) == 1); err != nil {
			return err
		}
	}
	c.again = wait && c.parts[0].rule.MaxWait == 0
	if c.Denied.Reason != "" { // of a single change
		l.unasked(c)
	} else if err := l.applyBlocks(ctx, c); errors.Is(err, store.ErrInvalidOp) {
		return err
	} else if wait && !c.parts[0].dry {
		l.hold(ctx, c)
	} else {
		l.denyLate(ctx, c)
	}
	denied := slices.ContainsFunc(c.Ops, func(op store.Op) bool {
		return op.Kind == store.Take && !op.Result.Allowed
	})
	for i := range changes {
		if changes[i].Kind == store.Reset && c.parts[i].rule.block != nil && !denied {
			l.known.Lift(c.parts[i].rule.block.ID(changes[i].Key))
		}
		c.decidePart(&ds[i], &c.parts[i])
		if changes[i].Kind == store.Peek && ds[i].Reason == "" && ds[i].Limit == (Limit{}) {
			ds[i].Remaining = l.inFlight.Free(c.parts[i].rule.permit(changes[i].Key))
		}
	}
	return nil
}

// prepare adds the ops of one change to c.
func (l *Limiter) prepare(ctx context.Context, c *call, t *table, ch *Change, alone bool) error {
	r := t.byName.Find(ch.Rule)
	switch {
	case r == nil:
		return noRule(ch.Rule)
	case ch.Key.IsZero() || ch.Cost < 0 || ch.Kind > store.TakeUpTo:
		return invalid(ch, ", cost %d, key %v: want a kind, a key and no negative cost", ch.Cost, ch.Key)
	case ch.Kind == store.TakeUpTo && r.MaxWait > 0:
		return invalid(ch, " under a MaxWait: want a Take")
	case !alone && ch.Kind <= store.Peek && (r.block != nil || r.MaxWait > 0):
		return invalid(ch, " under a Block or MaxWait: want no other change beside it")
	}
	p := part{rule: r, first: len(c.Ops), end: len(c.Ops)}
	kind := ch.Kind
	takes := kind == store.Take || kind == store.Peek
	if takes && t.off || kind == store.Take && r.mode == Off {
		c.parts = append(c.parts, p)
		return nil
	}
	p.dry = kind == store.Take && !r.enforces(ch.Key)
	if p.dry && !alone {
		kind = store.TakeUpTo
	}
	if takes && r.block != nil && !p.dry && c.suspect(&l.engine, r, ch.Key) {
		c.parts = append(c.parts, p)
		return nil
	}
	limits := r.limitsOf(l.reporter, ctx, ch.Key)
	if kind == store.Reset && r.LimitsFor != nil {
		limits = verdict.EveryPlace(&r.info, maxLimits) // LimitsFor can have chosen any, here or elsewhere
	}
	c.Add(limits, ch.Key, ch.Cost, kind)
	p.end = len(c.Ops)
	if kind == store.Reset && r.block != nil {
		addBlock(&c.Verdict, r, r.block.Resets(nil, ch.Key)...)
	}
	c.parts = append(c.parts, p)
	return nil
}

func invalid(ch *Change, format string, args ...any) error {
	what := fmt.Sprintf(format, args...)
	return fmt.Errorf("ratelimit: rule %q: %w: %v%s", ch.Rule, store.ErrInvalidOp, ch.Kind, what)
}

// decidePart sets d to the decision on one change.
func (c *call) decidePart(d *Decision, p *part) {
	v := verdict.Verdict{Outcome: &verdict.Outcome{Denied: c.Denied, Failed: c.Failed, Err: c.Err}}
	if p.end <= len(c.Ops) {
		v.Ops, v.From = c.Ops[p.first:p.end], c.From[p.first:p.end]
	}
	if v.Err == nil || len(v.Ops) > 0 {
		conclude(&v, d)
	} else {
		d.Allowed = true // there was nothing to decide
	}
	if len(v.Ops) == 0 || d.Rule == "" {
		d.Rule, d.Mode = p.rule.Name, p.rule.Mode
	}
	if p.dry {
		d.Allowed = true
	}
}
