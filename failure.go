package ratelimit

import (
	"context"
	"log/slog"
	"math"

	"github.com/ratelimit-go/ratelimit/store"
)

// ask makes the store decide ops, and reports its error. The store is not a MemoryStore.
func (l *Limiter) ask(ctx context.Context, ops []store.Op) error {
	err := l.guard.Apply(ctx, ops)
	if err == nil {
		return nil
	}
	l.reportStore(ctx, err)
	return err
}

// reportStore reports an error of the store, unless the store was not called.
func (l *Limiter) reportStore(ctx context.Context, err *store.Error) {
	if err.Reason != store.ReasonDown {
		l.reporter.Report(ctx, err)
	}
}

// storeState tells the user of a change of the store's state.
func (l *Limiter) storeState(ctx context.Context, s store.State) {
	if hook := l.cfg.Hooks.StoreState; hook != nil {
		l.reporter.Call(ctx, "StoreState", func() error { hook(ctx, s); return nil })
		return
	}
	level := slog.LevelInfo
	if s == store.Down {
		level = slog.LevelError
	}
	slog.Log(ctx, level, "rate limiter: store", "state", s)
}

// fail decides v instead of a store that has failed, as its rules have chosen. If any rule is
// FailClosed, the request is denied. Otherwise the rules with UseMemory decide, all or none, and
// the rules with FailOpen are left out.
func (l *Limiter) fail(ctx context.Context, v *verdict, err error) {
	v.failed, v.err, v.field = v.choice(), err, ""
	switch v.failed {
	case FailClosed:
		l.failedClosed.Add(1)
	case UseMemory:
		l.failedToMemory.Add(1)
		l.decideHere(ctx, v)
	default:
		l.failedOpen.Add(1)
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
func (l *Limiter) decideHere(ctx context.Context, v *verdict) {
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
	_ = l.local().tables.Apply(ctx, ops) // it fails only for invalid ops
	for i := range v.ops {
		if v.from[i].rule.onFail == UseMemory {
			v.ops[i].Result, ops = ops[0].Result, ops[1:]
		}
	}
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

// charged is ops that have taken tokens, with their policies.
type charged struct {
	ops  []store.Op
	from []*policy
}

// amend applies ops, which refund and charge what was taken before, where it was taken: in the store
// or in local memory. If the store fails now, the ops are lost, and amend returns its error. It
// reorders ops and from, except those of one rule.
func (l *Limiter) amend(ctx context.Context, ops []store.Op, from []*policy) (err error) {
	if l.memory != nil {
		return l.memory.tables.Apply(ctx, ops)
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
		err = l.ask(ctx, ops[:there])
	}
	if there < len(ops) {
		_ = l.local().tables.Apply(ctx, ops[there:]) // it fails only for invalid ops
	}
	return err
}

// Stats is a snapshot of the counters of a [Limiter] whose Store can fail. A Limiter with a
// [MemoryStore] counts nothing: see [MemoryStore.Stats]. The counts are of calls since the Limiter
// was made. docs/operating.md says what a call is.
type Stats struct {
	// Store is the state of the Store.
	Store store.State
	// Answered is the number of calls that the Store has decided.
	Answered int64
	// CachedDenials is the number of calls that were denied without a call of the Store, because it
	// had denied the same and the wait was not over.
	CachedDenials int64
	// FailedOpen, FailedClosed and FailedToMemory are the numbers of calls that the Store did not
	// decide, by what decided instead.
	FailedOpen, FailedClosed, FailedToMemory int64
	// Failures counts the failures of the Store by reason.
	Failures map[store.Reason]int64
	// Changes counts how often the Store came into each state.
	Changes map[store.State]int64
}

// Stats returns the counters. It reads them one after another, not at one instant.
func (l *Limiter) Stats() Stats {
	if l.guard == nil {
		return Stats{Store: store.Up}
	}
	g := l.guard.Stats()
	return Stats{
		Store: g.State, Answered: g.Answered, CachedDenials: g.Remembered,
		FailedOpen: l.failedOpen.Load(), FailedClosed: l.failedClosed.Load(), FailedToMemory: l.failedToMemory.Load(),
		Failures: g.Failures, Changes: g.Changes,
	}
}
