package ratelimit

import (
	"math"
	"math/bits"
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
