package rpclimit

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/inflight"
	"github.com/ratelimit-go/ratelimit/internal/report"
	"github.com/ratelimit-go/ratelimit/store"
)

// Bounds on calls that wait for tokens.
const (
	maxWaiting    = 1_000 // of a key under a rule
	maxWaitingAll = 10_000
)

// takeOne takes the tokens of a single rule. It sets d to the decision, and ch to the change. If
// the rule does not apply, ch has no key. It allocates nothing unless the rule denies.
func (g *Guard) takeOne(
	ctx context.Context, c *Call, rules []*rule, msg any, d *ratelimit.Decision, ch *ratelimit.Change,
) *Denial {
	r := rules[0]
	k, ok := g.keyOf(ctx, c, &r.target)
	switch {
	case !ok && r.missing == ratelimit.DenyRequest:
		return noKey(&r.target)
	case !ok:
		return nil
	}
	ch.Kind, ch.Rule, ch.Key, ch.Cost = store.Take, r.name, k, g.costOf(ctx, c, r, msg)
	var err error
	*d, err = g.limiter.Take(ctx, r.name, k, ch.Cost)
	if err == nil && d.Allowed {
		return nil
	}
	t := taking{g, c, rules, []ratelimit.Decision{*d}}
	denial := t.finish(ctx, []ratelimit.Change{*ch}, err)
	*d = t.ds[0]
	return denial
}

// few is the number of rules for whose changes callers of take have room on their stack.
const few = 3

// taking takes tokens for one call or message. The changes are not in it, because its other fields
// escape to the heap.
type taking struct {
	guard *Guard
	call  *Call
	rules []*rule              // that apply
	ds    []ratelimit.Decision // of rules
}

// take takes the tokens of several rules in one step. It appends the changes of the rules that
// apply to changes.
func (t *taking) take(
	ctx context.Context, rules []*rule, msg any, changes []ratelimit.Change,
) ([]ratelimit.Change, *Denial) {
	changes, d := t.prepare(ctx, rules, msg, changes)
	if d != nil || len(t.rules) == 0 {
		return changes, d
	}
	return changes, t.finish(ctx, changes, t.apply(ctx, changes))
}

// finish waits for the tokens if they were denied and all rules have time.
func (t *taking) finish(ctx context.Context, changes []ratelimit.Change, err error) *Denial {
	if err == nil && t.worst() >= 0 && t.patience() > 0 {
		err = t.wait(ctx, changes)
	}
	if err != nil {
		return t.failure(ctx, err)
	}
	return t.denial()
}

// prepare finds the keys and costs.
func (t *taking) prepare(
	ctx context.Context, rules []*rule, msg any, changes []ratelimit.Change,
) ([]ratelimit.Change, *Denial) {
	t.rules = rules
	for _, r := range rules {
		k, ok := t.guard.keyOf(ctx, t.call, &r.target)
		switch {
		case ok:
			changes = append(changes, ratelimit.Change{
				Kind: store.Take, Rule: r.name, Key: k, Cost: t.guard.costOf(ctx, t.call, r, msg),
			})
		case r.missing == ratelimit.DenyRequest:
			return nil, noKey(&r.target)
		default:
			t.rules = slices.DeleteFunc(slices.Clone(t.rules), func(other *rule) bool { return other == r })
		}
	}
	return changes, nil
}

// apply tries to take the tokens.
func (t *taking) apply(ctx context.Context, changes []ratelimit.Change) (err error) {
	t.ds, err = t.guard.limiter.Apply(ctx, changes...)
	return err
}

// worst returns which denial has the longest wait, or -1 without a denial. A denial after which
// waiting does not help has the longest.
func (t *taking) worst() int {
	worst := -1
	for i := range t.ds {
		d := &t.ds[i]
		if !d.Allowed && (worst < 0 || t.ds[worst].RetryAfter > 0 &&
			(d.RetryAfter == 0 || d.RetryAfter > t.ds[worst].RetryAfter)) {
			worst = i
		}
	}
	return worst
}

