package ratelimit

import (
	"net/http"
	"time"
)

// A verdict is the ops of a decision, which have the answers once a store was asked, and what refused
// besides. For a plain rule it is on the stack; for all else it is part of a check.
type verdict struct {
	ops      []Op
	policies []*policy // of the ops
	plans    []*plan
	refused  refusedBy
	failed   FailurePolicy
}

// A check is a decision under way, with what it needs until the verdict is there. It is pooled; what
// it points to when it is put back is compiled rules, which live as long.
type check struct {
	verdict
	buf      []byte    // for the body of a refusal
	controls []control // of rules that do more than take tokens
	observed []observation
	waiters  []*rule // rules that hold requests
	holds    []held  // the ops by which this one is held
	permits  []permit
	suspects []suspect
}

// refusedBy is a refusal by something else than a bucket. It is one if reason is set.
type refusedBy struct {
	rule   *rule
	key    Key
	reason Reason
	wait   time.Duration
}

func (l *Limiter) getCheck() *check { return l.scratch.Get().(*check) }

func (l *Limiter) putCheck(c *check) {
	c.ops, c.policies, c.plans, c.refused, c.failed = c.ops[:0], c.policies[:0], c.plans[:0], refusedBy{}, 0
	if c.controlled() {
		c.controls, c.observed, c.waiters, c.permits = c.controls[:0], c.observed[:0], c.waiters[:0], c.permits[:0]
		c.suspects = c.suspects[:0]
	}
	l.scratch.Put(c)
}

// add adds an op for each limit of p.
func (v *verdict) add(p *plan, key Key, cost int64, kind OpKind) {
	v.plans = append(v.plans, p)
	for i := range p.policies {
		pol := &p.policies[i]
		v.policies = append(v.policies, pol)
		v.ops = append(v.ops, Op{})
		op := &v.ops[len(v.ops)-1] // which is filled in here, since a literal would be copied
		op.Kind, op.Limit, op.Key, op.Cost = kind, pol.NamedLimit, key, cost
	}
}

// collect adds the ops of all of rules that apply to req. It is false if one refuses for
// lack of an identity, or because the key is known to be blocked.
func (c *check) collect(l *Limiter, rules []*rule, req *http.Request, kind OpKind) bool {
	for _, r := range rules {
		mode := r.mode()
		if mode == Off || !r.applies(l, req) {
			continue
		}
		key, ok := r.key(l, req)
		switch {
		case !ok && mode == Observe: // and it is not counted, as if it had been refused
			continue
		case !ok:
			c.refused = refusedBy{rule: r, reason: ReasonUnidentified}
			return false
		case key.IsZero():
			continue
		}
		observed := mode != Enforce && kind == OpTake && !r.enforces(mode, key)
		if r.penalty != nil && kind == OpTake && !observed && c.blocked(l, r, key) {
			return false
		}
		p, cost := r.limits(l, req), r.cost(l, req)
		if observed {
			c.observed = append(c.observed, observation{r, p, key, cost})
			if r.Charge != nil {
				c.controls = append(c.controls, control{r, key, cost, true})
			}
			continue
		}
		c.add(p, key, cost, kind)
		if r.special {
			c.control(l, r, key, cost)
		}
	}
	return true
}

// allowed reports whether the request is admitted.
func (v *verdict) allowed(worst *Op) bool {
	if worst != nil && v.refused.reason == ReasonNone {
		return worst.Result.Allowed
	}
	return v.refused.reason == ReasonNone && v.failed != FailClosed
}

// worst returns the op that decided, or nil if there are none or the store's failure did.
func (v *verdict) worst() *Op {
	if len(v.ops) == 0 || v.refused.reason != ReasonNone || v.failed == FailOpen || v.failed == FailClosed {
		return nil
	}
	return strictest(v.ops)
}

// decide sets d, which must be zero, to the decision of v.
func (v *verdict) decide(d *Decision) {
	switch op := v.worst(); {
	case op != nil:
		op.decide(d)
		d.StoreFailed, d.Local = v.failed != 0, v.failed == UseMemory
	case v.refused.reason != ReasonNone:
		d.Reason, d.Key, d.RetryAfter = v.refused.reason, v.refused.key, v.refused.wait
		if v.refused.rule != nil {
			d.Rule = v.refused.rule.Name
		}
	case v.failed == FailClosed:
		d.Reason, d.RetryAfter, d.StoreFailed = ReasonStore, time.Second, true
	case v.failed == FailOpen:
		d.Allowed, d.Reason, d.StoreFailed = true, ReasonStore, true
	default:
		d.Allowed = true
	}
}
