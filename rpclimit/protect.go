package rpclimit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/ratelimit-go/ratelimit"
)

// keyOf returns the key of a call. If it has none, it is the shared one, or ok is false.
func (g *Guard) keyOf(ctx context.Context, c *Call, t *target) (k ratelimit.Key, ok bool) {
	k, err := g.callKeyer(ctx, c, t)
	if err == nil && !k.IsZero() {
		return k, true
	}
	failed := err != nil && !errors.Is(err, ratelimit.ErrNoKey)
	if failed {
		g.report(ctx, fmt.Errorf("rpclimit: Key of %s: %w", quote(t.name), err))
	}
	switch {
	case t.missing == ratelimit.DenyRequest:
		return ratelimit.Key{}, false
	case t.missing == ratelimit.SkipRule && !failed: // a mistake must not make calls free
		return ratelimit.Key{}, false
	}
	return t.shareKey, true
}

func (g *Guard) callKeyer(ctx context.Context, c *Call, t *target) (k ratelimit.Key, err error) {
	defer recovered(&err)
	return t.key(ctx, *c)
}

// costOf returns what a call or message costs, at least 1.
func (g *Guard) costOf(ctx context.Context, c *Call, r *rule, msg any) int64 {
	if r.Cost == nil {
		return 1
	}
	cost := int64(1)
	g.protect(ctx, "Cost", func() error {
		n := r.Cost(ctx, *c, msg)
		if n < 0 {
			return fmt.Errorf("rule %s: cost %d: want at least 0", quote(r.name), n)
		}
		cost = max(n, 1)
		return nil
	})
	return cost
}

// protect calls a function of the Config, and reports its error or panic.
func (g *Guard) protect(ctx context.Context, name string, f func() error) {
	err := func() (err error) {
		defer recovered(&err)
		return f()
	}()
	if err != nil {
		g.report(ctx, fmt.Errorf("rpclimit: %s: %w", name, err))
	}
}

// panicError is a panic of a function of the Config.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// Stack returns the stack of the panic.
func (e *panicError) Stack() []byte { return e.stack }

func recovered(err *error) {
	if v := recover(); v != nil {
		*err = &panicError{v, debug.Stack()}
	}
}

// logEvery is the time between two errors in the log.
const logEvery = 10 * time.Second

// report tells Config.Error, or logs.
func (g *Guard) report(ctx context.Context, err error) {
	if g.cfg.Error != nil {
		defer func() { _ = recover() }()
		g.cfg.Error(ctx, err)
		return
	}
	now, last := time.Now().UnixNano(), g.logged.Load()
	if now-last >= int64(logEvery) && g.logged.CompareAndSwap(last, now) {
		slog.WarnContext(ctx, "rpclimit: a function or a budget failed", "error", err)
	}
}
