package ratelimit

import (
	"math"
	"math/bits"
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
	// Local reports that it was decided in the memory of this process, since the store
	// failed ([UseMemory]). Limit is then the part that this instance enforces.
	Local bool
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
	// ReasonInFlight is a refusal because the key has as many requests in flight as its rule admits.
	ReasonInFlight
	// ReasonCapacity is the same where the rule counts everybody together, so that it is no fault of
	// the client's.
	ReasonCapacity
	// ReasonBlocked is a refusal because the key is blocked for its offences: see [Penalty].
	ReasonBlocked
	// ReasonDenied is a refusal because the client is on the list Config.Deny.
	ReasonDenied
	// ReasonOverload is a refusal by a [Shedder], because the service is short of capacity.
	ReasonOverload
)

// check is one decision under way. It is pooled; what it points to when it is put back is
// compiled rules, which live as long.
type check struct {
	ops      []Op
	policies []*policy // of the ops
	plans    []*plan
	buf      []byte // scratch for texts
	refused  refusedBy
	failed   FailurePolicy

	controls []control // of rules that do more than take tokens
	observed []observation
	waiters  []*rule // rules that hold requests
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

func (c *check) add(p *plan, key Key, cost int64, kind OpKind) {
	c.plans = append(c.plans, p)
	for i := range p.policies {
		pol := &p.policies[i]
		c.policies = append(c.policies, pol)
		c.ops = append(c.ops, Op{})
		op := &c.ops[len(c.ops)-1] // which is filled in here, since a literal would be copied
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
func (c *check) allowed(worst *Op) bool {
	if worst != nil && c.refused.reason == ReasonNone {
		return worst.Result.Allowed
	}
	return c.refused.reason == ReasonNone && c.failed != FailClosed
}

// worst returns the op that decided, or nil if there are none or the store's failure did.
func (c *check) worst() *Op {
	if len(c.ops) == 0 || c.refused.reason != ReasonNone || c.failed == FailOpen || c.failed == FailClosed {
		return nil
	}
	return strictest(c.ops)
}

// strictest returns the op whose answer matters most, the first of several alike.
func strictest(ops []Op) *Op {
	worst := &ops[0]
	for i := 1; i < len(ops); i++ {
		op := &ops[i] // what follows is stricter, without a call
		if !op.Result.Allowed || !worst.Result.Allowed {
			if op.refusal() > worst.refusal() {
				worst = op
			}
		} else if op.scarcer(worst) {
			worst = op
		}
	}
	return worst
}

// decide sets d, which must be zero, to the decision of c.
func (c *check) decide(d *Decision) {
	switch op := c.worst(); {
	case op != nil:
		op.decide(d)
		d.StoreFailed, d.Local = c.failed != 0, c.failed == UseMemory
	case c.refused.reason != ReasonNone:
		d.Reason, d.Key, d.RetryAfter = c.refused.reason, c.refused.key, c.refused.wait
		if c.refused.rule != nil {
			d.Rule = c.refused.rule.Name
		}
	case c.failed == FailClosed:
		d.Reason, d.RetryAfter, d.StoreFailed = ReasonStore, time.Second, true
	case c.failed == FailOpen:
		d.Allowed, d.Reason, d.StoreFailed = true, ReasonStore, true
	default:
		d.Allowed = true
	}
}

// decide sets d, which must be zero, to the decision that op made.
func (op *Op) decide(d *Decision) {
	res := &op.Result
	d.Allowed, d.Rule, d.Limit, d.Key = res.Allowed, op.Limit.rule, op.Limit.shown(), op.Key
	d.Remaining, d.RetryAfter, d.ResetAfter = res.Remaining, res.RetryAfter, res.ResetAfter
	switch {
	case res.Never:
		d.Reason = ReasonNever
	case !res.Allowed:
		d.Reason = ReasonLimit
	}
}

// stricter reports whether the answer to a matters more than that to b.
func stricter(a, b *Op) bool {
	if a.Result.Allowed && b.Result.Allowed {
		return a.scarcer(b)
	}
	return a.refusal() > b.refusal()
}

// scarcer reports whether a smaller share of the burst is left to op than to the other. No
// store may make Remaining negative.
func (op *Op) scarcer(than *Op) bool {
	xhi, xlo := bits.Mul64(uint64(max(op.Result.Remaining, 0)), uint64(than.Limit.limit.Burst))
	yhi, ylo := bits.Mul64(uint64(max(than.Result.Remaining, 0)), uint64(op.Limit.limit.Burst))
	return xhi < yhi || xhi == yhi && xlo < ylo
}

// refusal ranks a refusal.
func (op *Op) refusal() time.Duration {
	switch res := &op.Result; {
	case res.Allowed:
		return -1
	case res.Never:
		return math.MaxInt64
	default:
		return max(res.RetryAfter, 0) // no store may make it negative
	}
}
