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
	"github.com/ratelimit-go/ratelimit/internal/verdict"
	"github.com/ratelimit-go/ratelimit/store"
)

// An engine makes decisions. It does not choose the rules of a request.
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
	none     decorator     // without rules

	hooks                                    atomic.Pointer[Hooks] // of the Config and of observers
	unruled                                  tally.Outcomes        // denials by no rule
	failedOpen, failedClosed, failedToMemory atomic.Int64          // decisions
}

// A call is one decision under way, with all that it needs until it ends. Calls are pooled.
type call struct {
	verdict.Verdict
	own      verdict.Outcome
	settling []settlement // rules whose response decides
	dryRuns  []dryRun
	applied  []*rule
	waits    bool           // a rule may hold the request
	again    bool           // Limiter.Wait tries again, so a denial is no violation
	holds    []verdict.Hold // limits that hold this one
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
	plan *verdict.Plan // nil if the request has no key, and the rule would deny it for that
	key  Key
	cost int64
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
	c.Outcome = &c.own
	return c
}

// free makes c available for another decision. It clears only what is tested for being empty.
func (e *engine) free(c *call) {
	c.Ops, c.From, c.own = c.Ops[:0], c.From[:0], verdict.Outcome{}
	c.settling, c.dryRuns, c.waits, c.again = c.settling[:0], c.dryRuns[:0], false, false
	c.permits, c.suspects, c.parts = c.permits[:0], c.suspects[:0], c.parts[:0]
	c.applied, c.Counted = c.applied[:0], false
	e.calls.Put(c)
}

// ruleOf returns the rule that r is about, or nil.
func ruleOf(r *verdict.Rule) *rule {
	if r == nil {
		return nil
	}
	return r.Owner.(*rule)
}

// conclude sets d, which must be zero, to the decision of v.
func conclude(v *verdict.Verdict, d *Decision) {
	d.StoreErr = v.Err
	switch worst := v.Strictest(); {
	case worst >= 0:
		concludeOne(v.From[worst], d, &v.Ops[worst])
	case v.Denied.Reason != "":
		d.Reason, d.Key, d.RetryAfter = Reason(v.Denied.Reason), v.Denied.Key, v.Denied.Wait
		if r := v.Denied.Rule; r != nil {
			d.Rule, d.Mode = r.Name, Mode(r.Mode)
		}
	case v.Failed == verdict.Closed:
		d.Reason, d.RetryAfter = ReasonStore, time.Second
	case v.Failed == verdict.Open:
		d.Allowed, d.Reason = true, ReasonStore
	default:
		d.Allowed = true
	}
}

// decisions yields the decision of each rule.
func decisions(v *verdict.Verdict) iter.Seq[Decision] {
	return func(yield func(Decision) bool) {
		for i := 0; i < len(v.Ops) && v.Decided(); {
			end := i + 1
			for end < len(v.Ops) && v.From[end].Rule == v.From[i].Rule {
				end++
			}
			d := Decision{StoreErr: v.Err}
			worst := i + rank.Strictest(v.Ops[i:end])
			concludeOne(v.From[worst], &d, &v.Ops[worst])
			if !yield(d) {
				return
			}
			i = end
		}
	}
}

// concludeOne sets d, which must be zero except for StoreErr, to the decision that op made under p.
func concludeOne(p *verdict.Policy, d *Decision, op *store.Op) {
	res, r := &op.Result, p.Rule
	d.Allowed, d.Rule, d.Mode, d.Limit, d.Key = res.Allowed, r.Name, Mode(r.Mode), Limit(p.Shown()), op.Key
	if d.StoreErr != nil && r.OnFail == verdict.Open {
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
	switch r.info.OnFail {
	case verdict.Closed:
		p.Alone = 0
	case verdict.Memory:
		p.Alone = max(r.InFlight/max(r.info.Parts, 1), 1)
	}
	return p
}
