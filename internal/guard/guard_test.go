package guard

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/storefake"
	"github.com/ratelimit-go/ratelimit/store"
)

// apply applies one op and returns its answer.
func apply(ctx context.Context, g *Guard, op store.Op) (store.Result, *store.Error) {
	ops := []store.Op{op}
	err := g.Apply(ctx, ops)
	return ops[0].Result, err
}

// A dead store is not called on every request, and is in full use soon after it has recovered.
func TestDeadStoreIsNotCalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMortal()
		var states []store.State
		g := New(s, Config{OnState: func(_ context.Context, s store.State) { states = append(states, s) }})
		op := take(newLimit(t, "r", 0, 1000, time.Second, 0), user("alice"), 1)
		s.Dead.Store(true)
		for n := range 100 {
			_, err := apply(t.Context(), g, op)
			require.NotNil(t, err)
			if n < 5 {
				require.EqualError(t, err, "ratelimit: store: connection refused")
			} else {
				require.EqualError(t, err, "ratelimit: store: not called, because it has failed several times in a row")
			}
			assert.Equal(t, n >= 4, len(states) == 1, "failure %d", n)
		}
		assert.EqualValues(t, 5, s.Calls.Load())
		assert.Equal(t, []store.State{store.Down}, states)
		_, err := apply(t.Context(), g, op)
		require.ErrorIs(t, err, store.ErrDown)
		require.Equal(t, store.ReasonDown, err.Reason)

		s.Dead.Store(false)
		states = nil
		for range 200 {
			time.Sleep(10 * ms)
			_, _ = apply(t.Context(), g, op)
		}
		s.Calls.Store(0)
		for range 100 {
			_, _ = apply(t.Context(), g, op)
		}
		assert.EqualValues(t, 100, s.Calls.Load(), "two seconds after it has recovered")
		assert.Equal(t, []store.State{store.Recovering, store.Up}, states)
	})
}

// A store that recovers is in use soon, even if each probe has ops that are beyond its range.
func TestProbeThatTheStoreCallsInvalid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMortal()
		g := New(storefake.Func(func(ctx context.Context, ops []store.Op) error {
			if ops[0].Limit.Rule() == "big" {
				return store.ErrInvalidOp
			}
			return s.Apply(ctx, ops)
		}), Config{})
		op := take(newLimit(t, "r", 0, 1000, time.Second, 0), user("a"), 1)
		big := take(newLimit(t, "big", 0, 10, time.Second, 0), user("a"), 1)
		s.Dead.Store(true)
		for range 5 {
			_, err := apply(t.Context(), g, op)
			require.NotNil(t, err)
		}
		s.Dead.Store(false)
		began := time.Now()
		for g.Stats().State == store.Down {
			require.Less(t, time.Since(began), 2*time.Second)
			for range 50 {
				_, _ = apply(t.Context(), g, big)
				time.Sleep(ms)
			}
			_, _ = apply(t.Context(), g, op)
		}
	})
}

// A store that calls ops invalid says nothing about itself that other limits should suffer for.
func TestInvalidOpsDoNotTakeTheStoreDown(t *testing.T) {
	calls := 0
	g := New(storefake.Func(func(context.Context, []store.Op) error { calls++; return store.ErrInvalidOp }), Config{})
	op := take(newLimit(t, "r", 0, 1, time.Hour, 0), user("a"), 1)
	for range 20 {
		_, err := apply(t.Context(), g, op)
		require.Equal(t, store.ReasonInvalid, err.Reason)
	}
	assert.Equal(t, 20, calls)
	assert.Equal(t, store.Up, g.Stats().State)
}

// A client that keeps sending requests costs the store nothing until its RetryAfter has passed.
func TestDenialCostsTheStoreNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMortal()
		g := New(s, Config{})
		l := newLimit(t, "r", 0, 2, time.Minute, 0)
		do := func(op store.Op) store.Result {
			res, err := apply(t.Context(), g, op)
			require.Nil(t, err)
			return res
		}
		op := take(l, user("a"), 1)
		do(op)
		do(op)
		require.False(t, do(op).Allowed)
		for n := range time.Duration(29) {
			for range 10 {
				res := do(op)
				assert.False(t, res.Allowed)
				assert.Equal(t, 30*time.Second-n*time.Second, res.RetryAfter)
			}
			time.Sleep(time.Second)
		}
		assert.EqualValues(t, 3+2, s.Calls.Load(), "and once every ten seconds")
		time.Sleep(time.Second)
		assert.True(t, do(op).Allowed, "the wait is over")
		require.False(t, do(op).Allowed)
		do(store.Op{Kind: store.Reset, Limit: l, Key: op.Key})
		assert.True(t, do(op).Allowed, "reset through this Guard")
	})
}

