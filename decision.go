package ratelimit

import (
	"net/http"
	"time"
)

// Decision is the outcome for one request: allowed or not, and where the limit that
// decided it stands. That is the refusing limit with the longest wait, or, if all
// admitted, the one with the smallest share of its burst left.
type Decision struct {
	// Allowed reports whether the request may go on.
	Allowed bool
	// Reason says why it is refused, or admitted out of the ordinary.
	Reason Reason
	// Rule is the name of the rule that decided, "" if none applies.
	Rule string
	// Limit is its limit that decided.
	Limit Limit
	// Key is whom the rule counted.
	Key Key
	// Remaining is the number of whole tokens left.
	Remaining int64
	// RetryAfter is how long to wait for all refusing limits to admit the same request, if
	// nobody else takes a token. It is zero if waiting does not help.
	RetryAfter time.Duration
	// ResetAfter is how long the bucket takes to be full.
	ResetAfter time.Duration
	// StoreFailed reports that the store failed and OnStoreFailure decided.
	StoreFailed bool
}

// Reason says why a [Decision] came out as it did.
type Reason uint8

const (
	// ReasonNone is an ordinary admission.
	ReasonNone Reason = iota
	// ReasonLimit is a refusal because a bucket has too few tokens.
	ReasonLimit
	// ReasonNever is a refusal because a bucket can never hold that many tokens.
	ReasonNever
	// ReasonUnidentified is a refusal for lack of an identity.
	ReasonUnidentified
	// ReasonStore is what OnStoreFailure chose, FailOpen or FailClosed.
	ReasonStore
)

// check is one decision under way. It is pooled; what it points to when it is put back is
// compiled rules, which live as long.
type check struct {
	ops      []Op
	policies []*policy // of the ops
	plans    []*plan
	buf      []byte // scratch for texts
	refused  *rule  // for lack of an identity
	failed   FailurePolicy
}

func (l *Limiter) getCheck() *check { return l.scratch.Get().(*check) }

func (l *Limiter) putCheck(c *check) {
	c.ops, c.policies, c.plans, c.refused, c.failed = c.ops[:0], c.policies[:0], c.plans[:0], nil, 0
	l.scratch.Put(c)
}

func (c *check) add(p *plan, key Key, cost int64, kind OpKind) {
	c.plans = append(c.plans, p)
	for i := range p.policies {
		pol := &p.policies[i]
		c.ops = append(c.ops, Op{Kind: kind, Limit: pol.NamedLimit, Key: key, Cost: cost})
		c.policies = append(c.policies, pol)
	}
}

// collect adds the ops of all of rules that apply to req. It is false if one refuses for
// lack of an identity.
func (c *check) collect(l *Limiter, rules []*rule, req *http.Request, kind OpKind) bool {
	for _, r := range rules {
		if !r.applies(l, req) {
			continue
		}
		key, ok := r.key(l, req)
		if !ok {
			c.refused = r
			return false
		}
		if !key.IsZero() {
			c.add(r.limits(l, req), key, r.cost(l, req), kind)
		}
	}
	return true
}

// worst returns the op that decided, or nil if there are none or the store's failure did.
func (c *check) worst() *Op {
	if len(c.ops) == 0 || c.refused != nil || c.failed == FailOpen || c.failed == FailClosed {
		return nil
	}
	worst := &c.ops[0]
	for i := 1; i < len(c.ops); i++ {
		if op := &c.ops[i]; stricter(op, worst) {
			worst = op
		}
	}
	return worst
}

func (c *check) decision() Decision {
	if op := c.worst(); op != nil {
		return op.decision(c.failed != 0)
	}
	switch {
	case c.refused != nil:
		return Decision{Reason: ReasonUnidentified, Rule: c.refused.Name}
	case c.failed == FailClosed:
		return Decision{Reason: ReasonStore, RetryAfter: time.Second, StoreFailed: true}
	case c.failed == FailOpen:
		return Decision{Allowed: true, Reason: ReasonStore, StoreFailed: true}
	}
	return Decision{Allowed: true}
}

// decision returns the Decision that op made.
func (op *Op) decision(failed bool) Decision {
	res := &op.Result
	d := Decision{
		Allowed: res.Allowed, Rule: op.Limit.rule, Limit: op.Limit.limit, Key: op.Key, Remaining: res.Remaining,
		RetryAfter: res.RetryAfter, ResetAfter: res.ResetAfter, StoreFailed: failed,
	}
	switch {
	case res.Never:
		d.Reason = ReasonNever
	case !res.Allowed:
		d.Reason = ReasonLimit
	}
	return d
}

// stricter reports whether the answer to a matters more than that to b.
func stricter(a, b *Op) bool {
	x, y := &a.Result, &b.Result
	switch {
	case x.Allowed != y.Allowed:
		return y.Allowed
	case x.Never != y.Never:
		return x.Never
	case !x.Allowed:
		return x.RetryAfter > y.RetryAfter
	}
	return float64(x.Remaining)/float64(a.Limit.limit.Burst) < float64(y.Remaining)/float64(b.Limit.limit.Burst)
}
