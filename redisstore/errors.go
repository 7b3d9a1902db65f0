package redisstore

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"sync/atomic"

	"github.com/ratelimit-go/ratelimit/store"
)

// Error is the error of a decision that Redis could not make.
type Error struct {
	// Reason is store.ReasonTimeout, ReasonConnect, ReasonReadOnly, ReasonCluster, ReasonBusy,
	// ReasonMemory, ReasonAuth or ReasonScript.
	Reason store.Reason
	// Err is the error of the client.
	Err error

	told *atomic.Bool // whether Repeated was called; nil if err is the failure of one call
}

// Error returns the reason and the text of the client's error.
func (e *Error) Error() string { return "redisstore: " + string(e.Reason) + ": " + e.Err.Error() }

// Unwrap returns the client's error.
func (e *Error) Unwrap() error { return e.Err }

// FailureReason returns e.Reason. By this method [store.ReasonOf] learns it.
func (e *Error) FailureReason() store.Reason { return e.Reason }

// Repeated reports whether the failure was reported before. All callers whose decisions were sent
// as one script share its error: Repeated returns false to the first of them and true to the
// others. So one broken connection counts as one failure, see [store.Reason].
func (e *Error) Repeated() bool { return e.told != nil && e.told.Swap(true) }

func newError(err error) *Error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	return &Error{Reason: reasonOf(err), Err: err}
}

// newSharedError is newError for the failure of a script that decided for several callers.
func newSharedError(err error) *Error {
	e := newError(err)
	return &Error{Reason: e.Reason, Err: e.Err, told: new(atomic.Bool)}
}

// reasons are the reasons by the first word of the server's error. Since Redis 7 an error inside
// the script begins with that word too.
var reasons = map[string]store.Reason{
	"READONLY":    store.ReasonReadOnly,
	"MASTERDOWN":  store.ReasonReadOnly,
	"NOREPLICAS":  store.ReasonReadOnly,
	"MOVED":       store.ReasonCluster,
	"ASK":         store.ReasonCluster,
	"CLUSTERDOWN": store.ReasonCluster,
	"TRYAGAIN":    store.ReasonCluster,
	"CROSSSLOT":   store.ReasonCluster,
	"BUSY":        store.ReasonBusy,
	"LOADING":     store.ReasonBusy,
	"OOM":         store.ReasonMemory,
	"MISCONF":     store.ReasonMemory,
	"NOAUTH":      store.ReasonAuth,
	"NOPERM":      store.ReasonAuth,
	"WRONGPASS":   store.ReasonAuth,
}

func reasonOf(err error) store.Reason {
	var answer ServerError
	if errors.As(err, &answer) {
		word, _, _ := strings.Cut(strings.TrimPrefix(string(answer), "-"), " ")
		if r, ok := reasons[word]; ok {
			return r
		}
		return store.ReasonScript
	}
	var timeout net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return store.ReasonTimeout
	}
	return store.ReasonConnect
}
