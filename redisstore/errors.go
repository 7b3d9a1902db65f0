package redisstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"

	"github.com/ratelimit-go/ratelimit/store"
)

// Error is the error of a decision that Redis could not make.
type Error struct {
	// Reason is store.ReasonTimeout, ReasonConnect, ReasonReadOnly, ReasonCluster, ReasonBusy,
	// ReasonMemory, ReasonAuth, ReasonKey or ReasonScript.
	Reason store.Reason
	// Err is the error of the client.
	Err error

	hint string
	told *atomic.Bool // whether Repeated was called; nil if err is the failure of one call
}

// Error returns the reason and the text of the client's error, and what to do if that is known.
func (e *Error) Error() string {
	return fmt.Sprintf("redisstore: %s: %v%s", e.Reason, e.Err, e.hint)
}

// MarshalText implements [encoding.TextMarshaler], so that JSON has the text of Error.
func (e *Error) MarshalText() ([]byte, error) { return []byte(e.Error()), nil }

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
	return &Error{Reason: reasonOf(err), Err: err, hint: hintOf(err)}
}

// newSharedError is newError for the failure of a script that decided for several callers.
func newSharedError(err error) *Error {
	e := newError(err)
	return &Error{Reason: e.Reason, Err: e.Err, hint: e.hint, told: new(atomic.Bool)}
}

// reasons are the reasons by the first word of the server's error.
var reasons = map[string]store.Reason{
	"READONLY":    store.ReasonReadOnly,
	"MASTERDOWN":  store.ReasonReadOnly,
	"NOREPLICAS":  store.ReasonReadOnly,
	"UNBLOCKED":   store.ReasonReadOnly, // the server became a replica meanwhile
	"REDIRECT":    store.ReasonReadOnly, // Valkey, for READONLY
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
	"DENIED":      store.ReasonAuth, // protected mode
	noTime:        store.ReasonAuth,
	"WRONGTYPE":   store.ReasonKey,
}

// noTime is the word that the scripts put before the error of TIME.
const noTime = "NOTIME"

// phrases are the reasons of errors without a word of their own.
var phrases = []struct {
	text   string
	reason store.Reason
}{
	{"can't run this command", store.ReasonAuth},
	{"can't access at least one of the keys", store.ReasonAuth},
	{"no permissions", store.ReasonAuth},
	{"nknown command", store.ReasonAuth}, // renamed away
	{"nknown Redis command", store.ReasonAuth},
	{"not allowed from script", store.ReasonAuth},
	{"invalid password", store.ReasonAuth},
	{"without any password configured", store.ReasonAuth},
	{"max number of clients", store.ReasonBusy},
}

// hints are what to do about an error, by words in it.
var hints = []struct{ text, hint string }{
	{noTime, "the store needs the server's clock, " +
		"so let scripts call TIME: by +time in the ACL of the user, and without rename-command"},
	{"non deterministic", "the server replicates scripts instead of their effects: " +
		"remove \"lua-replicate-commands no\" from its configuration"},
	{"WRONGTYPE", "another program uses this key: choose another Prefix"},
}

func hintOf(err error) string {
	if answer := ServerError(""); errors.As(err, &answer) {
		for _, h := range hints {
			if strings.Contains(string(answer), h.text) {
				return ": " + h.hint
			}
		}
	}
	return ""
}

func reasonOf(err error) store.Reason {
	if answer := ServerError(""); errors.As(err, &answer) {
		return answer.reason()
	}
	var timeout net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return store.ReasonTimeout
	}
	return store.ReasonConnect
}

func (e ServerError) reason() store.Reason {
	if r, ok := reasons[e.word()]; ok {
		return r
	}
	for _, p := range phrases {
		if strings.Contains(string(e), p.text) {
			return p.reason
		}
	}
	return store.ReasonScript
}

// word returns the word that says what is wrong. Before Redis 7, and in Dragonfly, an error that
// ends a script has the line of the script before that word:
//
//	ERR Error running script (call to f_...): @user_script:1: @user_script: 1: -READONLY ...
//
// Kvrocks puts ERR before it.
func (e ServerError) word() string {
	text := strings.TrimPrefix(string(e), "-")
	if _, inner, ok := strings.Cut(text, ": -"); ok && strings.HasPrefix(text, "ERR Error running script") {
		text = inner
	}
	word, _, _ := strings.Cut(strings.TrimPrefix(text, "ERR "), " ")
	return word
}

// crossSlot reports whether the server, or a proxy before it, rejected a script because its keys
// are on different slots.
func (e ServerError) crossSlot() bool {
	text := string(e)
	return e.word() == "CROSSSLOT" || strings.HasPrefix(text, "ERR ") &&
		(strings.Contains(text, "same slot") || strings.Contains(text, "same server"))
}

// Renews reports whether another connection may meet a server that works: this one does not let the
// script work, for any key. It may be a replica that was the primary, and that the name of the
// server does not lead to any more.
func (e ServerError) Renews() bool {
	switch e.reason() {
	case store.ReasonKey, store.ReasonScript:
		return false
	case store.ReasonCluster:
		return e.word() == "MOVED" || e.word() == "CLUSTERDOWN"
	}
	return true
}
