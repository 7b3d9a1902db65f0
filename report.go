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
		p.logged.Do(func() { slog.ErrorContext(ctx, "rate limiter", "error", err) })
		return
	}
	defer func() { _ = recover() }() // the request must not suffer from the reporting
	p.onError(ctx, err)
}
