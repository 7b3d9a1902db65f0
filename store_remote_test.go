package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
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
)

// mortal is a Store that can die.
type mortal struct {
	ratelimit.Store
	dead  atomic.Bool
	asked atomic.Int64
}

func (m *mortal) Apply(ctx context.Context, ops []ratelimit.Op) error {
	m.asked.Add(1)
	if m.dead.Load() {
		return errors.New("connection refused")
	}
	return m.Store.Apply(ctx, ops)
}

func newMortal() *mortal {
	return &mortal{Store: ratelimit.NewMemoryStore(ratelimit.MemoryConfig{})}
}

// trip is the error of several calls that were sent as one.
type trip struct{ told atomic.Bool }

func (e *trip) Error() string  { return "broken pipe" }
func (e *trip) Repeated() bool { return e.told.Swap(true) }

// A store that sends the calls of many as one is not dead when one of these fails.
func TestOneTripIsOneFailure(t *testing.T) {
	var failure error
	var told []string
	l := newLimiter(t, ratelimit.Config{
		Store: storeFunc(func(context.Context, []ratelimit.Op) error { return failure }), OnStoreFailure: ratelimit.FailClosed,
		Rules: []ratelimit.Rule{rule("r", "10 per hour")},
		OnError: func(_ context.Context, err error) {
			var change *ratelimit.StoreChange
			if errors.As(err, &change) {
				told = append(told, string(change.State))
			}
		},
	})
	for trips := range 5 {
		failure = fmt.Errorf("wrapped: %w", &trip{})
		assert.Empty(t, told, "after %d trips", trips)
		for range 100 {
			_, err := l.Take(t.Context(), "r", ratelimit.UserKey("a"), 1)
			require.Error(t, err)
		}
	}
	assert.Equal(t, []string{"down"}, told)
	assert.EqualValues(t, 401, l.Stats().Failures[ratelimit.FailureOther], "each call is counted, but those it was not asked for")
}

type panickingError struct{}

func (panickingError) Error() string  { return "x" }
func (panickingError) Repeated() bool { panic("repeated") }

// A Repeated that panics says nothing.
func TestRepeatedPanics(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{
		Store: storeFunc(func(context.Context, []ratelimit.Op) error { return panickingError{} }), OnStoreFailure: ratelimit.FailOpen,
		Rules: []ratelimit.Rule{rule("r", "10 per hour")}, OnError: func(context.Context, error) {},
	})
	for range 6 {
		d, err := l.Take(t.Context(), "r", ratelimit.UserKey("a"), 1)
		require.Error(t, err)
		assert.True(t, d.Allowed)
	}
	assert.Equal(t, ratelimit.StoreDown, l.Stats().Store)
}

// Promise 13: a store that is back is in use soon, whatever a probe for a rule beyond its range says.
func TestProbeOfAnInvalidRule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMortal()
		big := rule("big", "10 per second")
		big.OnStoreFailure = ratelimit.FailOpen
		l := newLimiter(t, ratelimit.Config{
			Store: storeFunc(func(ctx context.Context, ops []ratelimit.Op) error {
				if ops[0].Limit.Rule() == "big" {
					return ratelimit.ErrInvalidOp
				}
				return store.Apply(ctx, ops)
			}),
			OnStoreFailure: ratelimit.FailClosed, Rules: []ratelimit.Rule{rule("r", "1000 per second"), big},
			OnError: func(context.Context, error) {},
		})
		store.dead.Store(true)
		for range 5 {
			_, err := l.Take(t.Context(), "r", ratelimit.UserKey("a"), 1)
			require.Error(t, err)
		}
		store.dead.Store(false)
		began := time.Now()
		for l.Stats().Store == ratelimit.StoreDown {
			require.Less(t, time.Since(began), 2*time.Second)
			for range 50 {
				_, _ = l.Take(t.Context(), "big", ratelimit.UserKey("a"), 1)
				time.Sleep(time.Millisecond)
			}
			_, _ = l.Take(t.Context(), "r", ratelimit.UserKey("a"), 1)
		}
	})
}

// Promise 13: a dead store is not asked on every request, and is back in use soon.
func TestDeadStoreIsNotAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMortal()
		var told []string
		l := newLimiter(t, ratelimit.Config{
			Store: store, OnStoreFailure: ratelimit.FailOpen,
			Rules:   []ratelimit.Rule{rule("r", "1000 per second")},
			OnError: func(_ context.Context, err error) { told = append(told, err.Error()) },
		})
		h, r := l.Handler(ok), request("192.0.2.1:1")
		store.dead.Store(true)
		for range 100 {
			require.Equal(t, http.StatusOK, serve(h, r).Code)
		}
		assert.EqualValues(t, 5, store.asked.Load())
		failure := "ratelimit: store: connection refused"
		down := "ratelimit: store: down: it is asked for no decision but a probe now and then"
		assert.Equal(t, []string{failure, failure, failure, failure, down, failure}, told)
		_, err := l.Take(t.Context(), "r", ratelimit.UserKey("alice"), 1)
		require.ErrorIs(t, err, ratelimit.ErrStoreDown)

		store.dead.Store(false)
		told = nil
		for range 200 {
			time.Sleep(10 * time.Millisecond)
			serve(h, r)
		}
		store.asked.Store(0)
		for range 100 {
			serve(h, r)
		}
		assert.EqualValues(t, 100, store.asked.Load(), "two seconds after it came back")
		assert.Equal(t, []string{
			"ratelimit: store: recovering: it is asked for a growing share of decisions",
			"ratelimit: store: up: it is asked for all decisions",
		}, told)
	})
}

