package ratelimit

import (
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/blocks"
	"github.com/ratelimit-go/ratelimit/internal/deploy"
	"github.com/ratelimit-go/ratelimit/internal/guard"
	"github.com/ratelimit-go/ratelimit/internal/inflight"
	"github.com/ratelimit-go/ratelimit/internal/labels"
	"github.com/ratelimit-go/ratelimit/internal/rank"
	"github.com/ratelimit-go/ratelimit/internal/report"
	"github.com/ratelimit-go/ratelimit/internal/tally"
	"github.com/ratelimit-go/ratelimit/internal/turns"
	"github.com/ratelimit-go/ratelimit/store"
)

// An engine makes decisions. It knows nothing of routes.
type engine struct {
	cfg      *Config
	table    atomic.Pointer[table]
	memory   *MemoryStore        // the store, if it is one: it cannot fail
	guard    *guard.Guard        // calls the store, if it is another
	local    func() *MemoryStore // decides while the store fails, with UseMemory
	reporter *report.Reporter
	overflow report.Onset
	calls    sync.Pool // of *call
	inFlight *inflight.Counter
	waiting  *inflight.Counter // of held requests
	leases   *inflight.Leases  // of inFlight; nil if the store has none
	known    *blocks.Known
	watch    *deploy.Watch
	turns    *turns.Book   // of clients that are told to wait
	labels   *labels.Table // of keys

	hooks                                    atomic.Pointer[Hooks] // of the Config and of observers
	unruled                                  tally.Outcomes        // denials by no rule
	failedOpen, failedClosed, failedToMemory atomic.Int64          // decisions
}

// A call is one decision under way, with all that it needs until it ends. Calls are pooled.
type call struct {
	verdict
	own      outcome      // of verdict
	settling []settlement // rules whose response decides
	dryRuns  []dryRun
	applied  []*rule
	waits    bool   // a rule may hold the request
	holds    []hold // limits that hold this one
	permits  []inflight.Permit
	suspects []suspect
	parts    []part // of Limiter.Apply
	body     []byte // of a denial
	extra    []byte
}

// A settlement is a rule whose response decides, as it applies to one request.
type settlement struct {
	rule *rule
	key  Key
	cost int64 // what was reserved
	dry  bool  // the rule denies and blocks no request
}

// A dryRun is a rule in DryRun, as it applies to one request.
type dryRun struct {
	rule *rule
	plan *plan
	key  Key
	cost int64
}

// A hold is a limit whose tokens are not there yet.
type hold struct {
	op   int
	wait time.Duration
	left int64 // without the extra room, and so usually negative
}

// A suspect is a key of a rule with a Block, as it applies to one request.
type suspect struct {
	rule *rule
	key  Key
	ask  bool // it was blocked recently, and this request has to ask the store whether it still is
}

// A part is the ops of one Change.
type part struct {
	rule       *rule
	first, end int
	dry        bool // the rule denies nothing for this key
}

func (e *engine) newCall() *call {
	if c, ok := e.calls.Get().(*call); ok {
		return c
	}
	c := new(call)
	c.outcome = &c.own
	return c
}

// free makes c available for another decision. It clears only what is tested for being empty.
func (e *engine) free(c *call) {
	c.ops, c.from, c.own = c.ops[:0], c.from[:0], outcome{}
	c.settling, c.dryRuns, c.waits = c.settling[:0], c.dryRuns[:0], false
	c.permits, c.suspects, c.parts = c.permits[:0], c.suspects[:0], c.parts[:0]
	c.applied, c.counted = c.applied[:0], false
	e.calls.Put(c)
}

// A verdict is the ops of a decision, each with its policy, and what decided besides limits. The
// ops have their Results once a store has decided.
//
// The outcome is behind a pointer for the sake of escape analysis, which does not tell fields
// apart: its strings end up in responses, but ops and from can be on the stack.
type verdict struct {
	ops  []store.Op
	from []*policy // of ops
	*outcome
	counted bool // ApplyKnown has counted the outcome
}

// An outcome is what decided besides limits.
type outcome struct {
	field  string        // RateLimit-Policy, or empty if it must be made from the policies
	denied denial        // what denied the request besides limits
	failed FailurePolicy // what decided instead of the store; empty if the store decided
	err    error         // of the store
}

