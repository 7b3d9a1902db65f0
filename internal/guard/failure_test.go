package guard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/storefake"
	"github.com/ratelimit-go/ratelimit/store"
)

// told is an error that tells its reason.
type told string

func (e told) Error() string               { return "told: " + string(e) }
func (e told) FailureReason() store.Reason { return store.Reason(e) }

// nilled is an error whose methods panic on a nil pointer.
type nilled struct{ err error }

func (e *nilled) Error() string { return e.err.Error() }
func (e *nilled) Unwrap() error { return e.err }

// Every failure has a reason, which the error and the counters tell.
func TestFailureReasons(t *testing.T) {
	ops := []store.Op{take(newLimit(t, "r", 0, 1, time.Hour, 0), user("a"), 1)}
	for name, tc := range map[string]struct {
		err  error
		want store.Reason
	}{
		"deadline":               {fmt.Errorf("call: %w", context.DeadlineExceeded), store.ReasonTimeout},
		"canceled":               {context.Canceled, store.ReasonTimeout},
		"read deadline":          {&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, store.ReasonTimeout},
		"connection refused":     {&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, store.ReasonConnect},
		"no such host":           {&net.DNSError{Err: "no such host", IsNotFound: true}, store.ReasonConnect},
		"host not found so far":  {&net.DNSError{Err: "timeout", IsTimeout: true}, store.ReasonTimeout},
		"hung up":                {io.EOF, store.ReasonConnect},
		"hung up in between":     {fmt.Errorf("read: %w", io.ErrUnexpectedEOF), store.ReasonConnect},
		"closed":                 {net.ErrClosed, store.ReasonConnect},
		"told":                   {fmt.Errorf("store: %w", told("readonly")), store.ReasonReadOnly},
		"told a word of its own": {told("alice@example.com"), store.ReasonOther},
		"told that it is down":   {told("down"), store.ReasonOther},
		"anything":               {errors.New("?"), store.ReasonOther},
		"not valid":              {fmt.Errorf("%w: burst", store.ErrInvalidOp), store.ReasonInvalid},
		"panic":                  {nil, store.ReasonPanic},
		"nil pointer":            {(*nilled)(nil), store.ReasonPanic},
	} {
		t.Run(name, func(t *testing.T) {
			g := New(failing{tc.err}, Config{})
			err := g.Apply(t.Context(), ops)
			require.NotNil(t, err)
			assert.Equal(t, tc.want, err.Reason)
			assert.Equal(t, map[store.Reason]int64{tc.want: 1}, g.Stats().Failures)
			if tc.want != store.ReasonInvalid && tc.want != store.ReasonPanic {
				require.ErrorIs(t, err, tc.err)
			}
		})
	}
}

// A store that calls valid ops invalid has failed. Its error must not look like the mistake of the
// caller.
func TestInvalidOpIsNotTheMistakeOfTheCaller(t *testing.T) {
	g := New(failing{fmt.Errorf("%w: burst", store.ErrInvalidOp)}, Config{})
	err := g.Apply(t.Context(), []store.Op{take(newLimit(t, "r", 0, 1, time.Hour, 0), user("a"), 1)})
	require.EqualError(t, err, "ratelimit: store: store: invalid op: burst")
	assert.NotErrorIs(t, err, store.ErrInvalidOp)
}

// trip is the error of several calls that were sent as one.
type trip struct{ told atomic.Bool }

func (e *trip) Error() string  { return "broken pipe" }
func (e *trip) Repeated() bool { return e.told.Swap(true) }

// If a store sends many calls as one and that fails, it is one failure in a row.
func TestOneTripIsOneFailure(t *testing.T) {
	ops := []store.Op{take(newLimit(t, "r", 0, 10, time.Hour, 0), user("a"), 1)}
	var failure error
	var states []store.State
	g := New(storefake.Func(func(context.Context, []store.Op) error { return failure }), Config{
		OnState: func(_ context.Context, s store.State) { states = append(states, s) },
	})
	for trips := range 5 {
		failure = fmt.Errorf("wrapped: %w", &trip{})
		assert.Empty(t, states, "after %d trips", trips)
		for range 100 {
			require.NotNil(t, g.Apply(t.Context(), ops))
		}
	}
	assert.Equal(t, []store.State{store.Down}, states)
	assert.EqualValues(t, 401, g.Stats().Failures[store.ReasonOther], "all calls that reached the store")
}

// A failed trip in the ramp opens the breaker again, even if another call was told of it before.
func TestRepeatedFailureCountsInTheRamp(t *testing.T) {
	b := openBreaker(t, shortest)
	probe, ok := b.allow(100 * ms)
	require.True(t, ok)
	require.Equal(t, store.Recovering, b.done(100*ms, probe, false))
	assert.Equal(t, store.Down, b.doneAgain(101*ms, probe))
}

type panickingError struct{}

func (panickingError) Error() string  { return "x" }
func (panickingError) Repeated() bool { panic("repeated") }

// If Repeated panics, the failure counts.
func TestRepeatedThatPanics(t *testing.T) {
	ops := []store.Op{take(newLimit(t, "r", 0, 10, time.Hour, 0), user("a"), 1)}
	g := New(failing{panickingError{}}, Config{})
	for range 6 {
		require.NotNil(t, g.Apply(t.Context(), ops))
	}
	assert.Equal(t, store.Down, g.Stats().State)
}
