package postgresstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/ratelimit-go/ratelimit/store"
)

// Error is the error of a decision that PostgreSQL could not make.
type Error struct {
	// Reason is store.ReasonTimeout, ReasonConnect, ReasonReadOnly, ReasonBusy, ReasonMemory,
	// ReasonAuth or ReasonScript.
	Reason store.Reason
	// Err is the error of the driver. It may wrap a [pgconn.PgError].
	Err error

	hint string
	told *atomic.Bool // whether Repeated was called; nil if err is the failure of one call
}

// Error returns the reason and the text of the driver's error, and what to do if that is known.
func (e *Error) Error() string {
	return fmt.Sprintf("postgresstore: %s: %v%s", e.Reason, e.Err, e.hint)
}

// MarshalText implements [encoding.TextMarshaler], so that JSON has the text of Error.
func (e *Error) MarshalText() ([]byte, error) { return []byte(e.Error()), nil }

// Unwrap returns the driver's error.
func (e *Error) Unwrap() error { return e.Err }

// FailureReason returns e.Reason. By this method [store.ReasonOf] learns it.
func (e *Error) FailureReason() store.Reason { return e.Reason }

// Repeated reports whether the failure was reported before. All callers whose decisions were sent
// as one statement share its error: Repeated returns false to the first of them and true to the
// others. So one broken connection counts as one failure, see [store.Reason].
func (e *Error) Repeated() bool { return e.told != nil && e.told.Swap(true) }

// shared returns e for several callers.
func (e *Error) shared() *Error {
	return &Error{Reason: e.Reason, Err: e.Err, hint: e.hint, told: new(atomic.Bool)}
}

func newError(err error) *Error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	return &Error{Reason: reasonOf(err), Err: err, hint: hintOf(err)}
}

// The codes of PostgreSQL that the store acts on.
const (
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	undefinedFunction    = "42883"
	undefinedTable       = "42P01"
	undefinedSchema      = "3F000"
)

// reasons are the reasons by the code of the server's error, or by the class: its first two
// letters. A class stands for all codes that are not here themselves.
var reasons = map[string]store.Reason{
	"08":    store.ReasonConnect, // connection exception; PgBouncer answers so too
	"0A":    store.ReasonScript,
	"22":    store.ReasonScript,
	"23":    store.ReasonScript,
	"25006": store.ReasonReadOnly, // read-only transaction: a standby, or default_transaction_read_only
	"25":    store.ReasonConnect,  // a transaction of this connection is in a state it should not be in
	"28":    store.ReasonAuth,     // password or pg_hba.conf
	"3D":    store.ReasonAuth,     // no such database
	"40":    store.ReasonBusy,     // serialization failure, deadlock
	"42501": store.ReasonAuth,     // permission denied
	"53":    store.ReasonMemory,   // memory, disk
	"53300": store.ReasonBusy,     // too many connections
	"55P03": store.ReasonBusy,     // lock_timeout
	"57014": store.ReasonTimeout,  // statement_timeout, or canceled by a person
	"57":    store.ReasonConnect,  // a backend was terminated, the server shuts down
	"57P03": store.ReasonBusy,     // starting up, or recovering
	"58":    store.ReasonMemory,   // input and output
}

// phrases are the reasons of errors that have no code of their own.
var phrases = []struct {
	text   string
	reason store.Reason
}{
	{"during recovery", store.ReasonReadOnly},                   // an unlogged table of a standby
	{"query_wait_timeout", store.ReasonBusy},                    // PgBouncer: all servers are in use
	{"no more connections allowed", store.ReasonBusy},           // PgBouncer: max_client_conn
	{"unsupported startup parameter", store.ReasonAuth},         // PgBouncer: ignore_startup_parameters
	{"no such user", store.ReasonAuth},                          // PgBouncer
	{"password authentication failed", store.ReasonAuth},        // PgBouncer
	{"no such database", store.ReasonAuth},                      // PgBouncer
	{"read only connection", store.ReasonReadOnly},              // target_session_attrs
	{"read-only connection", store.ReasonReadOnly},              // target_session_attrs
	{"server is in hot standby mode", store.ReasonReadOnly},     // target_session_attrs
	{"server is not in hot standby mode", store.ReasonReadOnly}, // target_session_attrs
}

func reasonOf(err error) store.Reason {
	for _, p := range phrases {
		if strings.Contains(err.Error(), p.text) {
			return p.reason
		}
	}
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		for _, code := range []string{answer.Code, class(answer.Code)} {
			if r, ok := reasons[code]; ok {
				return r
			}
		}
		return store.ReasonScript
	}
	var timeout net.Error
	switch {
	case errors.Is(err, errReply):
		return store.ReasonScript
	case errors.Is(err, errCrowded):
		return store.ReasonBusy
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled),
		errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return store.ReasonTimeout
	}
	return store.ReasonConnect
}

// class returns the class of a code.
func class(code string) string { return code[:min(2, len(code))] }

// codeOf returns the code of the server's error, or "".
func codeOf(err error) string {
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		return answer.Code
	}
	return ""
}

func hintOf(err error) string {
	switch codeOf(err) {
	case undefinedFunction, undefinedTable, undefinedSchema:
		return ": call Store.Migrate, or apply the SQL of Schema"
	case "42501":
		return ": the user needs what the README of this module grants"
	case "25006":
		return ": the server is a standby: let target_session_attrs=read-write find the primary"
	}
	return ""
}
