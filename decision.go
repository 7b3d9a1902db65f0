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

// check is one decision under way. It is pooled.
type check struct {
	ops      []Op
	policies []policy // of the ops
	rules    []*rule  // of the ops
	refused  *rule    // for lack of an identity
	failed   FailurePolicy
}

func (l *Limiter) getCheck() *check { return l.scratch.Get().(*check) }

func (l *Limiter) putCheck(c *check) {
	clear(c.policies)
	clear(c.rules)
	for i := range c.ops {
		c.ops[i].Limit = nil
	}
	c.ops, c.policies, c.rules, c.refused, c.failed = c.ops[:0], c.policies[:0], c.rules[:0], nil, 0
	l.scratch.Put(c)
}

func (c *check) add(r *rule, policies []policy, key Key, cost int64, kind OpKind) {
	for i := range policies {
		c.ops = append(c.ops, Op{Kind: kind, Limit: policies[i].NamedLimit, Key: key, Cost: cost})
		c.policies = append(c.policies, policies[i])
		c.rules = append(c.rules, r)
	}
}

// collect adds what rules ask of req, and reports whether none refuses it outright.
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
			c.add(r, r.limits(l, req), key, r.cost(l, req), kind)
		}
	}
	return true
}

func (c *check) decision() Decision {
	switch {
	case c.refused != nil:
		return Decision{Reason: ReasonUnidentified, Rule: c.refused.Name}
	case c.failed == FailOpen:
		return Decision{Allowed: true, Reason: ReasonStore, StoreFailed: true}
	case c.failed == FailClosed:
		return Decision{Reason: ReasonStore, RetryAfter: time.Second, StoreFailed: true}
	case len(c.ops) == 0:
		return Decision{Allowed: true}
	}
	worst := 0
	for i := 1; i < len(c.ops); i++ {
		if stricter(&c.ops[i], &c.ops[worst]) {
			worst = i
		}
	}
	op := &c.ops[worst]
	d := Decision{
		Allowed: op.Result.Allowed, Rule: op.Limit.rule, Limit: op.Limit.limit, Key: op.Key, Remaining: op.Result.Remaining,
		RetryAfter: op.Result.RetryAfter, ResetAfter: op.Result.ResetAfter, StoreFailed: c.failed != 0,
	}
	switch {
	case op.Result.Never:
		d.Reason = ReasonNever
	case !d.Allowed:
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