// After an error the Results mean nothing, so a denial in them is not remembered.
func TestFailureIsNotRememberedAsDenial(t *testing.T) {
	calls := 0
	g := New(storefake.Func(func(_ context.Context, ops []store.Op) error {
		calls++
		ops[0].Result = store.Result{RetryAfter: time.Hour, ResetAfter: time.Hour}
		return context.DeadlineExceeded
	}), Config{})
	op := take(newLimit(t, "r", 0, 1, time.Hour, 0), user("a"), 1)
	for range 2 {
		_, err := apply(t.Context(), g, op)
		require.NotNil(t, err)
	}
	assert.Equal(t, 2, calls)
}

// A remembered denial needs no store, so it is given while the store is down.
func TestDenialOutlastsTheStore(t *testing.T) {
	s := newMortal()
	g := New(s, Config{})
	op := take(newLimit(t, "r", 0, 1, time.Hour, 0), user("a"), 1)
	for range 2 {
		_, err := apply(t.Context(), g, op)
		require.Nil(t, err)
	}
	s.Dead.Store(true)
	for range 6 {
		_, err := apply(t.Context(), g, take(op.Limit, user("b"), 1))
		require.NotNil(t, err)
	}
	require.Equal(t, store.Down, g.Stats().State)
	res, err := apply(t.Context(), g, op)
	require.Nil(t, err)
	assert.False(t, res.Allowed)
}

// The Guard cuts off a slow store at its deadline, to the nanosecond, for every caller. Once the
// store is down no caller waits at all. No take is sent twice.
func TestStalledStoreIsCutOff(t *testing.T) {
	const callers = 100
	for name, tc := range map[string]struct{ timeout, want time.Duration }{
		"the default": {0, 50 * ms},
		"a choice":    {7 * ms, 7 * ms},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var calls atomic.Int64
				g := New(storefake.Func(func(ctx context.Context, ops []store.Op) error {
					calls.Add(1)
					return stalling(ctx, ops)
				}), Config{Timeout: tc.timeout})
				op := take(newLimit(t, "r", 0, 1, time.Hour, 0), user("a"), 1)
				round := func() []time.Duration {
					var wg sync.WaitGroup
					waits := make([]time.Duration, callers)
					for i := range waits {
						wg.Go(func() {
							begun := time.Now()
							_, err := apply(t.Context(), g, op)
							assert.NotNil(t, err)
							waits[i] = time.Since(begun)
						})
					}
					wg.Wait()
					return waits
				}
				for _, wait := range round() {
					require.Equal(t, tc.want, wait)
				}
				assert.EqualValues(t, callers, calls.Load(), "one call for each request")
				assert.EqualValues(t, callers, g.Stats().Failures[store.ReasonTimeout])
				for _, wait := range round() {
					require.Zero(t, wait, "down")
				}
				assert.EqualValues(t, callers, calls.Load())
				time.Sleep(time.Second)
				slow := 0
				for _, wait := range round() {
					if wait > 0 {
						slow++
						require.Equal(t, tc.want, wait)
					}
				}
				assert.Equal(t, 1, slow, "the probe")
			})
		})
	}
}

// The Guard holds no lock during a call, so callers do not wait for each other, even for one key.
func TestCallersDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemory(nil)
		g := New(storefake.Func(func(ctx context.Context, ops []store.Op) error {
			time.Sleep(5 * ms)
			defer time.Sleep(5 * ms)
			return s.Apply(ctx, ops)
		}), Config{})
		op := take(newLimit(t, "r", 0, 60, time.Hour, 0), user("a"), 1)
		begun := time.Now()
		var wg sync.WaitGroup
		var allowed, denied atomic.Int64
		for range 100 {
			wg.Go(func() {
				res, err := apply(t.Context(), g, op)
				assert.Nil(t, err)
				if res.Allowed {
					allowed.Add(1)
				} else {
					denied.Add(1)
				}
			})
		}
		wg.Wait()
		assert.Equal(t, 10*ms, time.Since(begun))
		assert.Equal(t, []int64{60, 40}, []int64{allowed.Load(), denied.Load()})
	})
}

