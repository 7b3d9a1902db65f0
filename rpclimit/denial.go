package rpclimit

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/ratelimit-go/ratelimit"
)

// The status codes of denials, as gRPC and Connect number them.
const (
	codeCanceled          = 1
	codeDeadlineExceeded  = 4
	codePermissionDenied  = 7
	codeResourceExhausted = 8
	codeUnavailable       = 14
)

// Denial is a call or message that may not go on, for adapters. The zero value with a Decision is
// the denial of an HTTP middleware.
type Denial struct {
	// Decision is the decision of the rule that denied with the longest wait.
	Decision ratelimit.Decision
	// Err is the error of the context if the client left while it waited. The Decision then says
	// nothing.
	Err error

	shown  []ratelimit.Decision // what the client may know
	hidden bool                 // the client may not know the Decision
}

// Code returns the status code: ResourceExhausted (8) if a limit denied, Unavailable (14) if the
// store failed or capacity is short, and PermissionDenied (7) without a key. If the client left, it
// is Canceled (1) or DeadlineExceeded (4).
func (d *Denial) Code() uint32 {
	switch {
	case errors.Is(d.Err, context.DeadlineExceeded):
		return codeDeadlineExceeded
	case d.Err != nil:
		return codeCanceled
	}
	switch d.Decision.Status() {
	case http.StatusForbidden:
		return codePermissionDenied
	case http.StatusServiceUnavailable:
		return codeUnavailable
	}
	return codeResourceExhausted
}

// RetryDelay returns how long the client should wait, in whole milliseconds, rounded up. It is zero
// if waiting does not help, or the wait is not known.
func (d *Denial) RetryDelay() time.Duration {
	const ms = time.Millisecond
	return (max(d.Decision.RetryAfter, 0) + ms - 1) / ms * ms
}

// Pushback returns the value of the metadata grpc-retry-pushback-ms: [Denial.RetryDelay] in
// milliseconds, or "-1" if the client should not try again. It is empty if the client should choose
// the time itself, because the store failed.
func (d *Denial) Pushback() string {
	switch wait := d.RetryDelay(); {
	case wait > 0:
		return strconv.FormatInt(wait.Milliseconds(), 10)
	case d.Err != nil || d.Decision.Reason == ratelimit.ReasonStore:
		return ""
	}
	return "-1"
}

// RetryAfter returns the value of the field Retry-After: the RetryDelay in seconds, rounded up. It
// is empty if there is no RetryDelay.
func (d *Denial) RetryAfter() string {
	if d.RetryDelay() <= 0 {
		return ""
	}
	return strconv.FormatInt(seconds(d.RetryDelay()), 10)
}

// Message returns the text for the client. It has the name and limit of the rule unless the rule
// is hidden, and never a key.
func (d *Denial) Message() string {
	if d.Err != nil {
		return "left while waiting for tokens: " + d.Err.Error()
	}
	text := ""
	switch d.Decision.Reason {
	case ratelimit.ReasonNoKey:
		text = "the call does not say who makes it"
	case ratelimit.ReasonDenied:
		text = "the client is on the deny list"
	case ratelimit.ReasonStore:
		text = "the rate limiter is out of order"
	case ratelimit.ReasonExceedsBurst:
		text = "the call costs more than the limit can ever allow"
	case ratelimit.ReasonInFlight, ratelimit.ReasonCapacity:
		text = "too many calls at the same time"
	case ratelimit.ReasonBlocked:
		text = "the client is blocked"
	default:
		text = "too many calls"
	}
	if q, ok := d.Quota(); ok {
		text += " for " + q
	}
	if wait := d.RetryDelay(); wait > 0 {
		text += fmt.Sprintf("; retry after %v", wait)
	}
	return text
}

// Quota returns the name of the rule that denied with its limit, such as `"calls" (100 per
// minute)`, for a QuotaFailure. It returns false if no limit denied, or the rule is hidden.
func (d *Denial) Quota() (text string, ok bool) {
	switch d.Decision.Reason {
	case ratelimit.ReasonNoKey, ratelimit.ReasonDenied, ratelimit.ReasonStore:
		return "", false
	}
	if d.Err != nil || d.hidden || d.Decision.OmitHeaders || d.Decision.Rule == "" {
		return "", false
	}
	text = strconv.Quote(d.Decision.Rule)
	if d.Decision.Limit.Count > 0 {
		text += " (" + d.Decision.Limit.String() + ")"
	}
	return text, true
}

// Error returns the Message.
func (d *Denial) Error() string { return d.Message() }
