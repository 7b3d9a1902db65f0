package verdict

import (
	"time"

	"github.com/ratelimit-go/ratelimit/internal/rank"
	"github.com/ratelimit-go/ratelimit/store"
)

// A Verdict is the ops of a decision, each with its policy, and what decided besides limits. The
// ops have their Results once a store has decided.
//
// The Outcome is behind a pointer for the sake of escape analysis, which does not tell fields
// apart: its strings end up in responses, but Ops and From can be on the stack.
type Verdict struct {
	Ops  []store.Op
	From []*Policy // of Ops
	*Outcome
	Counted bool // the store has counted the outcome
}

// An Outcome is what decided besides limits.
type Outcome struct {
	Field  string   // RateLimit-Policy, or empty if it must be made from the policies
	Denied Denial   // what denied the request besides limits
	Failed Fallback // what decided instead of the store; empty if the store decided
	Err    error    // of the store
}

// A Denial is one by something other than a limit. It is none if Reason is empty.
type Denial struct {
	Rule   *Rule
	Key    store.Key
	Reason string
	Wait   time.Duration
}

// Charged is ops that have taken tokens, with their policies.
type Charged struct {
	Ops  []store.Op
	From []*Policy
}

// Add adds an op for each limit of p.
func (v *Verdict) Add(p *Plan, k store.Key, cost int64, kind store.Kind) {
	for i := range p.Policies {
		v.AddOne(&p.Policies[i], k, cost, kind)
	}
}

// AddOne adds an op for one limit.
func (v *Verdict) AddOne(pol *Policy, k store.Key, cost int64, kind store.Kind) {
	v.From = append(v.From, pol)
	v.Ops = append(v.Ops, store.Op{})
	op := &v.Ops[len(v.Ops)-1] // filled in here, because a literal would be copied
	op.Kind, op.Limit, op.Key, op.Cost = kind, pol.Limit, k, cost
}

// Decided reports whether a store has decided, here or elsewhere.
func (v *Verdict) Decided() bool { return v.Failed == "" || v.Failed == Memory }

// Limited reports whether limits have decided.
func (v *Verdict) Limited() bool {
	return len(v.Ops) > 0 && v.Denied.Reason == "" && v.Decided()
}

// Strictest returns the index of the op that decided. It returns -1 if no op or something else
// decided.
func (v *Verdict) Strictest() int {
	if !v.Limited() {
		return -1
	}
	return rank.Strictest(v.Ops)
}

// Allowed reports whether the request is allowed, if the op with that index decided.
func (v *Verdict) Allowed(worst int) bool {
	if worst >= 0 {
		return v.Ops[worst].Result.Allowed
	}
	return v.Denied.Reason == "" && v.Failed != Closed
}

// CountNear counts v, which allows a request, for rules of which it leaves little.
func (v *Verdict) CountNear() {
	var last *Rule
	for i, p := range v.From {
		if v.Ops[i].Result.Remaining < p.Near && p.Rule != last && v.Limited() {
			last = p.Rule
			last.Tally.Near.Add(1)
		}
	}
}

// Copy returns a copy of v that shares nothing with it.
func (v *Verdict) Copy() *Verdict {
	outcome := *v.Outcome
	c := &Verdict{Outcome: &outcome}
	c.Ops, c.From = append(c.Ops, v.Ops...), append(c.From, v.From...)
	return c
}
