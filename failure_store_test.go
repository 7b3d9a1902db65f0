package ratelimit_test

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/storefake"
	"github.com/ratelimit-go/ratelimit/store"
)

// The limiter does not call a dead store for every request, and soon uses a store that is back.
func TestDeadStoreIsNotCalledForEachRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		elsewhere := newMortal()
		var told []string
		l := newLimiter(t, ratelimit.Config{
			Store: elsewhere, OnStoreFailure: ratelimit.FailOpen,
			Rules: []ratelimit.Rule{rule("r", "1000 per second")},
			Hooks: ratelimit.Hooks{
				Error:      func(_ context.Context, err error) { told = append(told, err.Error()) },
				StoreState: func(_ context.Context, s store.State) { told = append(told, string(s)) },
			},
		})
		h, r := l.Handler(ok), with()
		elsewhere.Dead.Store(true)
		for range 100 {
			require.Equal(t, http.StatusOK, serve(h, r).Code)
		}
		assert.EqualValues(t, 5, elsewhere.Calls.Load())
		failure := "ratelimit: store: connection refused"
		assert.Equal(t, []string{failure, failure, failure, failure, "down", failure}, told)
		d, err := l.Take(t.Context(), "r", ratelimit.UserKey("alice"), 1)
		require.NoError(t, err)
		require.ErrorIs(t, d.StoreErr, store.ErrDown)

		elsewhere.Dead.Store(false)
		told = nil
		for range 200 {
			time.Sleep(10 * time.Millisecond)
			serve(h, r)
		}
		elsewhere.Calls.Store(0)
		for range 100 {
			serve(h, r)
		}
		assert.EqualValues(t, 100, elsewhere.Calls.Load(), "two seconds after the store recovered")
		assert.Equal(t, []string{"recovering", "up"}, told)
	})
}

// A client that keeps sending requests costs the store nothing until its wait is over.
func TestDenialsCostTheStoreNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		elsewhere := newMortal()
		l := newLimiter(t, ratelimit.Config{
			Store: elsewhere, OnStoreFailure: ratelimit.FailClosed, Rules: []ratelimit.Rule{rule("r", "2 per minute")},
		})
		h, r := l.Handler(ok), with()
		require.Equal(t, []int{200, 200, 429}, codes(h, r, r, r))
		for n := range 29 {
			for range 10 {
				assert.Equal(t, strconv.Itoa(30-n), serve(h, r).Header().Get("Retry-After"))
			}
			time.Sleep(time.Second)
		}
		assert.EqualValues(t, 3+2, elsewhere.Calls.Load(), "and once every ten seconds")
		time.Sleep(time.Second)
		assert.Equal(t, http.StatusOK, serve(h, r).Code, "the wait is over")
		require.Equal(t, http.StatusTooManyRequests, serve(h, r).Code)
		require.NoError(t, l.Reset(t.Context(), "r", client()))
		assert.Equal(t, http.StatusOK, serve(h, r).Code, "reset through this limiter")
	})
}

// stall is the Apply of a Store that answers nothing. It gives up when ctx is done, as it must.
func stall(ctx context.Context, _ []store.Op) error {
	<-ctx.Done()
	return ctx.Err()
}

// StoreTimeout ends the calls of a slow store, to the nanosecond, for every caller. Once the store
// is down, no request waits at all. No Take is sent twice.
func TestStalledStoreIsCutOff(t *testing.T) {
	for name, tc := range map[string]struct{ timeout, want time.Duration }{
		"the default": {0, 50 * time.Millisecond},
		"a choice":    {7 * time.Millisecond, 7 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testStalledStore(t, tc.timeout, tc.want) })
		})
	}
}

func testStalledStore(t *testing.T, timeout, want time.Duration) {
	const callers = 100
	var calls atomic.Int64
	l := newLimiter(t, ratelimit.Config{
		Rules: []ratelimit.Rule{rule("r", "1 per hour")}, OnStoreFailure: ratelimit.FailOpen, StoreTimeout: timeout,
		Store: storefake.Func(func(ctx context.Context, ops []store.Op) error {
			calls.Add(1)
			return stall(ctx, ops)
		}),
		Hooks: unreported(),
	})
	h := l.Handler(ok)
	round := func() (waits []time.Duration) {
		var wg sync.WaitGroup
		waits = make([]time.Duration, callers)
		for i := range waits {
			wg.Go(func() {
				begun := time.Now()
				assert.Equal(t, http.StatusOK, serve(h, with()).Code)
				waits[i] = time.Since(begun)
			})
		}
		wg.Wait()
		return waits
	}
	for _, wait := range round() {
		require.Equal(t, want, wait)
	}
	assert.EqualValues(t, callers, calls.Load(), "once for each request")
	assert.EqualValues(t, callers, l.Stats().Store.Failures[store.ReasonTimeout])
	for _, wait := range round() {
		require.Zero(t, wait, "the store is down")
	}
	assert.EqualValues(t, callers, calls.Load())
	time.Sleep(time.Second)
	slow := 0
	for _, wait := range round() {
		if wait > 0 {
			slow++
			require.Equal(t, want, wait)
		}
	}
	assert.Equal(t, 1, slow, "the probe")
}

// No lock is held during a call of a store: callers do not wait for each other, even for one key.
func TestCallersDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := ratelimit.NewMemoryStore(ratelimit.MemoryConfig{})
		h := newLimiter(t, ratelimit.Config{
			Rules: []ratelimit.Rule{rule("r", "60 per hour")}, OnStoreFailure: ratelimit.FailClosed,
			Store: storefake.Func(func(ctx context.Context, ops []store.Op) error {
				time.Sleep(5 * time.Millisecond)
				defer time.Sleep(5 * time.Millisecond)
				return memory.Apply(ctx, ops)
			}),
		}).Handler(ok)
		begun := time.Now()
		var wg sync.WaitGroup
		got := make([]int, 100)
		for i := range got {
			wg.Go(func() { got[i] = serve(h, with()).Code })
		}
		wg.Wait()
		assert.Equal(t, 10*time.Millisecond, time.Since(begun))
		slices.Sort(got)
		assert.Equal(t, slices.Concat(slices.Repeat([]int{200}, 60), slices.Repeat([]int{429}, 40)), got)
	})
}

func BenchmarkStoreDown(b *testing.B) {
	for _, policy := range []ratelimit.FailurePolicy{ratelimit.FailOpen, ratelimit.FailClosed, ratelimit.UseMemory} {
		b.Run(string(policy), func(b *testing.B) {
			l := deadLimiter(b, ratelimit.Config{Rules: []ratelimit.Rule{rule("r", "1000000 per second")}, OnStoreFailure: policy})
			key := ratelimit.UserKey("a")
			b.ReportAllocs()
			for b.Loop() {
				_, _ = l.Take(b.Context(), "r", key, 1)
			}
		})
	}
}

func BenchmarkStoreElsewhere(b *testing.B) {
	answer := func(_ context.Context, ops []store.Op) error {
		for i := range ops {
			ops[i].Result = store.Result{Allowed: true}
		}
		return nil
	}
	l := newLimiter(b, ratelimit.Config{
		Rules: []ratelimit.Rule{rule("r", "1000000 per second")}, OnStoreFailure: ratelimit.FailOpen, Store: storefake.Func(answer),
	})
	key := ratelimit.UserKey("a")
	b.ReportAllocs()
	for b.Loop() {
		_, _ = l.Take(b.Context(), "r", key, 1)
	}
}