// A client that hangs up is charged anyway, under the deadline of the Guard. The store still finds
// the values of the context.
func TestClientThatHangsUpIsCharged(t *testing.T) {
	type name struct{}
	s, found := newMemory(nil), []any(nil)
	g := New(storefake.Func(func(ctx context.Context, ops []store.Op) error {
		_, limited := ctx.Deadline()
		found = append(found, limited, ctx.Value(name{}))
		if err := ctx.Err(); err != nil {
			return err
		}
		return s.Apply(ctx, ops)
	}), Config{})
	op := take(newLimit(t, "r", 0, 1, time.Hour, 0), user("a"), 1)
	gone, hangUp := context.WithCancel(context.WithValue(t.Context(), name{}, "alice"))
	hangUp()
	for _, want := range []bool{true, false} {
		res, err := apply(gone, g, op)
		require.Nil(t, err)
		assert.Equal(t, want, res.Allowed)
	}
	assert.Equal(t, []any{true, "alice", true, "alice"}, found)
}

// The breaker and the memory of denials go by the Clock.
func TestClock(t *testing.T) {
	now := time.Hour
	s := newMapStore(func() time.Duration { return now })
	dead, calls := false, 0
	g := New(storefake.Func(func(ctx context.Context, ops []store.Op) error {
		calls++
		if dead {
			return stalling(ctx, ops)
		}
		return s.Apply(ctx, ops)
	}), Config{Clock: func() time.Duration { return now }, Timeout: ms})
	op := take(newLimit(t, "r", 0, 1, time.Second, 0), user("a"), 1)
	for _, tc := range []struct {
		pass    time.Duration
		allowed bool
		calls   int
	}{
		{0, true, 1},
		{0, false, 2},
		{time.Second - 1, false, 2},
		{1, true, 3},
	} {
		now += tc.pass
		res, err := apply(t.Context(), g, op)
		require.Nil(t, err)
		assert.Equal(t, tc.allowed, res.Allowed)
		assert.Equal(t, tc.calls, calls)
	}

	dead = true
	for range 10 {
		_, err := apply(t.Context(), g, take(op.Limit, user("b"), 1))
		require.NotNil(t, err)
	}
	assert.Equal(t, 3+5, calls, "the deadline is real time")
	dead = false
	now += time.Second
	_, err := apply(t.Context(), g, take(op.Limit, user("b"), 1))
	require.Nil(t, err)
	assert.Equal(t, store.Recovering, g.Stats().State)
}

// OnState receives the context of the call that changed the state, with the values of the caller.
func TestStateIsReportedWithTheContextOfTheCall(t *testing.T) {
	type name struct{}
	var callers []any
	g := New(failing{context.DeadlineExceeded}, Config{
		OnState: func(ctx context.Context, _ store.State) { callers = append(callers, ctx.Value(name{})) },
	})
	op := take(newLimit(t, "r", 0, 1, time.Hour, 0), user("a"), 1)
	for n := range 10 {
		_, err := apply(context.WithValue(t.Context(), name{}, n), g, op)
		require.NotNil(t, err)
	}
	assert.Equal(t, []any{4}, callers)
}

func BenchmarkApply(b *testing.B) {
	run := func(g *Guard, op store.Op) func(b *testing.B) {
		return func(b *testing.B) {
			ops := []store.Op{op}
			b.ReportAllocs()
			for b.Loop() {
				_ = g.Apply(b.Context(), ops)
			}
		}
	}
	plenty := take(newLimit(b, "r", 0, 1_000_000, time.Second, 0), user("a"), 1)
	b.Run("answered", run(New(storefake.Func(allowing), Config{}), plenty))
	b.Run("down", run(New(failing{context.DeadlineExceeded}, Config{}), plenty))

	once := take(newLimit(b, "r", 0, 1, 24*time.Hour, 0), user("a"), 1)
	remembers := New(newMemory(nil), Config{})
	for range 2 {
		_, _ = apply(b.Context(), remembers, once)
	}
	b.Run("remembered", run(remembers, once))
}
