// Package report calls functions of the user that may fail or panic, and reports their errors.
package report

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// logInterval is the least time between two errors in the log. Every request may cause an error.
const logInterval = 10 * time.Second

// A Reporter calls functions of the user and reports errors. It is safe for concurrent use. Make it
// with [New].
type Reporter struct {
	prefix  string // of errors
	message string // of log records
	onError func(ctx context.Context, err error)
	also    []func(ctx context.Context, err error)
	logged  rate.Sometimes
	told    sync.Map // by what was reported once
	outage  outage
}

// New returns a Reporter that passes errors to onError, and then to also. If onError is nil, the
// Reporter logs one error every 10 seconds with [log/slog].
//
// The prefix is the first word of errors, such as "ratelimit". The message is the message of log
// records, such as "rate limiter".
func New(prefix, message string, onError func(context.Context, error), also ...func(context.Context, error),
) *Reporter {
	return &Reporter{
		prefix: prefix, message: message, onError: onError, also: also,
		logged: rate.Sometimes{Interval: logInterval},
	}
}

// Call calls f, and reports its error or panic. The error is "PREFIX: WHAT: ERROR" and wraps the
// error of f, or "PREFIX: WHAT: panic: VALUE".
func (r *Reporter) Call(ctx context.Context, what string, f func() error) {
	if err := Safely(f); err != nil {
		r.Report(ctx, fmt.Errorf("%s: %s: %w", r.prefix, what, err))
	}
}

// Safely calls f, and returns its error, or an error that tells its panic. That error has a method
// Stack() []byte.
func Safely(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = newPanicError(v)
		}
	}()
	return f()
}

// Bounds of what is kept of a panic. A client may have chosen its value.
const (
	maxPanic = 1 << 10 // bytes of the text
	maxStack = 4 << 10
)

// A panicError tells the panic of a function of the user. It does not unwrap the value of the
// panic: that would be taken for an error that the function has returned.
type panicError struct {
	text  string
	stack []byte
}

// newPanicError is called by the function that recovers, so that the stack is still there.
func newPanicError(v any) error {
	e := &panicError{text: fmt.Sprintf("panic: %v", v), stack: make([]byte, maxStack)}
	if len(e.text) > maxPanic {
		e.text = e.text[:maxPanic] + "..."
	}
	e.stack = e.stack[:runtime.Stack(e.stack, false)]
	return e
}

func (e *panicError) Error() string { return e.text }

// Stack returns the beginning of the stack of the goroutine that panicked.
func (e *panicError) Stack() []byte { return e.stack }

// Once reports err, unless it was called with this value of what before. The log does not drop it
// for the sake of other errors. What must be one of few values, because they are kept.
func (r *Reporter) Once(ctx context.Context, what any, err error) {
	if _, told := r.told.LoadOrStore(what, nil); told {
		return
	}
	if r.onError == nil {
		slog.ErrorContext(ctx, r.message, "error", err)
		r.tell(ctx, err, r.also)
		return
	}
	r.Report(ctx, err)
}

// Report reports err as it is. It ignores a panic of the user's onError, because the request must
// not suffer from the report.
func (r *Reporter) Report(ctx context.Context, err error) {
	if r.onError == nil {
		due := false
		r.logged.Do(func() { due = true }) // under its lock, which a slow log must not hold
		if due {
			slog.ErrorContext(ctx, r.message, attributes(err)...)
		}
	} else {
		r.tell(ctx, err, []func(context.Context, error){r.onError})
	}
	r.tell(ctx, err, r.also)
}

// tell calls functions with err. If one panics, tell does not call the others.
func (r *Reporter) tell(ctx context.Context, err error, functions []func(context.Context, error)) {
	defer func() { _ = recover() }()
	for _, f := range functions {
		f(ctx, err)
	}
}

// attributes returns what a log record says of err.
func attributes(err error) []any {
	var panicked *panicError
	if errors.As(err, &panicked) {
		return []any{"error", err, "stack", string(panicked.stack)}
	}
	return []any{"error", err}
}