// A client that does not stop asking costs the store nothing until its wait is over.
func TestRefusalCostsTheStoreNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMortal()
		l := newLimiter(t, ratelimit.Config{
			Store: store, OnStoreFailure: ratelimit.FailClosed, Rules: []ratelimit.Rule{rule("r", "2 per minute")},
		})
		h, r := l.Handler(ok), request("192.0.2.1:1")
		serve(h, r)
		serve(h, r)
		require.Equal(t, http.StatusTooManyRequests, serve(h, r).Code)
		for n := range 29 {
			for range 10 {
				assert.Equal(t, strconv.Itoa(30-n), serve(h, r).Header().Get("Retry-After"))
			}
			time.Sleep(time.Second)
		}
		assert.EqualValues(t, 3+2, store.asked.Load(), "and once every ten seconds")
		time.Sleep(time.Second)
		assert.Equal(t, http.StatusOK, serve(h, r).Code, "the wait is over")
		require.Equal(t, http.StatusTooManyRequests, serve(h, r).Code)
		require.NoError(t, l.Reset(t.Context(), "r", ratelimit.ByRemoteIP().KeyOf(netip.MustParseAddr("192.0.2.1"))))
		assert.Equal(t, http.StatusOK, serve(h, r).Code, "reset through this limiter")
	})
}

// stall is a Store that answers nothing. It keeps the contract: it gives up when ctx is done.
func stall(ctx context.Context, _ []ratelimit.Op) error {
	<-ctx.Done()
	return ctx.Err()
}

// Promise 13: a slow store is cut off by the library's own deadline, to the nanosecond, for every
// caller; once it is out of use nobody waits at all. No take is asked twice.
func TestStalledStoreIsCutOff(t *testing.T) {
	const callers = 100
	for name, tc := range map[string]struct{ timeout, want time.Duration }{
		"the default": {0, 50 * time.Millisecond},
		"a choice":    {7 * time.Millisecond, 7 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked atomic.Int64
				l := newLimiter(t, ratelimit.Config{
					Rules: []ratelimit.Rule{rule("r", "1 per hour")}, OnStoreFailure: ratelimit.FailOpen, StoreTimeout: tc.timeout,
					Store: storeFunc(func(ctx context.Context, ops []ratelimit.Op) error {
						asked.Add(1)
						return stall(ctx, ops)
					}),
					OnError: func(context.Context, error) {},
				})
				h := l.Handler(ok)
				round := func() (waits []time.Duration) {
					var wg sync.WaitGroup
					waits = make([]time.Duration, callers)
					for i := range waits {
						wg.Go(func() {
							begun := time.Now()
							assert.Equal(t, http.StatusOK, serve(h, request("192.0.2.1:1")).Code)
							waits[i] = time.Since(begun)
						})
					}
					wg.Wait()
					return waits
				}
				for _, wait := range round() {
					require.Equal(t, tc.want, wait)
				}
				assert.EqualValues(t, callers, asked.Load(), "once for each request")
				assert.EqualValues(t, callers, l.Stats().Failures[ratelimit.FailureTimeout])
				for _, wait := range round() {
					require.Zero(t, wait, "out of use")
				}
				assert.EqualValues(t, callers, asked.Load())
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

// No lock is held while a store is asked: callers do not wait for each other, even for one key.
func TestCallersDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := ratelimit.NewMemoryStore(ratelimit.MemoryConfig{})
		h := newLimiter(t, ratelimit.Config{
			Rules: []ratelimit.Rule{rule("r", "60 per hour")}, OnStoreFailure: ratelimit.FailClosed,
			Store: storeFunc(func(ctx context.Context, ops []ratelimit.Op) error {
				time.Sleep(5 * time.Millisecond)
				defer time.Sleep(5 * time.Millisecond)
				return memory.Apply(ctx, ops)
			}),
		}).Handler(ok)
		begun := time.Now()
		var wg sync.WaitGroup
		codes := make([]int, 100)
		for i := range codes {
			wg.Go(func() { codes[i] = serve(h, request("192.0.2.1:1")).Code })
		}
		wg.Wait()
		assert.Equal(t, 10*time.Millisecond, time.Since(begun))
		slices.Sort(codes)
		assert.Equal(t, slices.Concat(slices.Repeat([]int{200}, 60), slices.Repeat([]int{429}, 40)), codes)
	})
}

// A take that would have to wait is refused by local memory as it is by the store.
func TestTakeNeverWaitsInLocalMemory(t *testing.T) {
	patient := rule("r", "1 per second")
	patient.MaxWait = 10 * time.Second
	l := deadLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{patient}, OnStoreFailure: ratelimit.UseMemory})
	for _, want := range []bool{true, false, false} {
		d, err := l.Take(t.Context(), "r", ratelimit.UserKey("a"), 1)
		require.Error(t, err)
		assert.Equal(t, want, d.Allowed)
		assert.True(t, d.Local)
		assert.LessOrEqual(t, d.RetryAfter, time.Second, "what was refused is given back")
	}
}

func BenchmarkStoreDown(b *testing.B) {
	for name, policy := range map[string]ratelimit.FailurePolicy{
		"open": ratelimit.FailOpen, "closed": ratelimit.FailClosed, "memory": ratelimit.UseMemory,
	} {
		b.Run(name, func(b *testing.B) {
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
	answer := func(_ context.Context, ops []ratelimit.Op) error {
		for i := range ops {
			ops[i].Result = ratelimit.Result{Allowed: true}
		}
		return nil
	}
	l := newLimiter(b, ratelimit.Config{
		Rules: []ratelimit.Rule{rule("r", "1000000 per second")}, OnStoreFailure: ratelimit.FailOpen, Store: storeFunc(answer),
	})
	key := ratelimit.UserKey("a")
	b.ReportAllocs()
	for b.Loop() {
		_, _ = l.Take(b.Context(), "r", key, 1)
	}
}
