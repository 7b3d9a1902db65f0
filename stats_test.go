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
)

// told is an error that tells its reason.
type told string

func (e told) Error() string                          { return "told: " + string(e) }
func (e told) FailureReason() ratelimit.FailureReason { return ratelimit.FailureReason(e) }

// nilled is an error whose methods panic on a nil pointer.
type nilled struct{ err error }

func (e *nilled) Error() string { return e.err.Error() }
func (e *nilled) Unwrap() error { return e.err }

// Promise 13: every failure has a reason, which the error and the counters tell.
func TestFailureReasons(t *testing.T) {
	for name, tc := range map[string]struct {
		err  error
		want ratelimit.FailureReason
	}{
		"deadline":               {fmt.Errorf("call: %w", context.DeadlineExceeded), ratelimit.FailureTimeout},
		"canceled":               {context.Canceled, ratelimit.FailureTimeout},
		"read deadline":          {&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, ratelimit.FailureTimeout},
		"refused":                {&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, ratelimit.FailureConnect},
		"no such host":           {&net.DNSError{Err: "no such host", IsNotFound: true}, ratelimit.FailureConnect},
		"host not found so far":  {&net.DNSError{Err: "timeout", IsTimeout: true}, ratelimit.FailureTimeout},
		"hung up":                {io.EOF, ratelimit.FailureConnect},
		"hung up in between":     {fmt.Errorf("read: %w", io.ErrUnexpectedEOF), ratelimit.FailureConnect},
		"closed":                 {net.ErrClosed, ratelimit.FailureConnect},
		"told":                   {fmt.Errorf("store: %w", told("readonly")), ratelimit.FailureReadOnly},
		"told a word of its own": {told("alice@example.com"), ratelimit.FailureOther},
		"told that it is down":   {told("down"), ratelimit.FailureOther},
		"anything":               {errors.New("?"), ratelimit.FailureOther},
		"not valid":              {fmt.Errorf("%w: burst", ratelimit.ErrInvalidOp), ratelimit.FailureInvalid},
		"panic":                  {nil, ratelimit.FailurePanic},
		"nil pointer":            {(*nilled)(nil), ratelimit.FailurePanic},
	} {
		t.Run(name, func(t *testing.T) {
			var reported error
			l := newLimiter(t, ratelimit.Config{
				Rules: []ratelimit.Rule{rule("r", "1 per hour")}, Store: failingStore{tc.err}, OnStoreFailure: ratelimit.FailOpen,
				OnError: func(_ context.Context, err error) { reported = err },
			})
			d, err := l.Take(t.Context(), "r", ratelimit.UserKey("a"), 1)
			assert.True(t, d.Allowed)
			var failure *ratelimit.StoreError
			require.ErrorAs(t, err, &failure)
			assert.Equal(t, tc.want, failure.Reason)
			assert.Equal(t, err, reported)
			assert.Equal(t, map[ratelimit.FailureReason]int64{tc.want: 1}, l.Stats().Failures)
			if tc.want != ratelimit.FailureInvalid && tc.want != ratelimit.FailurePanic {
				require.ErrorIs(t, err, tc.err)
			}
		})
	}
}

func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMortal()
		var changes []ratelimit.StoreState
		l := newLimiter(t, ratelimit.Config{
			Store: store, OnStoreFailure: ratelimit.FailOpen,
			Rules: []ratelimit.Rule{
				rule("open", "1 per second"), failing("closed", "1 per second", ratelimit.FailClosed), failing("memory", "1 per second", ratelimit.UseMemory),
			},
			OnError: func(_ context.Context, err error) {
				var change *ratelimit.StoreChange
				if errors.As(err, &change) {
					changes = append(changes, change.State)
				}
			},
		})
		take := func(rule string) { _, _ = l.Take(t.Context(), rule, ratelimit.UserKey("a"), 1) }
		for range 3 {
			take("open")
		}
		want := ratelimit.Stats{
			Store: ratelimit.StoreUp, Answered: 2, Remembered: 1,
			Failures: map[ratelimit.FailureReason]int64{}, Changes: map[ratelimit.StoreState]int64{},
		}
		require.Equal(t, want, l.Stats())

		store.dead.Store(true)
		for range 3 {
			take("memory")
			take("closed")
		}
		want.Closed, want.Local = 3, 3
		want.Failures[ratelimit.FailureOther], want.Failures[ratelimit.FailureDown] = 5, 1
		want.Store, want.Changes[ratelimit.StoreDown] = ratelimit.StoreDown, 1
		require.Equal(t, want, l.Stats())

		store.dead.Store(false)
		time.Sleep(time.Second)
		take("open")
		assert.Equal(t, ratelimit.StoreRecovering, l.Stats().Store)
		time.Sleep(time.Second)
		take("open")
		time.Sleep(time.Second)
		take("open")
		got := l.Stats()
		assert.Equal(t, ratelimit.StoreUp, got.Store)
		assert.Equal(t, map[ratelimit.StoreState]int64{ratelimit.StoreDown: 1, ratelimit.StoreRecovering: 1, ratelimit.StoreUp: 1}, got.Changes)
		assert.Equal(t, []ratelimit.StoreState{ratelimit.StoreDown, ratelimit.StoreRecovering, ratelimit.StoreUp}, changes)
		assert.EqualValues(t, 12, got.Answered+got.Remembered+got.Open+got.Closed+got.Local, "every call is counted once")
	})
}

func TestStatsOfMemory(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("r", "1 per second")}})
	_, err := l.Take(t.Context(), "r", ratelimit.UserKey("a"), 1)
	require.NoError(t, err)
	assert.Equal(t, ratelimit.Stats{Store: ratelimit.StoreUp}, l.Stats())
}

// Without OnError every change is logged, however many errors there are.
func TestChangesAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		before := slog.Default()
		slog.SetDefault(slog.New(slog.NewTextHandler(&out, nil)))
		defer slog.SetDefault(before)
		store := newMortal()
		l := newLimiter(t, ratelimit.Config{
			Store: store, OnStoreFailure: ratelimit.FailOpen, Rules: []ratelimit.Rule{rule("r", "1000 per second")},
		})
		for n := range 60 {
			store.dead.Store(n%30 < 10)
			for range 10 {
				_, _ = l.Take(t.Context(), "r", ratelimit.UserKey("a"), 1)
			}
			time.Sleep(100 * time.Millisecond)
		}
		log := out.String()
		assert.Equal(t, 1, strings.Count(log, "connection refused"), "an error every 10 seconds")
		for state, n := range l.Stats().Changes {
			assert.EqualValues(t, n, strings.Count(log, "store: "+string(state)+":"))
			assert.EqualValues(t, 2, n)
		}
	})
}
