package ratelimit

import (
	"context"
	"iter"
	"net/http"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/respond"
)

// Decision is the outcome of one request, or of one rule for it. If several limits decided, it is
// the decision of the strictest: the limit that denied with the longest wait, or else the limit with
// the smallest share of its burst left.
type Decision struct {
	// Allowed reports whether the request may go on.
	Allowed bool
	// Reason says why the request was denied. If the request was allowed, it is empty or
	// ReasonStore.
	Reason Reason
	// Rule is the name of the rule that decided. It is empty if no rule applies.
	Rule string
	// Mode is the mode of the rule.
	Mode Mode
	// Limit is the limit of the rule that decided.
	Limit Limit
	// Key says who was counted.
	Key Key
	// Remaining is the number of whole tokens left.
	Remaining int64
	// RetryAfter is how long to wait until all limits that denied would allow the same request, if no
	// other request takes a token. It is zero if waiting does not help.
	RetryAfter time.Duration
	// ResetAfter is the time until the bucket is full.
	ResetAfter time.Duration
	// Overflow reports that the store had no room for Key, so several keys share the bucket.
	Overflow bool
	// Local reports that the store failed and the memory of this process decided ([UseMemory]).
	// Limit is then the part that this instance enforces.
	Local bool
	// StoreErr is the failure of the store, usually a [*store.Error]. OnStoreFailure then made the
	// decision. It is nil if the store decided.
	StoreErr error
}

// Reason says why a request was denied.
type Reason string

const (
	// ReasonNone is the reason of an ordinary decision to allow.
	ReasonNone Reason = ""
	// ReasonLimit means that a bucket has too few tokens.
	ReasonLimit Reason = "limit"
	// ReasonExceedsBurst means that a bucket can never hold as many tokens.
	ReasonExceedsBurst Reason = "exceeds-burst"
	// ReasonNoKey means that the request has no key, and its rule denies such requests.
	ReasonNoKey Reason = "no-key"
	// ReasonStore means that the store failed, and FailOpen or FailClosed decided.
	ReasonStore Reason = "store"
	// ReasonInFlight means that the key has as many requests in flight as its rule allows.
	ReasonInFlight Reason = "in-flight"
	// ReasonCapacity means the same for a rule that counts all clients together.
	ReasonCapacity Reason = "capacity"
	// ReasonBlocked means that the key is blocked: see [Block].
	ReasonBlocked Reason = "blocked"
	// ReasonDenied means that the client is on the list Config.Deny.
	ReasonDenied Reason = "denied"
)

// Status returns the HTTP status for d: 403 if the client is on the deny list or has no key, 503 if
// the service is short of capacity or the store failed, and 429 for other denials. It is 200 if d
// allows the request.
func (d Decision) Status() int {
	if d.Allowed {
		return http.StatusOK
	}
	return problemOf(d.Reason).Status
}

// The responses to denied requests. Limits deny with the first.
var (
	overLimit     = quotaExceeded("Too many requests.")
	overBurst     = quotaExceeded("The request costs more than its limit can ever allow.")
	overInFlight  = quotaExceeded("Too many requests at once.")
	blockedByRule = respond.Problem{
		Type: respond.ProblemTypes + "abnormal-usage-detected", Status: http.StatusTooManyRequests,
		Title: "Too Many Requests", Text: "Blocked because of abnormal usage.",
	}
	noKey  = forbidden("The request carries no identity to count it by.")
	denied = forbidden("Access is denied.")
)

func quotaExceeded(text string) respond.Problem {
	return respond.Problem{
		Type: respond.ProblemTypes + "quota-exceeded", Status: http.StatusTooManyRequests,
		Title: "Too Many Requests", Text: text,
	}
}

func forbidden(text string) respond.Problem {
	return respond.Problem{Type: "about:blank", Status: http.StatusForbidden, Title: "Forbidden", Text: text}
}

func problemOf(reason Reason) *respond.Problem {
	switch reason {
	case ReasonNoKey:
		return &noKey
	case ReasonDenied:
		return &denied
	case ReasonBlocked:
		return &blockedByRule
	case ReasonStore, ReasonCapacity:
		return &respond.ReducedCapacity
	case ReasonInFlight:
		return &overInFlight
	case ReasonExceedsBurst:
		return &overBurst
	}
	return &overLimit
}

// DecisionFrom returns the decision by which the request with this context was allowed. Of several
// limiters and decorators it is the innermost. It returns false if there is none: no limiter has
// seen the request, or the request was exempt.
func DecisionFrom(ctx context.Context) (d Decision, ok bool) {
	a := admissionOf(ctx)
	if a == nil {
		return d, false
	}
	a.decide(&d)
	return d, true
}

// Decisions returns the decisions by which the request with this context was allowed, one for each
// rule that applied: the rules of the innermost limiter or decorator first.
func Decisions(ctx context.Context) iter.Seq[Decision] {
	return func(yield func(Decision) bool) {
		for a := admissionOf(ctx); a != nil; a = admissionOf(a.Context) {
			for d := range a.decisions() {
				if !yield(d) {
					return
				}
			}
		}
	}
}
