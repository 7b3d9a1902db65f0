package redisstore

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"sync/atomic"

	"github.com/ratelimit-go/ratelimit"
)

// Error is the error of a decision that Redis could not make.
type Error struct {
	// Reason is one of FailureTimeout, FailureConnect, FailureReadOnly, FailureCluster, FailureBusy,
	// FailureMemory, FailureAuth and FailureScript.
	Reason ratelimit.FailureReason
	// Err is the error of the client.
	Err error

	told *atomic.Bool // of a script that decided for several callers
}

// Error returns the reason and the text of the client's error.
func (e *Error) Error() string { return "redisstore: " + string(e.Reason) + ": " + e.Err.Error() }

// Unwrap returns the client's error.
func (e *Error) Unwrap() error { return e.Err }

// FailureReason is how package ratelimit learns the reason.
func (e *Error) FailureReason() ratelimit.FailureReason { return e.Reason }

// Repeated is how package ratelimit learns that it was told of a failure before: those whose decisions were sent as
// one script all have its error, and it is false for the first of them who asks. So one broken connection
// is one failure, and not as many as there are callers.
func (e *Error) Repeated() bool { return e.told != nil && e.told.Swap(true) }

func newError(err error) *Error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	return &Error{Reason: reasonOf(err), Err: err}
}

// newSharedError is newError for all whose decisions err is the outcome of.
func newSharedError(err error) *Error {
	e := newError(err)
	return &Error{Reason: e.Reason, Err: e.Err, told: new(atomic.Bool)}
}

// reasons are told by the first word of the server's error. An error inside the script has
// that word first too, from Redis 7 on.
var reasons = map[string]ratelimit.FailureReason{
	"READONLY": ratelimit.FailureReadOnly, "MASTERDOWN": ratelimit.FailureReadOnly, "NOREPLICAS": ratelimit.FailureReadOnly,
	"MOVED": ratelimit.FailureCluster, "ASK": ratelimit.FailureCluster, "CLUSTERDOWN": ratelimit.FailureCluster, "TRYAGAIN": ratelimit.FailureCluster, "CROSSSLOT": ratelimit.FailureCluster,
	"BUSY": ratelimit.FailureBusy, "LOADING": ratelimit.FailureBusy,
	"OOM": ratelimit.FailureMemory, "MISCONF": ratelimit.FailureMemory,
	"NOAUTH": ratelimit.FailureAuth, "NOPERM": ratelimit.FailureAuth, "WRONGPASS": ratelimit.FailureAuth,
}

func reasonOf(err error) ratelimit.FailureReason {
	var answer ServerError
	if errors.As(err, &answer) {
		word, _, _ := strings.Cut(strings.TrimPrefix(string(answer), "-"), " ")
		if r, ok := reasons[word]; ok {
			return r
		}
		return ratelimit.FailureScript
	}
	var timeout net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.As(err, &timeout) && timeout.Timeout() {
		return ratelimit.FailureTimeout
	}
	return ratelimit.FailureConnect
}
