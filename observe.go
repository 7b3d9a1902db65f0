package ratelimit

import (
	"context"
	"iter"
	"maps"
	"net/http"
	"slices"

	"github.com/ratelimit-go/ratelimit/internal/fanout"
	"github.com/ratelimit-go/ratelimit/internal/report"
	"github.com/ratelimit-go/ratelimit/internal/tally"
	"github.com/ratelimit-go/ratelimit/stats"
	"github.com/ratelimit-go/ratelimit/store"
)

// Hooks are functions that a [Limiter] calls. A nil function costs nothing. If a function panics,
// Error is told and the request goes on.
type Hooks struct {
	_ [0]func()

	// Decided is called for each request that a rule or a list decided, before the response. The
	// iterator yields the decision of each rule. It is valid only during the call.
	Decided func(r *http.Request, d Decision, rules iter.Seq[Decision])
	// Denied is called for each denied request, before the response.
	Denied func(r *http.Request, d Decision)
	// DryRun is called for each request that a rule in the mode [DryRun] would have denied.
	DryRun func(r *http.Request, d Decision)
	// Taken is called for each decision of [Limiter.Take] and [Limiter.Wait], and for each Take of
	// [Limiter.Apply].
	Taken func(ctx context.Context, d Decision)
	// Blocked is called once for each block that [Rule].Block begins, in the process that begins
	// it.
	Blocked func(ctx context.Context, b Blocked)
	// StoreState is called once for each change of the state of Store. Nil logs with [log/slog]
	// that it is down, why and what decides now, and that it is up again.
	StoreState func(ctx context.Context, s store.State)
	// Error is called for each error of Store (a [*store.Error]) and of a function in the Config,
	// once for each sign of a wrong deployment, and once when the store begins to have no room for
	// keys. The error of a panic has a method Stack() []byte, for [errors.As]. Error is not called
	// for decisions without a call of Store. Nil logs one error every 10 seconds, and each sign.
	Error func(ctx context.Context, err error)
}

// Observe adds h to the Hooks of the Config, until stop is called. It is for pages and exporters
// that are made after the Limiter. A nil function of h logs nothing.
func (l *Limiter) Observe(h Hooks) (stop func()) {
	set := func(edit func(all []*Hooks) []*Hooks) {
		l.changing.Lock()
		defer l.changing.Unlock()
		l.observers = edit(slices.Clone(l.observers))
		l.hooks.Store(l.allHooks(l.observers))
	}
	set(func(all []*Hooks) []*Hooks { return append(all, &h) })
	return func() {
		set(func(all []*Hooks) []*Hooks {
			return slices.DeleteFunc(all, func(o *Hooks) bool { return o == &h })
		})
	}
}

// allHooks returns the Hooks of the Config and of observers as one. Its Error is of observers only.
func (e *engine) allHooks(observers []*Hooks) *Hooks {
	own := e.cfg.Hooks
	own.Error = nil // the reporter calls it
	all := Hooks{}
	for _, h := range append([]*Hooks{&own}, observers...) {
		all.Decided = fanout.Three(e.safely("Decided"), all.Decided, h.Decided)
		all.Denied = fanout.Two(e.safely("Denied"), all.Denied, h.Denied)
		all.DryRun = fanout.Two(e.safely("DryRun"), all.DryRun, h.DryRun)
		all.Taken = fanout.Two(e.safely("Taken"), all.Taken, h.Taken)
		all.Blocked = fanout.Two(e.safely("Blocked"), all.Blocked, h.Blocked)
		all.StoreState = fanout.Two(e.safely("StoreState"), all.StoreState, h.StoreState)
		all.Error = fanout.Two(silently, all.Error, h.Error)
	}
	return &all
}

// safely returns a function that calls another one, and reports its panic.
func (e *engine) safely(what string) fanout.Caller {
	return func(f func()) {
		e.reporter.Call(context.Background(), what, func() error { f(); return nil })
	}
}

