package ratelimit

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
)

// FailureReason says in one word why a [Store] could not decide, for counters and alerts. The error
// of a Store may have a method
//
//	FailureReason() FailureReason
//
// that tells one of these. Otherwise the reason is found from what packages net and context return. If it
// sends several calls as one, its error may also have a method
//
//	Repeated() bool
//
// that is false the first time for what has failed once, and true each time thereafter: only the first is then
// counted as a failure when five in a row take the Store out of use.
type FailureReason string

// The reasons.
const (
	FailureTimeout  FailureReason = "timeout"  // no answer in time; it may have been charged
	FailureConnect  FailureReason = "connect"  // no connection, or it broke; the same if it broke
	FailureReadOnly FailureReason = "readonly" // a replica was asked
	FailureCluster  FailureReason = "cluster"  // the cluster is down, or is being resharded
	FailureBusy     FailureReason = "busy"     // the server is loading, or occupied
	FailureMemory   FailureReason = "memory"   // the server has no memory left
	FailureAuth     FailureReason = "auth"     // the user is unknown, or may not do this
	FailureScript   FailureReason = "script"   // what runs in the server failed
	FailureInvalid  FailureReason = "invalid"  // the Store finds fault with what is valid, as beyond its range
	FailurePanic    FailureReason = "panic"    // the Store panicked
	FailureDown     FailureReason = "down"     // it was not asked, see ErrStoreDown
	FailureOther    FailureReason = "other"    // none of these
)

// failureReasons is all of them. A Store cannot add to them, so whatever counts by reason is bounded.
var failureReasons = [...]FailureReason{
	FailureTimeout, FailureConnect, FailureReadOnly, FailureCluster, FailureBusy, FailureMemory, FailureAuth, FailureScript,
	FailureInvalid, FailurePanic, FailureDown, FailureOther,
}

// index returns the place of r among failureReasons, that of FailureOther if it has none.
func (r FailureReason) index() int {
	for i, known := range failureReasons {
		if r == known {
			return i
		}
	}
	return len(failureReasons) - 1
}

// StoreError is the error of a decision that the [Store] could not make. It is what [Limiter.Take]
// returns and, but for those with [FailureDown], what Config.OnError is told.
type StoreError struct {
	// Reason is one of the constants, and FailureOther if the Store says something else.
	Reason FailureReason
	// Err is what the Store returned, or says that it panicked or was not asked.
	Err error
}

// Error returns what is wrong, for the operator: no response tells it.
func (e *StoreError) Error() string { return "ratelimit: store: " + e.Err.Error() }

// Unwrap returns e.Err.
func (e *StoreError) Unwrap() error { return e.Err }

// newStoreError returns the StoreError for what a Store has returned. It calls methods of
// err, which may panic.
func newStoreError(err error) *StoreError {
	if errors.Is(err, ErrInvalidOp) {
		return &StoreError{FailureInvalid, errors.New(err.Error())} // it is not the caller's mistake
	}
	reason := failureReasons[reasonOf(err).index()]
	if reason == FailureDown { // which is not for the Store to say
		reason = FailureOther
	}
	return &StoreError{reason, err}
}

// repeats reports whether err is the failure of a call that another caller has been told of.
func repeats(err error) (again bool) {
	defer func() { _ = recover() }() // it is the Store's error
	var tells interface{ Repeated() bool }
	return errors.As(err, &tells) && tells.Repeated()
}

func reasonOf(err error) FailureReason {
	var tells interface{ FailureReason() FailureReason }
	var network net.Error
	switch {
	case errors.As(err, &tells):
		return tells.FailureReason()
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.Is(err, os.ErrDeadlineExceeded):
		return FailureTimeout
	case errors.As(err, &network):
		if network.Timeout() {
			return FailureTimeout
		}
		return FailureConnect
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return FailureConnect
	}
	return FailureOther
}

// StoreState says whether a [Store] is asked.
type StoreState string

// The states of a Store.
const (
	StoreUp         StoreState = "up"         // for all decisions
	StoreDown       StoreState = "down"       // for one now and then, to see whether it is back
	StoreRecovering StoreState = "recovering" // for a growing share of decisions
)

// StoreChange is what Config.OnError is told once for each change of a Store's state. It is an error
// so that one function learns of everything.
type StoreChange struct {
	State StoreState // the new one
}

// Error returns the state and what it means.
func (c *StoreChange) Error() string {
	text := "ratelimit: store: " + string(c.State) + ": it is asked for "
	switch c.State {
	case StoreDown:
		return text + "no decision but a probe now and then"
	case StoreRecovering:
		return text + "a growing share of decisions"
	}
	return text + "all decisions"
}
