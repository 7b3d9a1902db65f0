package ratelimit

import (
	"context"
	"iter"
	"math"
	"math/bits"
	"net/http"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/inflight"
	"github.com/ratelimit-go/ratelimit/store"
)

// A verdict is the ops of a decision, each with its policy, and what decided besides limits. The ops
// have their Results once a store has decided.
//
// The outcome is behind a pointer for the sake of escape analysis, which does not tell fields apart:
// its strings end up in responses, but ops and from can be on the stack.
type verdict struct {
	ops  []store.Op
	from []*policy // of ops
	*outcome
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

// A call is one decision under way, with all that it needs until it ends. Calls are pooled.
type call struct {
	verdict
	own      outcome      // of verdict
	settling []settlement // rules whose response decides
	observed []observation
	waiters  []*rule // rules that hold requests
	holds    []hold  // limits that hold this one
	permits  []inflight.Permit
	suspects []suspect
	parts    []part // of Limiter.Apply
	body     []byte // of a denial
	extra    []byte
}

func (l *Limiter) newCall() *call {
	if c, ok := l.calls.Get().(*call); ok {
		return c
	}
	c := new(call)
	c.outcome = &c.own
	return c
}

// free makes c available for another decision. It clears only what is tested for being empty.
func (l *Limiter) free(c *call) {
	c.ops, c.from, c.own = c.ops[:0], c.from[:0], outcome{}
	c.settling, c.observed, c.waiters = c.settling[:0], c.observed[:0], c.waiters[:0]
	c.permits, c.suspects, c.parts = c.permits[:0], c.suspects[:0], c.parts[:0]
	l.calls.Put(c)
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

// collect adds the ops of all rules of set that apply to req, and what else these rules need. It
// returns false if a rule denies the request without a call of the store.
func (c *call) collect(l *Limiter, set *ruleSet, req *http.Request, kind store.Kind) bool {
	var client Key // found once for all rules
	for _, r := range set.rules {
		if r.mode == Off || !r.applies(l, req) {
			continue
		}
		k, ok := client, true
		if !r.byClient || client.IsZero() {
			k, ok = r.keyOf(l, req)
		}
		switch {
		case !ok && r.mode == DryRun: // the rule would deny the request, so it counts nothing
			continue
		case !ok:
			c.denied = denial{rule: r, reason: ReasonNoKey}
			return false
		case k.IsZero():
			continue
		case r.byClient && r.OnMissingKey != SkipRule && r.OnMissingKey != DenyRequest:
			client = k
		}
		if !c.collectOne(l, r, req, k, kind) {
			return false
		}
	}
	return true
}

// collectOne adds what one rule needs for the key k.
func (c *call) collectOne(l *Limiter, r *rule, req *http.Request, k Key, kind store.Kind) bool {
	observed := kind == store.Take && !r.enforces(k)
	if r.block != nil && kind == store.Take && !observed && c.suspect(l, r, k) {
		return false
	}
	p, cost := r.limitsOf(l, req.Context(), k), r.cost(l, req)
	switch {
	case observed:
		c.observed = append(c.observed, observation{r, p, k, cost})
		if r.charges() {
			c.settling = append(c.settling, settlement{r, k, cost, true})
		}
		return true
	case kind == store.Take:
		c.control(r, k, cost)
	}
	c.add(p, k, cost, kind)
	return true
}

// control notes what r does besides taking tokens.
func (c *call) control(r *rule, k Key, cost int64) {
	if r.settles {
		c.settling = append(c.settling, settlement{r, k, cost, false})
	}
	if r.MaxWait > 0 {
		c.waiters = append(c.waiters, r)
	}
	if r.InFlight > 0 {
		c.permits = append(c.permits, r.permit(k))
	}
}

// apply makes the store decide, or what was chosen for a store that fails.
func (l *Limiter) apply(ctx context.Context, v *verdict) error {
	switch {
	case len(v.ops) == 0:
		return nil
	case l.memory != nil:
		return l.memory.tables.Apply(ctx, v.ops)
	}
	if err := store.CheckOps(v.ops); err != nil {
		return err
	}
	if err := l.ask(ctx, v.ops); err != nil {
		l.fail(ctx, v, err)
	}
	return nil
}

// decided reports whether the Results are those of a store, here or elsewhere.
func (v *verdict) decided() bool { return v.failed == "" || v.failed == UseMemory }

// strictest returns the index of the op that decided. It returns -1 if there is none, or if
// something else decided.
func (v *verdict) strictest() int {
	if len(v.ops) == 0 || v.denied.reason != ReasonNone || !v.decided() {
		return -1
	}
	return strictest(v.ops)
}

// allowed reports whether the request is allowed, if the op with that index decided.
func (v *verdict) allowed(worst int) bool {
	if worst >= 0 {
		return v.ops[worst].Result.Allowed
	}
	return v.denied.reason == ReasonNone && v.failed != FailClosed
}

// decide sets d, which must be zero, to the decision of v.
func (v *verdict) decide(d *Decision) {
	v.decideBy(d, v.strictest())
}

func (v *verdict) decideBy(d *Decision, worst int) {
	d.StoreErr = v.err
	switch {
	case worst >= 0:
		v.from[worst].decide(d, &v.ops[worst])
	case v.denied.reason != ReasonNone:
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
			worst := i + strictest(v.ops[i:end])
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

// strictest returns the index of the op whose answer matters most, the first of several alike.
func strictest(ops []store.Op) int {
	worst := 0
	for i := 1; i < len(ops); i++ { // stricter, without a call
		a, b := &ops[i], &ops[worst]
		if !a.Result.Allowed || !b.Result.Allowed {
			if severity(a) > severity(b) {
				worst = i
			}
		} else if scarcer(a, b) {
			worst = i
		}
	}
	return worst
}

// stricter reports whether the answer to a matters more than the answer to b.
func stricter(a, b *store.Op) bool {
	if a.Result.Allowed && b.Result.Allowed {
		return scarcer(a, b)
	}
	return severity(a) > severity(b)
}

// scarcer reports whether a has a smaller share of its burst left than b. A store may wrongly
// return a negative Remaining.
func scarcer(a, b *store.Op) bool {
	xhi, xlo := bits.Mul64(uint64(max(a.Result.Remaining, 0)), uint64(b.Limit.Burst()))
	yhi, ylo := bits.Mul64(uint64(max(b.Result.Remaining, 0)), uint64(a.Limit.Burst()))
	return xhi < yhi || xhi == yhi && xlo < ylo
}

// severity ranks a denial. A store may wrongly return a negative RetryAfter.
func severity(op *store.Op) time.Duration {
	switch res := &op.Result; {
	case res.Allowed:
		return -1
	case res.ExceedsBurst:
		return math.MaxInt64
	default:
		return max(res.RetryAfter, 0)
	}
}
