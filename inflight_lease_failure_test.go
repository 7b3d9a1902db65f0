package ratelimit_test

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/store"
	"github.com/ratelimit-go/ratelimit/storetest"
)

// A renewal that fails is reported, and the next one holds the lease. A lease that has ended is
// reported and acquired again.
func TestLeaseRenewalFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newLeasingStore()
		reported := make(chan error, 10)
		l := f.instance(t, ratelimit.FailClosed, func(err error) { reported <- err }, atOnce("r", 1))
		background(l.Handler(lasting), request("192.0.2.1:1", "Lasts", "100s"))
		f.fails(unreachable)
		pass(11 * time.Second)
		require.Len(t, reported, 1)
		require.ErrorContains(t, <-reported, "lease: unreachable")
		f.fails(nil)
		pass(20 * time.Second)
		require.Empty(t, reported)
		assert.Equal(t, 1, f.leases.Len())
		f.mu.Lock()
		f.leases = storetest.NewLeases(nil) // the server has forgotten all
		f.mu.Unlock()
		pass(10 * time.Second)
		require.Len(t, reported, 1)
		require.ErrorContains(t, <-reported, `rule "r": a lease has ended before it was renewed`)
		assert.Equal(t, 1, f.leases.Len(), "and acquired again")
		pass(60 * time.Second)
		require.Empty(t, reported)
		assert.Zero(t, f.leases.Len())
	})
}

// While the store fails, each instance counts by itself, or denies.
func TestLeaseStoreFails(t *testing.T) {
	for name, fail := range map[string]func(context.Context, store.LeaseKind) error{
		"error": unreachable,
		"panic": func(context.Context, store.LeaseKind) error { panic("unreachable") },
		"hangs": func(ctx context.Context, _ store.LeaseKind) error { <-ctx.Done(); return ctx.Err() },
	} {
		for policy, want := range map[ratelimit.FailurePolicy][]int{
			ratelimit.FailOpen: {200, 429, 200}, ratelimit.UseMemory: {200, 429, 200}, ratelimit.FailClosed: {503, 503, 503},
		} {
			synctest.Test(t, func(t *testing.T) {
				f := newLeasingStore()
				reported := make(chan error, 100)
				l := f.instance(t, policy, func(err error) { reported <- err }, atOnce("r", 1))
				h := l.Handler(lasting)
				f.fails(fail)
				first := background(h, request("192.0.2.1:1", "Lasts", "1s"))
				pass(200 * time.Millisecond)
				second := serve(h, request("192.0.2.1:1"))
				pass(time.Second)
				third := serve(h, request("192.0.2.1:1"))
				assert.Equal(t, want, []int{first.Code, second.Code, third.Code}, "%s, policy %s", name, policy)
				assert.NotContains(t, first.Body.String()+second.Body.String(), "unreachable")
				assert.NotEmpty(t, reported)
				requireNoneHeld(t, l)

				f.fails(nil) // and receives calls again when it works
				pass(5 * time.Second)
				f.asked()
				for range 50 {
					serve(h, request("192.0.2.2:1"))
					assert.Zero(t, f.leases.Len(), "a lease that is acquired in the ramp is released in it")
					pass(10 * time.Millisecond)
				}
				pass(time.Second)
				assert.Equal(t, 200, serve(h, request("192.0.2.2:1")).Code)
				assert.Contains(t, f.asked(), acquire)
			})
		}
	}
}

// Each rule chooses what happens while the store fails. With UseMemory an instance allows its
// share.
func TestLeaseStoreFailsByRule(t *testing.T) {
	for name, tc := range map[string]struct {
		policy    ratelimit.FailurePolicy // of the rule
		n         int
		instances int
		allowed   int
		status    int // of the next one
	}{
		"closed":                    {ratelimit.FailClosed, 4, 2, 0, 503},
		"open":                      {ratelimit.FailOpen, 4, 2, 4, 429},
		"memory":                    {ratelimit.UseMemory, 4, 0, 4, 429},
		"memory of two":             {ratelimit.UseMemory, 4, 2, 2, 429},
		"memory of more than there": {ratelimit.UseMemory, 4, 9, 1, 429},
		"the limiter's":             {"", 4, 4, 1, 429},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newLeasingStore()
				f.fails(unreachable)
				r := atOnce("r", tc.n)
				r.OnStoreFailure = tc.policy
				l := newLimiter(t, ratelimit.Config{
					Store: f, OnStoreFailure: ratelimit.UseMemory, Instances: tc.instances, Rules: []ratelimit.Rule{r},
					Hooks: unreported(),
				})
				h := l.Handler(lasting)
				for range tc.allowed {
					background(h, request("192.0.2.1:1", "Lasts", "1s"))
				}
				permits, _ := l.PermitsHeld()
				assert.Equal(t, tc.allowed, permits)
				assert.Equal(t, tc.status, serve(h, request("192.0.2.1:1")).Code)
				pass(time.Second)
				requireNoneHeld(t, l)
			})
		})
	}
}

// A dead store receives no further calls.
func TestLeaseStoreDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newLeasingStore()
		f.fails(unreachable)
		h := f.instance(t, ratelimit.FailOpen, func(error) {}, atOnce("r", 1)).Handler(ok)
		for range 100 {
			assert.Equal(t, 200, serve(h, request("192.0.2.1:1")).Code)
		}
		assert.Len(t, f.asked(), 5)
	})
}

