package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
)

// Reason says in one word why a [Store] could not decide, for counters and alerts. A Store cannot
// add to the reasons, so their number is bounded.
//
// The error of a Store may tell its reason by a method
//
//	FailureReason() store.Reason
//
// Otherwise [ReasonOf] finds it from the errors of packages net and context. If a Store sends
// several calls as one, one failure reaches several callers. Its error may then have a method
//
//	Repeated() bool
//
// that is false the first time and true afterwards. Only the first counts as a failure of the
// store. [ReasonKey] and [ReasonInvalid] say nothing about the store, so they never count: a key
// that always fails takes no other key out of use.
type Reason string

// The reasons.
const (
	ReasonTimeout  Reason = "timeout"  // no answer in time; tokens may have been taken
	ReasonConnect  Reason = "connect"  // no connection, or it broke; tokens may have been taken
	ReasonReadOnly Reason = "readonly" // the server is a replica
	ReasonCluster  Reason = "cluster"  // the cluster is down, or is being resharded
	ReasonBusy     Reason = "busy"     // the server is loading, or occupied
	ReasonMemory   Reason = "memory"   // the server has no memory left
	ReasonAuth     Reason = "auth"     // the server does not know the user, or does not allow this
	ReasonScript   Reason = "script"   // code that runs in the server failed
	ReasonKey      Reason = "key"      // what is stored for a key is no bucket; other keys are well
	ReasonInvalid  Reason = "invalid"  // the store rejects a valid op, such as one beyond its range
	ReasonPanic    Reason = "panic"    // the store panicked
	ReasonDown     Reason = "down"     // the store was not called, see ErrDown
	ReasonOther    Reason = "other"    // none of these
)

// Reasons returns all reasons.
func Reasons() []Reason {
	return []Reason{
		ReasonTimeout, ReasonConnect, ReasonReadOnly, ReasonCluster, ReasonBusy, ReasonMemory,
		ReasonAuth, ReasonScript, ReasonKey, ReasonInvalid, ReasonPanic, ReasonDown, ReasonOther,
	}
}

// ErrDown is wrapped by the error of a decision for which the store was not called, because it has
// failed several times in a row. A fraction of a second later one call at a time tries it again.
var ErrDown = errors.New("not called, because it has failed several times in a row")

// Error is the error of a decision that a [Store] could not make.
type Error struct {
	// Reason is one of the constants. It is ReasonOther if the Store says something else.
	Reason Reason
	// Err is what the Store returned. It can also say that the Store panicked or was not called.
	Err error
}

// Error returns what is wrong, for the operator. No response contains it.
func (e *Error) Error() string { return fmt.Sprintf("ratelimit: store: %v", e.Err) }

// MarshalText implements [encoding.TextMarshaler], so that JSON has the text of Error.
func (e *Error) MarshalText() ([]byte, error) { return []byte(e.Error()), nil }

// Unwrap returns e.Err.
func (e *Error) Unwrap() error { return e.Err }

// ReasonOf returns the reason of an error that a [Store] returned. It never returns [ReasonDown],
// which is not for a Store to say.
func ReasonOf(err error) Reason {
	reason := reasonOf(err)
	if reason == ReasonDown || !slices.Contains(Reasons(), reason) {
		return ReasonOther
	}
	return reason
}

func reasonOf(err error) Reason {
	var tells interface{ FailureReason() Reason }
	var network net.Error
	switch {
	case errors.Is(err, ErrInvalidOp):
		return ReasonInvalid
	case errors.As(err, &tells):
		return tells.FailureReason()
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled),
		errors.Is(err, os.ErrDeadlineExceeded):
		return ReasonTimeout
	case errors.As(err, &network):
		if network.Timeout() {
			return ReasonTimeout
		}
		return ReasonConnect
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return ReasonConnect
	}
	return ReasonOther
}

// State says whether the limiter calls a [Store].
type State string

// The states of a store.
const (
	Up         State = "up"         // the limiter calls the store for all decisions
	Down       State = "down"       // the limiter calls it now and then, to see whether it answers
	Recovering State = "recovering" // the limiter calls it for a growing share of decisions
)
