// Package report calls functions of the user that may fail or panic, and reports their errors.
package report

import (
	"context"
	"fmt"
	"log/slog"
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
	logged  rate.Sometimes
}

// New returns a Reporter that passes errors to onError. If onError is nil, the Reporter logs one
// error every 10 seconds with [log/slog].
//
// The prefix is the first word of errors, such as "ratelimit". The message is the message of log
// records, such as "rate limiter".
func New(prefix, message string, onError func(ctx context.Context, err error)) *Reporter {
	return &Reporter{
		prefix: prefix, message: message, onError: onError,
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

// Safely calls f, and returns its error, or an error that tells its panic.
func Safely(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return f()
}

// Report reports err as it is. It ignores a panic of the user's onError, because the request must
// not suffer from the report.
func (r *Reporter) Report(ctx context.Context, err error) {
	if r.onError == nil {
		r.logged.Do(func() { slog.ErrorContext(ctx, r.message, "error", err) })
		return
	}
	defer func() { _ = recover() }()
	r.onError(ctx, err)
}

// State logs a change of the state of what, at level Error if it is down now and at level Info
// otherwise. It does not call onError.
func (r *Reporter) State(ctx context.Context, what, state string, down bool) {
	level := slog.LevelInfo
	if down {
		level = slog.LevelError
	}
	slog.Log(ctx, level, r.message+": "+what, "state", state)
}
