package ratelimit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/storefake"
	"github.com/ratelimit-go/ratelimit/stats"
	"github.com/ratelimit-go/ratelimit/store"
)

// requireStore compares what l has counted of its store, except the times of calls.
func requireStore(t *testing.T, want stats.Store, l *ratelimit.Limiter) {
	t.Helper()
	got := l.Stats().Store
	got.Calls = stats.Durations{}
	require.Equal(t, want, got)
}

// saying is an error that tells its reason.
type saying string

func (e saying) Error() string               { return "saying: " + string(e) }
func (e saying) FailureReason() store.Reason { return store.Reason(e) }

// nilled is an error whose methods panic on a nil pointer.
type nilled struct{ err error }

func (e *nilled) Error() string { return e.err.Error() }
func (e *nilled) Unwrap() error { return e.err }

// Every failure has a reason, which the decision, Hooks.Error and the counters tell.
func TestFailureReasons(t *testing.T) {
	for name, tc := range map[string]struct {
		err  error
		want store.Reason
	}{
		"deadline":               {fmt.Errorf("call: %w", context.DeadlineExceeded), store.ReasonTimeout},
		"canceled":               {context.Canceled, store.ReasonTimeout},
		"read deadline":          {&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, store.ReasonTimeout},
		"refused":                {&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, store.ReasonConnect},
		"no such host":           {&net.DNSError{Err: "no such host", IsNotFound: true}, store.ReasonConnect},
		"host not found so far":  {&net.DNSError{Err: "timeout", IsTimeout: true}, store.ReasonTimeout},
		"hung up":                {io.EOF, store.ReasonConnect},
		"hung up in between":     {fmt.Errorf("read: %w", io.ErrUnexpectedEOF), store.ReasonConnect},
		"closed":                 {net.ErrClosed, store.ReasonConnect},
		"told":                   {fmt.Errorf("store: %w", saying("readonly")), store.ReasonReadOnly},
		"told a word of its own": {saying("alice@example.com"), store.ReasonOther},
		"told that it is down":   {saying("down"), store.ReasonOther},
		"anything":               {errors.New("?"), store.ReasonOther},
		"not valid":              {fmt.Errorf("%w: burst", store.ErrInvalidOp), store.ReasonInvalid},
		"panic":                  {nil, store.ReasonPanic},
		"nil pointer":            {(*nilled)(nil), store.ReasonPanic},
	} {
		t.Run(name, func(t *testing.T) {
			var reported error
			l := newLimiter(t, ratelimit.Config{
				Rules: []ratelimit.Rule{rule("r", "1 per hour")}, OnStoreFailure: ratelimit.FailOpen,
				Store: storefake.Func(func(context.Context, []store.Op) error {
					if tc.err == nil {
						panic("store")
					}
					return tc.err
				}),
				Hooks: ratelimit.Hooks{Error: func(_ context.Context, err error) { reported = err }},
			})
			d, err := l.Take(t.Context(), "r", ratelimit.UserKey("a"), 1)
			require.NoError(t, err)
			assert.True(t, d.Allowed)
			var failure *store.Error
			require.ErrorAs(t, d.StoreErr, &failure)
			assert.Equal(t, tc.want, failure.Reason)
			assert.Equal(t, d.StoreErr, reported)
			assert.Equal(t, map[store.Reason]int64{tc.want: 1}, l.Stats().Store.Failures)
			if tc.want != store.ReasonInvalid && tc.want != store.ReasonPanic {
				require.ErrorIs(t, d.StoreErr, tc.err)
			}
		})
	}
}

