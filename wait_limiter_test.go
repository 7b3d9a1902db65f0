package ratelimit_test

import (
	"context"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// queued returns a budget under which Wait holds callers for up to wait.
func queued(name, limits string, wait time.Duration) ratelimit.Budget {
	return ratelimit.Budget{Name: name, Limits: ratelimit.MustParse(limits), MaxWait: wait}
}

// waits calls Wait and returns how long it took, with its error.
func waits(ctx context.Context, l *ratelimit.Limiter, rule string, cost int64) (time.Duration, error) {
	begin := time.Now()
	err := l.Wait(ctx, rule, client(), cost)
	return time.Since(begin), err
}

// checkDenied checks that err is a DeniedError with this decision.
func checkDenied(t *testing.T, err error, want ratelimit.Decision) {
	t.Helper()
	var denied *ratelimit.DeniedError
	require.ErrorAs(t, err, &denied)
	assert.Equal(t, want, denied.Decision)
}

func TestWaitUntilTheTokensAreThere(t *testing.T) {
	for _, tc := range []struct {
		name    string
		budget  ratelimit.Budget
		costs   []int64
		seconds []float64 // that each caller waits
	}{
		{"tokens one by one", queued("b", "1 per second", 0), []int64{1, 1, 1}, []float64{0, 1, 1}},
		{"a burst", queued("b", "2 per second", 0), []int64{2, 2, 1, 2}, []float64{0, 1, 0.5, 1}},
		{"nothing", queued("b", "1 per hour", 0), []int64{1, 0, 0}, []float64{0, 0, 0}},
		{"several limits", queued("b", "5 per second burst 1; 2 per minute burst 1", 0), []int64{1, 1}, []float64{0, 30}},
		{"a queue", queued("b", "1 per second", time.Minute), []int64{1, 1, 1}, []float64{0, 1, 1}},
		{"more than the burst, in a queue", queued("b", "2 per second", 10*time.Second), []int64{2, 5, 20}, []float64{0, 2.5, 10}},
		{"nothing, in a queue", queued("b", "1 per second", time.Minute), []int64{1, 0, 0}, []float64{0, 0, 0}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLimiter(t, ratelimit.Config{Budgets: []ratelimit.Budget{tc.budget}})
				for i, cost := range tc.costs {
					took, err := waits(t.Context(), l, "b", cost)
					require.NoError(t, err)
					assert.InDelta(t, tc.seconds[i], took.Seconds(), 3e-9, "call %d", i)
				}
			})
		})
	}
}

// Callers and held requests of all instances go on in the order in which they came.
func TestWaitInOneQueueWithHeldRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := newMortal()
		var fleet [2]*ratelimit.Limiter
		for i := range fleet {
			fleet[i] = newLimiter(t, ratelimit.Config{
				Store: shared, OnStoreFailure: ratelimit.FailClosed, Hooks: unreported(),
				Rules: []ratelimit.Rule{patient("r", "1 per second", time.Minute)},
			})
		}
		var order []int
		var at []time.Duration
		var mu sync.Mutex
		var all sync.WaitGroup
		start := time.Now()
		for i := range 8 {
			all.Go(func() {
				if l := fleet[i/2%2]; i%2 == 0 {
					assert.NoError(t, l.Wait(t.Context(), "r", client(), 1))
				} else {
					assert.Equal(t, 200, serve(l.Handler(ok), with()).Code)
				}
				mu.Lock()
				defer mu.Unlock()
				order, at = append(order, i), append(at, time.Since(start))
			})
			synctest.Wait()
		}
		all.Wait()
		assert.Equal(t, []int{0, 1, 2, 3, 4, 5, 6, 7}, order)
		for i := range at {
			assert.Equal(t, time.Duration(i)*time.Second, at[i])
		}
	})
}

// Without a MaxWait, Wait tries again after each RetryAfter, so a small cost can overtake a large
// cost. With a MaxWait it cannot.
func TestWaitCanBeOvertakenOnlyWithoutMaxWait(t *testing.T) {
	for _, tc := range []struct {
		name         string
		wait         time.Duration
		large, small time.Duration
	}{
		{"without MaxWait", 0, 4 * time.Second, time.Second},
		{"with MaxWait", time.Minute, 3 * time.Second, 4 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLimiter(t, ratelimit.Config{Budgets: []ratelimit.Budget{queued("b", "1 per second burst 3", tc.wait)}})
				require.NoError(t, l.Wait(t.Context(), "b", client(), 3))
				var all sync.WaitGroup
				begin := time.Now()
				for cost, want := range map[int64]time.Duration{3: tc.large, 1: tc.small} {
					all.Go(func() {
						if cost == 1 {
							time.Sleep(time.Nanosecond) // behind the large cost
						}
						assert.NoError(t, l.Wait(t.Context(), "b", client(), cost))
						assert.InDelta(t, float64(want), float64(time.Since(begin)), 2)
					})
				}
				all.Wait()
			})
		})
	}
}