// patience returns how long all rules that denied may wait.
func (t *taking) patience() time.Duration {
	least := time.Hour
	for i, r := range t.rules {
		if !t.ds[i].Allowed {
			least = min(least, r.MaxWait)
		}
	}
	return least
}

// wait waits until the tokens are taken, or a rule denies them for longer than it may wait.
func (t *taking) wait(ctx context.Context, changes []ratelimit.Change) error {
	index := t.worst()
	meter := new(inflight.Meter) // its estimate is not used
	places := []inflight.Permit{
		{Rule: t.rules[index].Name, Key: changes[index].Key, Max: maxWaiting, Meter: meter},
		{Max: maxWaitingAll, Meter: meter}, // of all rules and keys
	}
	if full, _ := t.guard.waiting.Take(places); full != nil {
		return nil // a denial
	}
	defer t.guard.waiting.Release(places, false)
	began := time.Now()
	if len(t.rules) == 1 {
		return t.waitInOrder(ctx, began.Add(t.patience()), &changes[0])
	}
	for {
		worst := t.worst()
		if worst < 0 {
			return nil
		}
		pause, end := t.ds[worst].RetryAfter, began.Add(t.patience())
		if soonest := time.Now().Add(pause); pause <= 0 || soonest.After(end) || late(ctx, soonest) {
			return nil
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		if err := t.apply(ctx, changes); err != nil {
			return err
		}
	}
}

// late reports whether ctx ends before the given instant.
func late(ctx context.Context, then time.Time) bool {
	deadline, ok := ctx.Deadline()
	return ok && deadline.Before(then)
}

// grace lets a call whose tokens come at the end of its MaxWait have them.
const grace = 10 * time.Millisecond

// waitInOrder waits for the tokens of a single rule, in the queue of its budget if that has one.
func (t *taking) waitInOrder(ctx context.Context, end time.Time, ch *ratelimit.Change) error {
	if t.ds[0].RetryAfter > time.Until(end) {
		return nil
	}
	until, cancel := context.WithDeadline(ctx, end.Add(grace))
	defer cancel()
	err := t.guard.limiter.Wait(until, ch.Rule, ch.Key, ch.Cost)
	var denied *ratelimit.DeniedError
	switch {
	case errors.As(err, &denied):
		t.ds[0] = denied.Decision
		return nil
	case err != nil && ctx.Err() == nil && until.Err() != nil:
		return nil // others were faster: the first denial stands
	case err != nil:
		return err
	}
	d, err := t.guard.limiter.Peek(ctx, ch.Rule, ch.Key)
	d.Allowed, d.Reason, d.RetryAfter = true, "", 0 // the tokens of this call are taken
	t.ds[0] = d
	return err
}

// denial returns the denial that the decisions amount to, or nil.
func (t *taking) denial() *Denial {
	worst := t.worst()
	if worst < 0 {
		return nil
	}
	d := &Denial{Decision: t.ds[worst], hidden: t.rules[worst].hidden}
	for i, r := range t.rules {
		if !r.hidden && t.guard.cfg.Fields {
			d.shown = append(d.shown, t.ds[i])
		}
	}
	return d
}

// failure returns the denial for an error: the client has left while it waited, or the limiter does
// not understand the change, such as after SetPolicy without the budget.
func (t *taking) failure(ctx context.Context, err error) *Denial {
	if ctx.Err() != nil {
		return &Denial{Err: report.Text(ctx.Err())}
	}
	t.guard.reporter.Report(ctx, err)
	r := t.rules[0]
	return &Denial{hidden: r.hidden, Decision: ratelimit.Decision{
		Reason: ratelimit.ReasonStore, Rule: r.name, Mode: ratelimit.Enforce, StoreErr: report.Text(err),
	}}
}
