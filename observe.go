package ratelimit

import (
	"context"
	"net/http"

	"github.com/ratelimit-go/ratelimit/internal/copied"
	"github.com/ratelimit-go/ratelimit/internal/fanout"
	"github.com/ratelimit-go/ratelimit/internal/report"
	"github.com/ratelimit-go/ratelimit/internal/tally"
	"github.com/ratelimit-go/ratelimit/internal/verdict"
)

// allHooks returns the Hooks of the Config and of observers as one. Its Error is of observers only.
func (e *engine) allHooks(observers []*Hooks) *Hooks {
	call := func(what string) fanout.Caller {
		return func(f func()) { e.safely(context.Background(), what, f) }
	}
	own := e.cfg.Hooks
	own.Error = nil // the reporter calls it
	all := Hooks{}
	for _, h := range append([]*Hooks{&own}, observers...) {
		all.Decided = fanout.Three(call("Decided"), all.Decided, h.Decided)
		all.Denied = fanout.Two(call("Denied"), all.Denied, h.Denied)
		all.DryRun = fanout.Two(call("DryRun"), all.DryRun, h.DryRun)
		all.Taken = fanout.Two(call("Taken"), all.Taken, h.Taken)
		all.Blocked = fanout.Two(call("Blocked"), all.Blocked, h.Blocked)
		all.StoreState = fanout.Two(call("StoreState"), all.StoreState, h.StoreState)
		all.Error = fanout.Two(silently, all.Error, h.Error)
	}
	return &all
}

// safely calls the hook what by f, and reports its panic.
func (e *engine) safely(ctx context.Context, what string, f func()) {
	e.reporter.Call(ctx, what, func() error { f(); return nil })
}

// tellError tells observers of an error that the Hooks of the Config have been told.
func (e *engine) tellError(ctx context.Context, err error) {
	if hook := e.hooks.Load().Error; hook != nil {
		hook(ctx, err)
	}
}

// silently calls a function that reports errors. Its own panic is not reported.
func silently(f func()) { _ = report.Safely(func() error { f(); return nil }) }

// tellDecided calls the hook Decided. Rules in DryRun have charged dry, unless it is nil.
func (e *engine) tellDecided(
	w http.ResponseWriter, r *http.Request, v *verdict.Verdict, dry *verdict.Charged,
) {
	hook := e.hooks.Load().Decided
	if hook == nil {
		return
	}
	decided := v.Copy() // so that a verdict on the stack stays there if there is no hook
	var d Decision
	if conclude(decided, &d); dry != nil {
		decided.Ops, decided.From = append(decided.Ops, dry.Ops...), append(decided.From, dry.From...)
	}
	e.safely(r.Context(), "Decided", func() { hook(copied.Whole(w, r), d, decisions(decided)) })
}

// allowed counts a request that v allows, under all rules that applied to it.
func (e *engine) allowed(v *verdict.Verdict, rules []*rule) {
	if !v.Counted {
		for _, r := range rules {
			r.tally.Add(tally.Allowed)
		}
	}
	v.CountNear()
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
	case r == nil || r.mode == Off || e.table.Load().off:
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

// counted counts a Take that leaves little, and calls the hooks. Its caller, or ApplyKnown, has
// counted the outcome.
func (e *engine) counted(ctx context.Context, r *rule, d *Decision) {
	if r != nil && d.Reason == "" && d.Remaining < r.info.NearLimit(d.Limit.Burst) {
		r.tally.Near.Add(1)
	}
	if hook := e.hooks.Load().Taken; hook != nil {
		dec := *d // captured instead of d, which then stays on the stack if there is no hook
		e.safely(ctx, "Taken", func() { hook(ctx, dec) })
	}
}
