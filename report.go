package ratelimit

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/time/rate"
)

// A reporter calls the functions of the user's that may fail, and tells of it.
type reporter struct {
	onError func(ctx context.Context, err error) // nil logs
	logged  rate.Sometimes
}

func newReporter(onError func(context.Context, error)) reporter {
	return reporter{onError: onError, logged: rate.Sometimes{Interval: 10 * time.Second}}
}

// guard calls a function of the user's, and reports its error or panic.
func (p *reporter) guard(req *http.Request, what string, f func() error) {
	p.safely(req.Context(), what, f)
}

// safely is guard where there is no request.
func (p *reporter) safely(ctx context.Context, what string, f func() error) {
	defer func() {
		if v := recover(); v != nil {
			p.report(ctx, fmt.Errorf("ratelimit: %s: panic: %v", what, v))
		}
	}()
	if err := f(); err != nil {
		p.report(ctx, fmt.Errorf("ratelimit: %s: %w", what, err))
	}
}

func (p *reporter) report(ctx context.Context, err error) {
	if p.onError == nil {
		p.log(ctx, err)
		return
	}
	defer func() { _ = recover() }() // the request must not suffer from the reporting
	p.onError(ctx, err)
}

// log logs every change of the store's state, and one of all other errors every 10 seconds.
func (p *reporter) log(ctx context.Context, err error) {
	change, ok := err.(*StoreChange)
	switch {
	case !ok:
		p.logged.Do(func() { slog.ErrorContext(ctx, "rate limiter", "error", err) })
	case change.State == StoreDown:
		slog.ErrorContext(ctx, "rate limiter", "error", err)
	default:
		slog.InfoContext(ctx, "rate limiter", "change", err)
	}
}