// While the store hangs, an instance allows exactly its share of the requests that arrive together.
func TestLeaseTogetherWhileTheStoreHangs(t *testing.T) {
	for part := 1; part <= 5; part++ {
		synctest.Test(t, func(t *testing.T) {
			f := newLeasingStore()
			f.fails(func(ctx context.Context, _ store.LeaseKind) error { <-ctx.Done(); return ctx.Err() })
			l := newLimiter(t, ratelimit.Config{
				Store: f, OnStoreFailure: ratelimit.UseMemory, Instances: 2, Hooks: unreported(),
				Rules: []ratelimit.Rule{atOnce("r", 2*part)},
			})
			var codes [600]atomic.Int64
			var all sync.WaitGroup
			for range part + 1 {
				all.Go(func() { codes[serve(l.Handler(lasting), request("192.0.2.1:1", "Lasts", "1s")).Code].Add(1) })
			}
			all.Wait()
			assert.Equal(t, []int64{int64(part), 1}, []int64{codes[200].Load(), codes[429].Load()})
			requireNoneHeld(t, l)
		})
	}
}

// A lease that was not acquired in the store is not released there. Thus a store that recovers
// receives calls for a share of the requests only.
func TestLeaseNotAcquiredIsNotReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newLeasingStore()
		recovering := false
		l := newLimiter(t, ratelimit.Config{
			Store: f, OnStoreFailure: ratelimit.FailOpen, Rules: []ratelimit.Rule{atOnce("r", 5)},
			Hooks: ratelimit.Hooks{
				Error:      func(context.Context, error) {},
				StoreState: func(_ context.Context, s store.State) { recovering = s == store.Recovering },
			},
		})
		h := l.Handler(ok)
		f.fails(unreachable)
		for range 10 {
			serve(h, request("192.0.2.1:1"))
		}
		f.fails(nil)
		for !recovering {
			time.Sleep(time.Millisecond)
			serve(h, request("192.0.2.1:1"))
		}
		f.asked()
		for range 100 {
			time.Sleep(time.Millisecond)
			serve(h, request("192.0.2.1:1"))
		}
		count := map[store.LeaseKind]int{}
		for _, kind := range f.asked() {
			count[kind]++
		}
		assert.Equal(t, count[acquire], count[release])
		assert.Less(t, count[acquire], 50)
		assert.Positive(t, count[acquire])
		assert.Zero(t, f.leases.Len())
	})
}

// A request is in flight until its handler has ended, even if the store hangs then.
func TestInFlightEndsWithTheHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newLeasingStore()
		h := f.instance(t, ratelimit.FailOpen, func(error) {}, atOnce("r", 1)).Handler(lasting)
		background(h, request("192.0.2.1:1", "Lasts", "1s"))
		f.fails(func(ctx context.Context, _ store.LeaseKind) error { <-ctx.Done(); return ctx.Err() })
		time.Sleep(time.Second + time.Millisecond)
		assert.Equal(t, 200, serve(h, request("192.0.2.1:1")).Code)
		time.Sleep(time.Second)
	})
}

// If only the answer of the store is lost, the lease is held and released.
func TestLeaseAnswerLost(t *testing.T) {
	for policy, want := range map[ratelimit.FailurePolicy]int{ratelimit.FailOpen: 200, ratelimit.FailClosed: 503} {
		synctest.Test(t, func(t *testing.T) {
			f := newLeasingStore()
			f.after = func(kind store.LeaseKind) error {
				if kind == acquire {
					return errors.New("lost")
				}
				return nil
			}
			h := f.instance(t, policy, func(error) {}, atOnce("r", 1)).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				assert.Equal(t, 1, f.leases.Len())
			}))
			assert.Equal(t, want, serve(h, request("192.0.2.1:1")).Code)
			assert.Zero(t, f.leases.Len())
		})
	}
}

// A request that was allowed while the store failed is counted there when the store works again.
func TestLeaseOfRequestsAllowedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newLeasingStore()
		f.fails(unreachable)
		reported := make(chan error, 10)
		l := f.instance(t, ratelimit.UseMemory, func(err error) { reported <- err }, atOnce("r", 1))
		background(l.Handler(lasting), request("192.0.2.1:1", "Lasts", "20s"))
		f.fails(nil)
		pass(11 * time.Second)
		assert.Equal(t, 1, f.leases.Len())
		pass(10 * time.Second)
		assert.Zero(t, f.leases.Len())
		assert.Len(t, reported, 1, "no lease was lost")
	})
}

// A hook that ends the goroutine leaves no lease.
func TestLeaseReportEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newLeasingStore()
		f.after = func(kind store.LeaseKind) error {
			if kind == acquire {
				return errors.New("lost")
			}
			return nil
		}
		l := f.instance(t, ratelimit.FailOpen, func(error) { runtime.Goexit() }, atOnce("r", 1))
		background(l.Handler(ok), request("192.0.2.1:1"))
		assert.Zero(t, f.leases.Len())
		requireNoneHeld(t, l)
	})
}
