// Package verdict is the answer of a store to one request: ops, their policies, and what they tell
// the client.
package verdict

import (
	"cmp"
	"math"
	"strings"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/pace"
	"github.com/ratelimit-go/ratelimit/internal/respond"
	"github.com/ratelimit-go/ratelimit/internal/tally"
	"github.com/ratelimit-go/ratelimit/store"
)

// A Fallback is what decides while the store fails.
type Fallback string

// The fallbacks.
const (
	Open   Fallback = "open"
	Closed Fallback = "closed"
	Memory Fallback = "memory"
)

// A Rule is what policies know of their rule. It is immutable.
type Rule struct {
	Name, Mode string
	OnFail     Fallback
	Parts      int           // the instances, each of which enforces its part with the fallback Memory
	MaxWait    time.Duration // how long a request may be held
	Near       float64       // the part of a burst that is little; 0 means a fifth
	Quiet      bool          // the rule stays out of header fields and bodies
	Tally      *tally.Rule
	Owner      any // the rule that was compiled
}

// A Plan is the limits of a rule. It is immutable.
type Plan struct {
	Policies []Policy // none if unlimited
	Field    string   // the members of RateLimit-Policy; empty if the rule is quiet
}

// A Policy is one limit of a plan, with its texts.
type Policy struct {
	*store.Limit
	respond.Policy
	Rule  *Rule
	Queue pace.Queue
	Local *Policy // replaces it while the store fails, with the fallback Memory; nil means itself
	Near  int64   // fewer tokens than these are little
	Here  bool    // it is enforced by this process alone, while the store fails
	Quiet bool    // it stays out of header fields and bodies
}

// NewPlan compiles limits that have been checked.
func NewPlan(r *Rule, limits []pace.Limit) *Plan {
	p := new(Plan)
	var fields []string
	places := pace.Places(limits)
	for i, l := range limits {
		pol := newPolicy(r, places[i], i, len(limits), l)
		if r.OnFail == Memory {
			local := newPolicy(r, places[i], i, len(limits), l.Share(int64(r.Parts)))
			local.Here = true
			pol.Local = &local
		}
		p.Policies = append(p.Policies, pol)
		fields = append(fields, pol.Field)
	}
	if !r.Quiet {
		p.Field = strings.Join(fields, ", ")
	}
	return p
}

// EveryPlace returns a plan with a limit for each place of n, whose numbers mean nothing. It is for
// resets.
func EveryPlace(r *Rule, n int) *Plan {
	every := new(Plan)
	for i := range n {
		any := newPolicy(r, i, i, n, pace.Limit{Count: 1, Period: time.Second})
		every.Policies = append(every.Policies, any)
	}
	return every
}

// newPolicy compiles a limit that has been checked. Its bucket is known by place.
func newPolicy(r *Rule, place, index, of int, l pace.Limit) Policy {
	larger, extra := l.Extend(r.MaxWait)
	limit, err := store.NewLimit(r.Name, place, larger.Count, larger.Period, larger.Burst)
	if err != nil {
		panic(err) // unreachable: the limits have been checked
	}
	return Policy{
		Limit: limit.Versioned(), Rule: r,
		Policy: respond.NewPolicy(respond.PolicyName(r.Name, index, of), l.Count, l.Period),
		Queue:  pace.Queue{Pace: pace.Of(l.Count, l.Period), Burst: limit.Burst(), Extra: extra},
		Quiet:  r.Quiet, Near: r.NearLimit(limit.Burst() - extra),
	}
}

// NearLimit returns how many tokens are little of burst, rounded up.
func (r *Rule) NearLimit(burst int64) int64 {
	return int64(math.Ceil(NearShare(r.Near) * float64(burst)))
}

// NearShare returns the part of a burst that is little, if near is the NearLimit of a Config.
func NearShare(near float64) float64 { return cmp.Or(near, 0.2) }

// Shown returns the limit as the user wrote it, with Burst filled in.
func (p *Policy) Shown() pace.Limit {
	return pace.Limit{Count: p.Limit.Count(), Period: p.Period(), Burst: p.Burst() - p.Queue.Extra}
}

// Had returns how many whole tokens of its cost a Peek has found.
func (p *Policy) Had(op *store.Op) int64 {
	if op.Result.Allowed {
		return op.Cost
	}
	return p.Queue.Found(op.Cost, op.Result.RetryAfter)
}