// tellError tells observers of an error that the Hooks of the Config have been told.
func (e *engine) tellError(ctx context.Context, err error) {
	if hook := e.hooks.Load().Error; hook != nil {
		hook(ctx, err)
	}
}

// silently calls a function that reports errors. Its own panic is not reported.
func silently(f func()) { _ = report.Safely(func() error { f(); return nil }) }

// tellDecided calls the hook Decided.
func (e *engine) tellDecided(r *http.Request, v *verdict) {
	// A copy, so that a verdict on the stack stays there if there is no hook.
	why := *v.outcome
	decided := verdict{outcome: &why}
	decided.ops = append(decided.ops, v.ops...)
	decided.from = append(decided.from, v.from...)
	var d Decision
	decided.decide(&d)
	e.safely("Decided")(func() { e.hooks.Load().Decided(r, d, decided.decisions()) })
}

// allowed counts a request that v allows, under all rules that applied to it.
func (e *engine) allowed(v *verdict, rules []*rule) {
	if !v.counted {
		for _, r := range rules {
			r.tally.Add(tally.Allowed)
		}
	}
	v.countNear()
}

// countNear counts v, which allows a request, for rules of which it leaves little.
func (v *verdict) countNear() {
	var last *rule
	for i, p := range v.from {
		if v.ops[i].Result.Remaining < p.near && p.rule != last && v.limited() {
			last = p.rule
			last.tally.Near.Add(1)
		}
	}
}

// denied counts a request that was denied by r, or by none.
func (e *engine) denied(r *rule, reason Reason) {
	t := &e.unruled
	if r != nil {
		t = &r.tally.Outcomes
	}
	t.Add(tally.OutcomeOf(string(reason)))
}

// taken counts the decision of a Take under r, and calls the hooks. If r is nil, the rule is gone.
func (e *engine) taken(ctx context.Context, r *rule, d *Decision) {
	switch {
	case r == nil || r.mode == Off:
	case !d.Allowed:
		e.denied(r, d.Reason)
	default:
		r.tally.Add(tally.Allowed)
		if d.Reason != "" && d.Reason != ReasonStore {
			r.tally.DryRun.Add(1)
		}
	}
	e.counted(ctx, r, d)
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

// counted counts the decision of a Take that leaves little, and calls the hooks. The rest of it is
// counted.
func (e *engine) counted(ctx context.Context, r *rule, d *Decision) {
	if r != nil && d.Reason == "" && d.Remaining < nearLimit(e.cfg.NearLimit, d.Limit.Burst) {
		r.tally.Near.Add(1)
	}
	if hook := e.hooks.Load().Taken; hook != nil {
		dec := *d // captured instead of d, which then stays on the stack if there is no hook
		e.safely("Taken")(func() { hook(ctx, dec) })
	}
}

// Stats returns the counters of l in this process.
func (l *Limiter) Stats() stats.Snapshot {
	s := stats.Snapshot{Denied: l.unruled.Denied(), Store: stats.Store{State: store.Up}}
	if l.memory != nil {
		l.memory.tables.Count()
		s.Memory = l.memory.Stats()
	}
	if l.guard != nil {
		s.Store = l.guard.Stats()
		s.Store.FailedOpen, s.Store.FailedClosed = l.failedOpen.Load(), l.failedClosed.Load()
		s.Store.FailedToMemory = l.failedToMemory.Load()
		if s.Store.FailedToMemory > 0 {
			s.Memory = l.local().Stats()
		}
	}
	inFlight, waiting := l.inFlight.ByRule(), l.waiting.ByRule() // two for each request that waits
	all := l.table.Load().byName.All()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		r := all[name]
		rs := stats.Rule{
			Name: r.Name, Limits: r.Limits.String(), Mode: string(r.Mode),
			InFlight: inFlight[r.Name], Waiting: waiting[r.Name] / 2,
		}
		r.tally.Fill(&rs)
		s.Rules = append(s.Rules, rs)
	}
	return s
}
