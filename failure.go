package ratelimit

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/report"
	"github.com/ratelimit-go/ratelimit/store"
)

// apply makes the store decide, or what was chosen for a store that fails.
func (e *engine) apply(ctx context.Context, v *verdict) error {
	switch {
	case len(v.ops) == 0:
		return nil
	case e.memory != nil:
		if err := e.memory.tables.Apply(ctx, v.ops); err != nil {
			return err
		}
	default:
		if err := store.CheckOps(v.ops); err != nil {
			return err
		}
		if err := e.ask(ctx, v.ops); err != nil {
			e.fail(ctx, v, err)
		}
	}
	e.tellOverflow(ctx, v)
	return nil
}

// tellOverflow reports that the store has begun to have no room for keys. It says nothing while
// that goes on.
func (e *engine) tellOverflow(ctx context.Context, v *verdict) {
	for i := range v.ops {
		if v.ops[i].Result.Overflow && v.decided() && e.overflow.Begins(e.now()) {
			e.reporter.Report(ctx, fmt.Errorf("ratelimit: rule %q: the store has no room for new keys: "+
				"they share a bucket; see Overflow and MaxKeys", v.from[i].rule.Name))
			return
		}
	}
}

// ask makes the store decide ops, and reports its error, unless the store was not called. The store
// is not a MemoryStore.
func (e *engine) ask(ctx context.Context, ops []store.Op) error {
	err := e.guard.Apply(ctx, ops)
	if err == nil {
		return nil // not err, which would be an error that is not nil
	}
	if err.Reason != store.ReasonDown {
		e.reporter.Report(ctx, err)
	}
	return err
}

// storeState tells the user of a change of the store's state.
func (e *engine) storeState(ctx context.Context, s store.State) {
	if hook := e.hooks.Load().StoreState; hook != nil {
		e.safely("StoreState")(func() { hook(ctx, s) })
	}
	if e.cfg.Hooks.StoreState != nil {
		return
	}
	o, soFar := e.guard.Outage(), report.Decisions{
		Open: e.failedOpen.Load(), Closed: e.failedClosed.Load(), Memory: e.failedToMemory.Load(),
	}
	switch s {
	case store.Down:
		e.reporter.Down(ctx, string(o.Failure.Reason), o.Failure.Err, o.InARow, e.policies(), soFar)
	case store.Up:
		e.reporter.Up(ctx, o.Lasted, soFar)
	}
}

// policies counts the rules by what decides while the store fails.
func (e *engine) policies() report.Policies {
	p := report.Policies{Instances: e.cfg.Instances}
	for _, r := range e.table.Load().byName.All() {
		switch r.onFail {
		case FailOpen:
			p.Open++
		case FailClosed:
			p.Closed++
		case UseMemory:
			p.Memory++
		}
	}
	return p
}

// fail decides v instead of a store that has failed, as its rules have chosen. If any rule is
// FailClosed, the request is denied. Otherwise the rules with UseMemory decide, all or none, and
// the rules with FailOpen are left out.
func (e *engine) fail(ctx context.Context, v *verdict, err error) {
	v.failed, v.err, v.field = v.choice(), err, ""
	switch v.failed {
	case FailClosed:
		e.failedClosed.Add(1)
	case UseMemory:
		e.failedToMemory.Add(1)
		e.decideHere(ctx, v)
	default:
		e.failedOpen.Add(1)
	}
}

// choice returns what decides v while the store fails.
func (v *verdict) choice() FailurePolicy {
	chosen := FailOpen
	for _, p := range v.from {
		switch p.rule.onFail {
		case FailClosed:
			return FailClosed
		case UseMemory:
			chosen = UseMemory
		}
	}
	return chosen
}

// decideHere makes the memory of the process decide the ops of rules that use it. The other ops are
// allowed and cost nothing. They have more left than any bucket holds, so they are never the
// strictest.
func (e *engine) decideHere(ctx context.Context, v *verdict) {
	var ops []store.Op
	for i := range v.ops {
		op := &v.ops[i]
		switch p := v.from[i]; {
		case p.rule.onFail != UseMemory:
			open := *p
			open.quiet = true
			v.from[i] = &open
			op.Cost, op.Result = 0, store.Result{Allowed: true, Remaining: math.MaxInt64}
			continue
		case p.local != nil:
			v.from[i] = p.local
			op.Limit = p.local.Limit
		}
		ops = append(ops, *op)
	}
	_ = e.local().tables.Apply(ctx, ops) // it fails only for invalid ops
	for i := range v.ops {
		if v.from[i].rule.onFail == UseMemory {
			v.ops[i].Result, ops = ops[0].Result, ops[1:]
		}
	}
}

// charged is ops that have taken tokens, with their policies.
type charged struct {
	ops  []store.Op
	from []*policy
}

// taken returns the ops by which v has taken tokens, in the store or in local memory.
func (v *verdict) taken() charged {
	if v.failed == "" {
		return charged{v.ops, v.from}
	}
	var taken charged
	for i, p := range v.from {
		if v.failed == UseMemory && p.here {
			taken.ops, taken.from = append(taken.ops, v.ops[i]), append(taken.from, p)
		}
	}
	return taken
}

// amend applies ops, which refund and charge what was taken before, where it was taken: in the
// store or in local memory. If the store fails now, the ops are lost, and amend returns its error.
// It reorders ops and from, except the ops of one rule.
func (e *engine) amend(ctx context.Context, ops []store.Op, from []*policy) (err error) {
	if e.memory != nil {
		return e.memory.tables.Apply(ctx, ops)
	}
	there := 0
	for i := range ops {
		if !from[i].here {
			ops[there], ops[i] = ops[i], ops[there]
			from[there], from[i] = from[i], from[there]
			there++
		}
	}
	if there > 0 {
		err = e.ask(ctx, ops[:there])
	}
	if there < len(ops) {
		_ = e.local().tables.Apply(ctx, ops[there:]) // it fails only for invalid ops
	}
	return err
}

// refund refunds what ops have taken.
func (e *engine) refund(ctx context.Context, taken charged) {
	c := e.newCall()
	defer e.free(c)
	for i := range taken.ops {
		if op := &taken.ops[i]; op.Cost > 0 {
			c.addOne(taken.from[i], op.Key, op.Cost, store.Refund)
			c.ops[len(c.ops)-1].Shared = op.Result.Overflow
		}
	}
	if len(c.ops) > 0 {
		_ = e.amend(ctx, c.ops, c.from) // reported there
	}
}

// now returns the time by which the limiter decides.
func (e *engine) now() time.Time {
	if e.cfg.Clock != nil {
		return e.cfg.Clock()
	}
	return time.Now()
}
