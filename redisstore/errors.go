package redisstore

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"

	"github.com/ratelimit-go/ratelimit"
)

// Reason says in one word why a decision failed. It is for counters and alerts.
type Reason string

// The reasons.
const (
	ReasonTimeout  Reason = "timeout"  // no answer in time; the take may have been charged
	ReasonConnect  Reason = "connect"  // no connection, or it broke; the same if it broke
	ReasonReadOnly Reason = "readonly" // a replica was asked, as for some time in a failover
	ReasonCluster  Reason = "cluster"  // the Cluster is down, or a slot is on the move
	ReasonBusy     Reason = "busy"     // the server is loading, or runs a slow script
	ReasonMemory   Reason = "memory"   // maxmemory is reached, with the policy noeviction
	ReasonAuth     Reason = "auth"     // the user may not do what the script does
	ReasonScript   Reason = "script"   // the script failed; see the text
)

// Error is the error of a decision that Redis could not make.
type Error struct {
	Reason Reason
	Err    error // of the client
}

// Error returns the reason and the text of the client's error.
func (e *Error) Error() string { return "redisstore: " + string(e.Reason) + ": " + e.Err.Error() }

// Unwrap returns the client's error.
func (e *Error) Unwrap() error { return e.Err }

// FailureReason is how package ratelimit learns the reason.
func (e *Error) FailureReason() ratelimit.FailureReason { return ratelimit.FailureReason(e.Reason) }

func newError(err error) *Error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	return &Error{Reason: reasonOf(err), Err: err}
}

// reasons are told by the first word of the server's error. An error inside the script has
// that word first too, from Redis 7 on.
var reasons = map[string]Reason{
	"READONLY": ReasonReadOnly, "MASTERDOWN": ReasonReadOnly, "NOREPLICAS": ReasonReadOnly,
	"MOVED": ReasonCluster, "ASK": ReasonCluster, "CLUSTERDOWN": ReasonCluster, "TRYAGAIN": ReasonCluster, "CROSSSLOT": ReasonCluster,
	"BUSY": ReasonBusy, "LOADING": ReasonBusy,
	"OOM": ReasonMemory, "MISCONF": ReasonMemory,
	"NOAUTH": ReasonAuth, "NOPERM": ReasonAuth, "WRONGPASS": ReasonAuth,
}

func reasonOf(err error) Reason {
	var answer ServerError
	if errors.As(err, &answer) {
		word, _, _ := strings.Cut(strings.TrimPrefix(string(answer), "-"), " ")
		if r, ok := reasons[word]; ok {
			return r
		}
		return ReasonScript
	}
	var timeout net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.As(err, &timeout) && timeout.Timeout() {
		return ReasonTimeout
	}
	return ReasonConnect
}