// If waiting is too long or does not help, Wait returns at once and takes nothing.
func TestWaitIsDeniedAtOnce(t *testing.T) {
	second := ratelimit.Limit{Count: 1, Period: time.Second, Burst: 1}
	limit := func(wait time.Duration) ratelimit.Decision {
		return ratelimit.Decision{
			Reason: ratelimit.ReasonLimit, Rule: "b", Mode: ratelimit.Enforce, Limit: second, Key: client(),
			RetryAfter: wait, ResetAfter: time.Second,
		}
	}
	exceeds := limit(0)
	exceeds.Reason = ratelimit.ReasonExceedsBurst
	for _, tc := range []struct {
		name    string
		maxWait time.Duration
		timeout time.Duration // of ctx
		cost    int64
		want    ratelimit.Decision
		text    string
	}{
		{
			"the deadline of ctx", 0, time.Second - 1, 1,
			limit(time.Second), `ratelimit: rule "b": denied: limit, retry after 1s`,
		},
		{
			"the deadline of ctx, in a queue", time.Minute, time.Second - 1, 1,
			limit(time.Second), `ratelimit: rule "b": denied: limit, retry after 1s`,
		},
		{
			"MaxWait", 2 * time.Second, time.Hour, 3,
			limit(time.Second), `ratelimit: rule "b": denied: limit, retry after 1s`,
		},
		{
			"more than the burst", 0, time.Hour, 2,
			exceeds, `ratelimit: rule "b": denied: exceeds-burst`,
		},
		{
			"more than the burst and the tokens of MaxWait", 2 * time.Second, time.Hour, 4,
			exceeds, `ratelimit: rule "b": denied: exceeds-burst`,
		},
		{
			"the greatest cost", 2 * time.Second, time.Hour, math.MaxInt64,
			exceeds, `ratelimit: rule "b": denied: exceeds-burst`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLimiter(t, ratelimit.Config{Budgets: []ratelimit.Budget{queued("b", "1 per second", tc.maxWait)}})
				require.NoError(t, l.Wait(t.Context(), "b", client(), 1))
				ctx, cancel := context.WithTimeout(t.Context(), tc.timeout)
				defer cancel()
				for range 2 {
					took, err := waits(ctx, l, "b", tc.cost)
					assert.Zero(t, took)
					checkDenied(t, err, tc.want)
					require.EqualError(t, err, tc.text)
				}
				took, err := waits(t.Context(), l, "b", 1)
				require.NoError(t, err)
				assert.Equal(t, time.Second, took, "nothing was taken")
			})
		})
	}
}

// A deadline that leaves enough time changes nothing.
func TestWaitBeforeTheDeadline(t *testing.T) {
	for _, maxWait := range []time.Duration{0, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			l := newLimiter(t, ratelimit.Config{Budgets: []ratelimit.Budget{queued("b", "1 per second", maxWait)}})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second+1)
			defer cancel()
			require.NoError(t, l.Wait(ctx, "b", client(), 1))
			took, err := waits(ctx, l, "b", 1)
			require.NoError(t, err)
			assert.Equal(t, time.Second, took)
		})
	}
}

// If ctx ends while Wait waits, Wait returns the error of ctx, and takes nothing.
func TestWaitEndsWithItsContext(t *testing.T) {
	for _, maxWait := range []time.Duration{0, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			l := newLimiter(t, ratelimit.Config{Budgets: []ratelimit.Budget{queued("b", "1 per second", maxWait)}})
			require.NoError(t, l.Wait(t.Context(), "b", client(), 1))
			ctx, leave := context.WithCancel(t.Context())
			time.AfterFunc(400*time.Millisecond, leave)
			took, err := waits(ctx, l, "b", 1)
			assert.Equal(t, context.Canceled, err)
			assert.Equal(t, 400*time.Millisecond, took)
			took, err = waits(ctx, l, "b", 1)
			assert.Equal(t, context.Canceled, err, "it had ended before")
			assert.Zero(t, took)
			took, err = waits(t.Context(), l, "b", 1)
			require.NoError(t, err)
			assert.Equal(t, 600*time.Millisecond, took, "nothing was taken")
		})
	}
}

// A caller that others have overtaken gives up when its deadline comes too early for another wait.
func TestWaitGivesUpAfterItWasOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, ratelimit.Config{Budgets: []ratelimit.Budget{queued("b", "1 per second", 0)}})
		require.NoError(t, l.Wait(t.Context(), "b", client(), 1))
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		go func() {
			time.Sleep(time.Second - 1)
			assert.NoError(t, l.Refund(t.Context(), "b", client(), 1))
			d, err := l.Take(t.Context(), "b", client(), 1)
			assert.NoError(t, err)
			assert.True(t, d.Allowed)
		}()
		took, err := waits(ctx, l, "b", 1)
		var denied *ratelimit.DeniedError
		require.ErrorAs(t, err, &denied)
		assert.Equal(t, time.Second, took)
		assert.Equal(t, time.Second-1, denied.Decision.RetryAfter)
	})
}