func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		elsewhere := newMortal()
		var changes []store.State
		hooks := unreported()
		hooks.StoreState = func(_ context.Context, s store.State) { changes = append(changes, s) }
		l := newLimiter(t, ratelimit.Config{
			Store: elsewhere, OnStoreFailure: ratelimit.FailOpen, Hooks: hooks,
			Rules: []ratelimit.Rule{
				rule("open", "1 per second"), onFailure("closed", "1 per second", ratelimit.FailClosed),
				onFailure("memory", "1 per second", ratelimit.UseMemory),
			},
		})
		take := func(rule string) { _, _ = l.Take(t.Context(), rule, ratelimit.UserKey("a"), 1) }
		for range 3 {
			take("open")
		}
		want := stats.Store{
			State: store.Up, Answered: 2, CachedDenials: 1,
			Failures: map[store.Reason]int64{}, Changes: map[store.State]int64{},
		}
		requireStore(t, want, l)
		assert.Zero(t, l.Stats().Memory, "there is no local memory yet")

		elsewhere.Dead.Store(true)
		for range 3 {
			take("memory")
			take("closed")
		}
		_, _ = l.Take(t.Context(), "open", ratelimit.UserKey("b"), 1)
		want.FailedClosed, want.FailedToMemory, want.FailedOpen = 3, 3, 1
		want.Failures[store.ReasonOther], want.Failures[store.ReasonDown] = 5, 2
		want.State, want.Changes[store.Down] = store.Down, 1
		requireStore(t, want, l)
		assert.Equal(t, 1, l.Stats().Memory.Keys, "of the local memory")

		elsewhere.Dead.Store(false)
		time.Sleep(time.Second)
		take("open")
		assert.Equal(t, store.Recovering, l.Stats().Store.State)
		time.Sleep(time.Second)
		take("open")
		time.Sleep(time.Second)
		take("open")
		got := l.Stats().Store
		assert.Equal(t, store.Up, got.State)
		assert.Equal(t, map[store.State]int64{store.Down: 1, store.Recovering: 1, store.Up: 1}, got.Changes)
		assert.Equal(t, []store.State{store.Down, store.Recovering, store.Up}, changes)
		total := got.Answered + got.CachedDenials + got.FailedOpen + got.FailedClosed + got.FailedToMemory
		assert.EqualValues(t, 13, total, "every call is counted once")
	})
}

func TestStatsOfAMemoryStore(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("r", "1 per second")}})
	_, err := l.Take(t.Context(), "r", ratelimit.UserKey("a"), 1)
	require.NoError(t, err)
	want := stats.Snapshot{
		Rules:     []stats.Rule{{Name: "r", Limits: "1 per second", Mode: "enforce", Allowed: 1, NearLimit: 1, Denied: map[string]int64{}}},
		NearShare: 0.2, Denied: map[string]int64{},
		Store: stats.Store{State: store.Up}, Memory: stats.Memory{Keys: 1, MaxKeys: 1_000_000},
	}
	assert.Equal(t, want, l.Stats())
}

// Without hooks, each change of the store's state is logged, however many errors there are.
func TestChangesOfTheStoreAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		before := slog.Default()
		slog.SetDefault(slog.New(slog.NewTextHandler(&out, nil)))
		defer slog.SetDefault(before)
		elsewhere := newMortal()
		l := newLimiter(t, ratelimit.Config{
			Store: elsewhere, OnStoreFailure: ratelimit.FailOpen, Rules: []ratelimit.Rule{rule("r", "1000 per second")},
		})
		for n := range 60 {
			elsewhere.Dead.Store(n%30 < 10)
			for range 10 {
				_, _ = l.Take(t.Context(), "r", ratelimit.UserKey("a"), 1)
			}
			time.Sleep(100 * time.Millisecond)
		}
		log := out.String()
		assert.Equal(t, 1, strings.Count(log, "msg=\"rate limiter\" error=\"ratelimit: store"), "an error every 10 seconds")
		assert.Len(t, l.Stats().Store.Changes, 3)
		down := `level=ERROR msg="rate limiter: the store is down" policy="allowing requests without a limit" ` +
			`store.state=down store.reason=other store.failures_in_a_row=5 store.error="connection refused"`
		assert.Equal(t, 2, strings.Count(log, down), log)
		assert.Equal(t, 2, strings.Count(log, `level=INFO msg="rate limiter: the store is up" store.state=up store.down_for=`))
		assert.Equal(t, 5, strings.Count(log, "\n"))
	})
}

// A panic of Hooks.StoreState is reported, and the request goes on.
func TestStoreStateThatPanics(t *testing.T) {
	elsewhere := newMortal()
	elsewhere.Dead.Store(true)
	var reported []string
	l := newLimiter(t, ratelimit.Config{
		Store: elsewhere, OnStoreFailure: ratelimit.FailOpen, Rules: []ratelimit.Rule{rule("r", "1 per hour")},
		Hooks: ratelimit.Hooks{
			StoreState: func(context.Context, store.State) { panic("state") },
			Error:      func(_ context.Context, err error) { reported = append(reported, err.Error()) },
		},
	})
	for range 6 {
		assert.Equal(t, 200, serve(l.Handler(ok), with()).Code)
	}
	assert.Contains(t, reported, "ratelimit: StoreState: panic: state")
}
