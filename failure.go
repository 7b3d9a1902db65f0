package ratelimit

import (
	"context"
	"fmt"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/report"
	"github.com/ratelimit-go/ratelimit/internal/verdict"
	"github.com/ratelimit-go/ratelimit/store"
)

// apply makes the store decide, or what was chosen for a store that fails.
func (e *engine) apply(ctx context.Context, v *verdict.Verdict) error {
	switch {
	case len(v.Ops) == 0:
		return nil
	case e.memory != nil:
		if err := e.memory.tables.Apply(ctx, v.Ops); err != nil {
			return err
		}
	default:
		if err := store.CheckOps(v.Ops); err != nil {
			return err
		}
		if err := e.ask(ctx, v.Ops); err != nil {
			e.fail(ctx, v, err)
		}
	}
	e.tellOverflow(ctx, v)
	return nil
}

// tellOverflow reports that the store begins to have no room for keys, and not that it goes on.
func (e *engine) tellOverflow(ctx context.Context, v *verdict.Verdict) {
	for i := range v.Ops {
		if v.Ops[i].Result.Overflow && v.Decided() && e.overflow.Begins(e.now()) {
			e.reporter.Report(ctx, fmt.Errorf("ratelimit: rule %q: the store has no room for new keys: "+
				"they share a bucket; see Overflow and MaxKeys", v.From[i].Rule.Name))
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
		e.safely(ctx, "StoreState", func() { hook(ctx, s) })
	}
	if e.cfg.Hooks.StoreState != nil {
		return
	}
	o, soFar := e.guard.Outage(), report.Decisions{
		Open: e.failedOpen.Load(), Closed: e.failedClosed.Load(), Memory: e.failedToMemory.Load(),
	}
	switch s {
	case store.Down:
		p := report.Policies{Instances: e.cfg.Instances}
		for _, r := range e.table.Load().byName.All() {
			p.Add(string(r.info.OnFail))
		}
		e.reporter.Down(ctx, string(o.Failure.Reason), o.Failure.Err, o.InARow, p, soFar)
	case store.Up:
		e.reporter.Up(ctx, o.Lasted, soFar)
	}
}

// fail decides v instead of a store that has failed, as its rules have chosen. If any rule is
// FailClosed, the request is denied. Otherwise the rules with UseMemory decide, all or none, and
// the rules with FailOpen are left out.
func (e *engine) fail(ctx context.Context, v *verdict.Verdict, err error) {
	v.Failed, v.Err, v.Field = v.Choice(), report.Text(err), ""
	switch v.Failed {
	case verdict.Closed:
		e.failedClosed.Add(1)
	case verdict.Memory:
		e.failedToMemory.Add(1)
		v.DecideHere(func(ops []store.Op) {
			_ = e.local().tables.Apply(ctx, ops) // it fails only for invalid ops
		})
	default:
		e.failedOpen.Add(1)
	}
}

// amend applies ops, which refund and charge what was taken before, where it was taken: in the
// store or in local memory. If the store fails now, the ops are lost, and amend returns its error.
// It reorders ops and from, except the ops of one rule.
func (e *engine) amend(ctx context.Context, ops []store.Op, from []*verdict.Policy) (err error) {
	if e.memory != nil {
		return e.memory.tables.Apply(ctx, ops)
	}
	there := 0
	for i := range ops {
		if !from[i].Here {
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
func (e *engine) refund(ctx context.Context, taken verdict.Charged) {
	c := e.newCall()
	defer e.free(c)
	for i := range taken.Ops {
		if op := &taken.Ops[i]; op.Cost > 0 {
			c.AddOne(taken.From[i], op.Key, op.Cost, store.Refund)
			back := &c.Ops[len(c.Ops)-1]
			back.Limit, back.Shared = op.Limit, op.Result.Overflow
		}
	}
	if len(c.Ops) > 0 {
		_ = e.amend(ctx, c.Ops, c.From) // reported there
	}
}

// now returns the time by which the limiter decides.
func (e *engine) now() time.Time {
	if e.cfg.Clock != nil {
		return e.cfg.Clock()
	}
	return time.Now()
}