// A denial is one by something other than a limit. It is none if reason is empty.
type denial struct {
	rule   *rule
	key    Key
	reason Reason
	wait   time.Duration
}

// add adds an op for each limit of p.
func (v *verdict) add(p *plan, k Key, cost int64, kind store.Kind) {
	for i := range p.policies {
		v.addOne(&p.policies[i], k, cost, kind)
	}
}

func (v *verdict) addOne(pol *policy, k Key, cost int64, kind store.Kind) {
	v.from = append(v.from, pol)
	v.ops = append(v.ops, store.Op{})
	op := &v.ops[len(v.ops)-1] // filled in here, because a literal would be copied
	op.Kind, op.Limit, op.Key, op.Cost = kind, pol.Limit, k, cost
}

// decided reports whether a store has decided, here or elsewhere.
func (v *verdict) decided() bool { return v.failed == "" || v.failed == UseMemory }

// limited reports whether limits have decided.
func (v *verdict) limited() bool {
	return len(v.ops) > 0 && v.denied.reason == "" && v.decided()
}

// strictest returns the index of the op that decided. It returns -1 if no op or something else
// decided.
func (v *verdict) strictest() int {
	if !v.limited() {
		return -1
	}
	return rank.Strictest(v.ops)
}

// allowed reports whether the request is allowed, if the op with that index decided.
func (v *verdict) allowed(worst int) bool {
	if worst >= 0 {
		return v.ops[worst].Result.Allowed
	}
	return v.denied.reason == "" && v.failed != FailClosed
}

// decide sets d, which must be zero, to the decision of v.
func (v *verdict) decide(d *Decision) {
	d.StoreErr = v.err
	switch worst := v.strictest(); {
	case worst >= 0:
		v.from[worst].decide(d, &v.ops[worst])
	case v.denied.reason != "":
		d.Reason, d.Key, d.RetryAfter = v.denied.reason, v.denied.key, v.denied.wait
		if r := v.denied.rule; r != nil {
			d.Rule, d.Mode = r.Name, r.Mode
		}
	case v.failed == FailClosed:
		d.Reason, d.RetryAfter = ReasonStore, time.Second
	case v.failed == FailOpen:
		d.Allowed, d.Reason = true, ReasonStore
	default:
		d.Allowed = true
	}
}

// decisions yields the decision of each rule.
func (v *verdict) decisions() iter.Seq[Decision] {
	return func(yield func(Decision) bool) {
		for i := 0; i < len(v.ops) && v.decided(); {
			end := i + 1
			for end < len(v.ops) && v.from[end].rule == v.from[i].rule {
				end++
			}
			d := Decision{StoreErr: v.err}
			worst := i + rank.Strictest(v.ops[i:end])
			v.from[worst].decide(&d, &v.ops[worst])
			if !yield(d) {
				return
			}
			i = end
		}
	}
}

// decide sets d, which must be zero except for StoreErr, to the decision that op made under p.
func (p *policy) decide(d *Decision, op *store.Op) {
	res := &op.Result
	d.Allowed, d.Rule, d.Mode, d.Limit, d.Key = res.Allowed, p.rule.Name, p.rule.Mode, p.shown(), op.Key
	if d.StoreErr != nil && p.rule.onFail == FailOpen {
		d.Reason = ReasonStore
		return
	}
	d.Remaining, d.RetryAfter, d.ResetAfter = res.Remaining, res.RetryAfter, res.ResetAfter
	d.Overflow, d.Local = res.Overflow, d.StoreErr != nil
	switch {
	case res.ExceedsBurst:
		d.Reason = ReasonExceedsBurst
	case !res.Allowed:
		d.Reason = ReasonLimit
	}
}

// permit returns the permit that a request of k needs.
func (r *rule) permit(k Key) inflight.Permit {
	p := inflight.Permit{
		Rule: r.Name, Key: k, Max: r.InFlight, Alone: r.InFlight, ForAll: r.forAll, Meter: &r.meter,
		Later: r.forAll || r.MaxWait == 0,
	}
	switch r.onFail {
	case FailClosed:
		p.Alone = 0
	case UseMemory:
		p.Alone = max(r.InFlight/max(r.parts, 1), 1)
	}
	return p
}
