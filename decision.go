package ratelimit

import (
	"net/http"
	"slices"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/mode"
	"github.com/ratelimit-go/ratelimit/internal/recorder"
	"github.com/ratelimit-go/ratelimit/internal/respond"
)

// Decision is the outcome of one request, or of one rule for it. If several limits decided, it is
// the decision of the strictest: the limit that denied with the longest wait, or else the limit
// with the smallest share of its burst left.
type Decision struct {
	// Allowed reports whether the request may go on.
	Allowed bool
	// Local reports that the store failed and the memory of this process decided ([UseMemory]).
	// Limit is then the part that this instance enforces.
	Local bool
	// Overflow reports that the store had no room for Key, so several keys share the bucket.
	Overflow bool
	// OmitHeaders tells a DenyHandler that the response must not name Rule: it has OmitHeaders, or
	// it is a budget, or the limiter does not know it. It is set for a DenyHandler only.
	OmitHeaders bool `json:",omitzero"`
	// Reason says why the request was denied. If the request was allowed, it is empty, except for
	// ReasonStore after FailOpen, and for [Limiter.Take] under a rule in DryRun.
	Reason Reason
	// Rule is the name of the rule that decided. It is empty if no rule applies.
	Rule string
	// Mode is the mode of the rule.
	Mode Mode
	// Limit is the limit of the rule that decided. It is zero if something else decided.
	Limit Limit `json:",omitzero"` // the zero Limit has no text
	// Key is the key that the rule counted.
	Key Key
	// Remaining is the number of whole tokens left.
	Remaining int64
	// RetryAfter is how long to wait until all limits that denied would allow the same request, if
	// no other request takes a token. It is zero if waiting does not help.
	RetryAfter time.Duration
	// ResetAfter is the time until the bucket is full.
	ResetAfter time.Duration
	// StoreErr is the failure of the store, usually a [*store.Error]. OnStoreFailure then made the
	// decision. It is nil if the store decided.
	StoreErr error
}

// Reason says why a request was denied.
type Reason string

// The reasons. The Reason of an ordinary decision to allow is empty.
const (
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
	return respond.ProblemOf(string(d.Reason)).Status
}

// Mode says whether a [Rule] denies requests. Try a rule out with [DryRun], roll it out with
// [EnforcePercent], and switch it off in an emergency with [Limiter.SetMode].
type Mode string

const unknownMode = "unknown mode %q: want Enforce, DryRun, Off or EnforcePercent"

const (
	// Enforce is the ordinary mode.
	Enforce Mode = "enforce"
	// DryRun counts as Enforce does but denies no request. Hooks.DryRun is told of requests that
	// the rule would have denied. Responses do not show the rule. Each such rule is one more call
	// of the Store, after the other rules have allowed the request. InFlight, MaxWait and Block do
	// nothing.
	DryRun Mode = "dry-run"
	// Off does not apply the rule at all.
	Off Mode = "off"
)

// EnforcePercent is [Enforce] for percent of all keys, always the same keys, and [DryRun] for the
// others. From 0 down it is DryRun, and from 100 up it is Enforce. A greater percentage includes
// the keys of a smaller one. Each rule selects different keys.
func EnforcePercent(percent int) Mode { return Mode(mode.Percent(percent)) }

// parse returns Enforce, DryRun or Off, and of which percentage of keys a DryRun is enforced.
func (m Mode) parse() (base Mode, percent int, ok bool) {
	text, percent, ok := mode.Parse(string(m))
	return Mode(text), percent, ok
}

// Response is how a request was answered, for the functions of a [Rule], a [Block] and a login that
// depend on the response.
type Response struct {
	// Request is the request that the handler was given.
	Request *http.Request
	// Status is the status code. It is 101 if the handler hijacked the connection, and 500 if it
	// panicked before it wrote a status. It is 0 if the handler returned without writing: net/http
	// then sends 200, but a framework may answer with an error that the handler returned.
	Status int
	// Header is what was sent: trailers have [http.TrailerPrefix] in their names. Do not change it.
	Header http.Header
	// Bytes is the number of bytes of the body that were written.
	Bytes int64
	// Duration is how long the handler took.
	Duration time.Duration
	// Panicked reports that the handler did not return.
	Panicked bool
	// Hijacked reports that the handler hijacked the connection. The response ends there.
	Hijacked bool
	// Cost is what was reserved for the rule, or what [SetCost] has made of it, in tokens.
	Cost int64
}

// Failures reports whether res has a status of 400 or more or an unknown one, or the handler
// panicked. It is for [Rule].CountOnly and [Block].When.
func Failures(res Response) bool { return res.Status >= 400 || res.Status == 0 || res.Panicked }

// StatusIn returns a function that reports whether a response has one of the given status codes. It
// is for [Rule].CountOnly and [Block].When. With 401 and 403 only failed logins count. StatusIn
// panics without codes, and for a code that no response has.
func StatusIn(codes ...int) func(Response) bool {
	codes = recorder.MustStatuses("StatusIn", codes)
	return func(res Response) bool { return slices.Contains(codes, res.Status) }
}
