package ratelimit_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/storetest"
)

// leasingStore is a Store of several instances, that can lease, and fail.
type leasingStore struct {
	ratelimit.Store
	mu     sync.Mutex // of all of it
	leases *storetest.Leases
	calls  []ratelimit.LeaseKind
	before func(ctx context.Context, kind ratelimit.LeaseKind) error // nil for none
	after  func(kind ratelimit.LeaseKind) error                      // likewise
}

func newLeasingStore() *leasingStore {
	return &leasingStore{Store: ratelimit.NewMemoryStore(ratelimit.MemoryConfig{}), leases: storetest.NewLeases(nil)}
}

func (f *leasingStore) Lease(ctx context.Context, kind ratelimit.LeaseKind, leases []ratelimit.Lease) error {
	f.mu.Lock()
	f.calls = append(f.calls, kind)
	server, before, after := f.leases, f.before, f.after
	f.mu.Unlock()
	if _, limited := ctx.Deadline(); !limited {
		return errors.New("no deadline")
	}
	if before != nil {
		if err := before(ctx, kind); err != nil {
			return err
		}
	}
	if err := server.Lease(ctx, kind, leases); err != nil {
		return err
	}
	if after != nil {
		return after(kind)
	}
	return nil
}

// fails has the next calls fail by before, or work if it is nil.
func (f *leasingStore) fails(before func(ctx context.Context, kind ratelimit.LeaseKind) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before = before
}

// away is for fails.
func away(context.Context, ratelimit.LeaseKind) error { return errors.New("away") }

func (f *leasingStore) asked() []ratelimit.LeaseKind {
	f.mu.Lock()
	defer f.mu.Unlock()
	calls := f.calls
	f.calls = nil
	return calls
}

// instance is one that shares f. What it reports is an error of the test, unless report is given.
func (f *leasingStore) instance(t *testing.T, policy ratelimit.FailurePolicy, report func(error), rules ...ratelimit.Rule) *ratelimit.Limiter {
	t.Helper()
	return newLimiter(t, ratelimit.Config{
		Store: f, OnStoreFailure: policy, Rules: rules,
		OnError: func(_ context.Context, err error) {
			if report == nil {
				t.Error(err)
				return
			}
			report(err)
		},
	})
}

const (
	acquire = ratelimit.LeaseAcquire
	renew   = ratelimit.LeaseRenew
	release = ratelimit.LeaseRelease
)

func TestLeaseSharedByInstances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newLeasingStore()
		rules := []ratelimit.Rule{atOnce("each", 2), {Name: "all", InFlight: 3, Key: ratelimit.Constant("all")}}
		one, two := f.instance(t, ratelimit.FailClosed, nil, rules...), f.instance(t, ratelimit.FailClosed, nil, rules...)
		a, b := one.Handler(lasting), two.Handler(lasting)
		background(a, request("192.0.2.1:1", "Lasts", "1s"))
		background(b, request("192.0.2.1:1", "Lasts", "2s"))
		assert.Equal(t, 2*2, f.leases.Len())
		assert.Equal(t, 429, serve(a, request("192.0.2.1:1")).Code)
		assert.Equal(t, 429, serve(b, request("192.0.2.1:1")).Code)
		background(b, request("192.0.2.2:1", "Lasts", "1s"))
		w := serve(a, request("192.0.2.3:1"))
		assert.Equal(t, 503, w.Code)
		assert.Equal(t, "1", w.Header().Get("Retry-After"))
		pass(time.Second)
		assert.Equal(t, 200, serve(b, request("192.0.2.1:1")).Code)
		pass(time.Second)
		assert.Zero(t, f.leases.Len())
		requireNoneHeld(t, one)
		requireNoneHeld(t, two)
	})
}

// A request that is refused holds nothing any more when it is answered.
func TestLeaseRefusedHoldsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newLeasingStore()
		other := f.instance(t, ratelimit.FailClosed, nil, atOnce("r", 1))
		denied := 0
		var l *ratelimit.Limiter
		l = newLimiter(t, ratelimit.Config{
			Store: f, OnStoreFailure: ratelimit.FailClosed, Rules: []ratelimit.Rule{atOnce("r", 1)},
			OnDenied: func(*http.Request, ratelimit.Decision) { denied++; requireNoneHeld(t, l) },
		})
		background(other.Handler(lasting), request("192.0.2.1:1", "Lasts", "1s"))
		assert.Equal(t, 429, serve(l.Handler(ok), request("192.0.2.1:1")).Code)
		assert.Equal(t, 1, denied)
		pass(time.Second)
		assert.Zero(t, f.leases.Len())
	})
}

// What this process knows by itself it does not ask the store.
func TestLeaseLocalFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newLeasingStore()
		h := f.instance(t, ratelimit.FailClosed, nil, atOnce("r", 1)).Handler(lasting)
		background(h, request("192.0.2.1:1", "Lasts", "1s"))
		for range 10 {
			assert.Equal(t, 429, serve(h, request("192.0.2.1:1")).Code)
		}
		pass(time.Second)
		assert.Equal(t, []ratelimit.LeaseKind{acquire, release}, f.asked())
	})
}

// A request that takes longer than a lease lasts holds it until the end; one that is cut off, with
// its instance, does not.
func TestLeaseIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newLeasingStore()
		one, two := f.instance(t, ratelimit.FailClosed, nil, atOnce("r", 1)), f.instance(t, ratelimit.FailClosed, nil, atOnce("r", 1))
		h := two.Handler(ok)
		background(one.Handler(lasting), request("192.0.2.1:1", "Lasts", "95s"))
		for range 94 {
			assert.Equal(t, 429, serve(h, request("192.0.2.1:1")).Code)
			pass(time.Second)
		}
		pass(2 * time.Second)
		renewals := 0
		for _, kind := range f.asked() {
			if kind == renew {
				renewals++
			}
		}
		assert.Equal(t, 9, renewals)
		assert.Zero(t, f.leases.Len())

		key, _ := ratelimit.ByRemoteIP().Key(request("192.0.2.1:1"))
		dead := []ratelimit.Lease{{Rule: "r", Key: key, Max: 1, TTL: 30 * time.Second}}
		require.NoError(t, f.leases.Lease(t.Context(), acquire, dead))
		pass(29 * time.Second)
		assert.Equal(t, 429, serve(h, request("192.0.2.1:1")).Code)
		pass(time.Second)
		assert.Equal(t, 200, serve(h, request("192.0.2.1:1")).Code)
	})
}

// A renewal that fails is reported, and the next one makes up for it; so is a lease that has ended.
func TestLeaseRenewalFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newLeasingStore()
		reported := make(chan error, 10)
		l := f.instance(t, ratelimit.FailClosed, func(err error) { reported <- err }, atOnce("r", 1))
		background(l.Handler(lasting), request("192.0.2.1:1", "Lasts", "100s"))
		f.fails(away)
		pass(11 * time.Second)
		require.Len(t, reported, 1)
		require.ErrorContains(t, <-reported, "store: lease: away")
		f.fails(nil)
		pass(20 * time.Second)
		require.Empty(t, reported)
		assert.Equal(t, 1, f.leases.Len())
		f.mu.Lock()
		f.leases = storetest.NewLeases(nil) // the server has lost its memory
		f.mu.Unlock()
		pass(10 * time.Second)
		require.Len(t, reported, 1)
		require.ErrorContains(t, <-reported, `rule "r": a lease has ended before it was renewed`)
		assert.Equal(t, 1, f.leases.Len(), "and taken again")
		pass(60 * time.Second)
		require.Empty(t, reported)
		assert.Zero(t, f.leases.Len())
	})
}

// While the store fails each instance counts for itself, or refuses.
func TestLeaseStoreFails(t *testing.T) {
	for name, fail := range map[string]func(context.Context, ratelimit.LeaseKind) error{
		"error": away,
		"panic": func(context.Context, ratelimit.LeaseKind) error { panic("away") },
		"hangs": func(ctx context.Context, _ ratelimit.LeaseKind) error { <-ctx.Done(); return ctx.Err() },
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
				assert.Equal(t, want, []int{first.Code, second.Code, third.Code}, "%s, policy %d", name, policy)
				assert.NotContains(t, first.Body.String()+second.Body.String(), "away")
				assert.NotEmpty(t, reported)
				requireNoneHeld(t, l)

				f.fails(nil) // and is asked again when it is back
				pass(5 * time.Second)
				f.asked()
				for range 50 {
					serve(h, request("192.0.2.2:1"))
					assert.Zero(t, f.leases.Len(), "what is acquired in the ramp is released in it")
					pass(10 * time.Millisecond)
				}
				pass(time.Second)
				assert.Equal(t, 200, serve(h, request("192.0.2.2:1")).Code)
				assert.Contains(t, f.asked(), acquire)
			})
		}
	}
}

// What holds while the store fails is chosen by rule, and the part of one instance may be less than all.
func TestLeaseStoreFailsByRule(t *testing.T) {
	for name, tc := range map[string]struct {
		policy    ratelimit.FailurePolicy // of the rule
		n         int
		instances int
		admitted  int
		status    int // of the next one
	}{
		"closed":                    {ratelimit.FailClosed, 4, 2, 0, 503},
		"open":                      {ratelimit.FailOpen, 4, 2, 4, 429},
		"memory":                    {ratelimit.UseMemory, 4, 0, 4, 429},
		"memory of two":             {ratelimit.UseMemory, 4, 2, 2, 429},
		"memory of more than there": {ratelimit.UseMemory, 4, 9, 1, 429},
		"as the limiter says":       {0, 4, 4, 1, 429},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newLeasingStore()
				f.fails(away)
				r := atOnce("r", tc.n)
				r.OnStoreFailure = tc.policy
				l := newLimiter(t, ratelimit.Config{
					Store: f, OnStoreFailure: ratelimit.UseMemory, Instances: tc.instances, Rules: []ratelimit.Rule{r},
					OnError: func(context.Context, error) {},
				})
				h := l.Handler(lasting)
				for range tc.admitted {
					background(h, request("192.0.2.1:1", "Lasts", "1s"))
				}
				permits, _ := l.PermitsHeld()
				assert.Equal(t, tc.admitted, permits)
				assert.Equal(t, tc.status, serve(h, request("192.0.2.1:1")).Code)
				pass(time.Second)
				requireNoneHeld(t, l)
			})
		})
	}
}

// A dead store is left alone.
func TestLeaseStoreDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newLeasingStore()
		f.fails(away)
		h := f.instance(t, ratelimit.FailOpen, func(error) {}, atOnce("r", 1)).Handler(ok)
		for range 100 {
			assert.Equal(t, 200, serve(h, request("192.0.2.1:1")).Code)
		}
		assert.Len(t, f.asked(), 5)
	})
}

// Those who ask a store that hangs are in flight for themselves only once they go on: of more than the part of
// this instance that come together, the part is admitted.
func TestLeaseTogetherWhileTheStoreHangs(t *testing.T) {
	for part := 1; part <= 5; part++ {
		synctest.Test(t, func(t *testing.T) {
			f := newLeasingStore()
			f.fails(func(ctx context.Context, _ ratelimit.LeaseKind) error { <-ctx.Done(); return ctx.Err() })
			l := newLimiter(t, ratelimit.Config{
				Store: f, OnStoreFailure: ratelimit.UseMemory, Instances: 2, OnError: func(context.Context, error) {},
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

// A lease that the store was not asked for is not released there, so that a store that recovers is asked for a
// share of requests only.
func TestLeaseNotAskedForIsNotReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newLeasingStore()
		recovering := false
		l := f.instance(t, ratelimit.FailOpen, func(err error) {
			var change *ratelimit.StoreChange
			if errors.As(err, &change) {
				recovering = change.State == ratelimit.StoreRecovering
			}
		}, atOnce("r", 5))
		h := l.Handler(ok)
		f.fails(away)
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
		count := map[ratelimit.LeaseKind]int{}
		for _, kind := range f.asked() {
			count[kind]++
		}
		assert.Equal(t, count[acquire], count[release])
		assert.Less(t, count[acquire], 50)
		assert.Positive(t, count[acquire])
		assert.Zero(t, f.leases.Len())
	})
}

// A permit is held until the handler has ended, and no longer if the store hangs then.
func TestPermitEndsWithTheHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newLeasingStore()
		h := f.instance(t, ratelimit.FailOpen, func(error) {}, atOnce("r", 1)).Handler(lasting)
		background(h, request("192.0.2.1:1", "Lasts", "1s"))
		f.fails(func(ctx context.Context, _ ratelimit.LeaseKind) error { <-ctx.Done(); return ctx.Err() })
		time.Sleep(time.Second + time.Millisecond)
		assert.Equal(t, 200, serve(h, request("192.0.2.1:1")).Code)
		time.Sleep(time.Second)
	})
}

// If only the answer is lost, the lease is not.
func TestLeaseAnswerLost(t *testing.T) {
	for policy, want := range map[ratelimit.FailurePolicy]int{ratelimit.FailOpen: 200, ratelimit.FailClosed: 503} {
		synctest.Test(t, func(t *testing.T) {
			f := newLeasingStore()
			f.after = func(kind ratelimit.LeaseKind) error {
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

// What was admitted while the store was away is counted there when it is back.
func TestLeaseOfWhatWasAdmittedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newLeasingStore()
		f.fails(away)
		reported := make(chan error, 10)
		l := f.instance(t, ratelimit.UseMemory, func(err error) { reported <- err }, atOnce("r", 1))
		background(l.Handler(lasting), request("192.0.2.1:1", "Lasts", "20s"))
		f.fails(nil)
		pass(11 * time.Second)
		assert.Equal(t, 1, f.leases.Len())
		pass(10 * time.Second)
		assert.Zero(t, f.leases.Len())
		assert.Len(t, reported, 1, "no lease was lost, for there was none")
	})
}

// However a request ends, its lease does, and nothing goes on in its name.
func TestLeaseIsReleased(t *testing.T) {
	spent := rule("spent", "1 per hour")
	spent.InFlight = 1
	for name, tc := range map[string]struct {
		rule    ratelimit.Rule
		handler http.HandlerFunc
	}{
		"return":    {atOnce("r", 1), func(http.ResponseWriter, *http.Request) {}},
		"panic":     {atOnce("r", 1), func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
		"goexit":    {atOnce("r", 1), func(http.ResponseWriter, *http.Request) { runtime.Goexit() }},
		"no tokens": {spent, lasting},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newLeasingStore()
				l := f.instance(t, ratelimit.FailClosed, nil, tc.rule)
				h := l.Handler(tc.handler)
				for range 3 {
					ctx, hangUp := context.WithCancel(t.Context())
					hangUp() // which must not keep the lease from being released
					go func() {
						defer func() { _ = recover() }()
						h.ServeHTTP(httptest.NewRecorder(), request("192.0.2.1:1").WithContext(ctx))
					}()
					synctest.Wait()
					assert.Zero(t, f.leases.Len())
					requireNoneHeld(t, l)
				}
				f.asked()
				pass(time.Hour)
				assert.Empty(t, f.asked(), "a timer was left")
			})
		})
	}
}

// A request that ends while its lease is being renewed waits for that.
func TestLeaseRenewalUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newLeasingStore()
		var last ratelimit.LeaseKind
		f.after = func(kind ratelimit.LeaseKind) error {
			if kind == renew {
				time.Sleep(40 * time.Millisecond)
			}
			last = kind
			return nil
		}
		h := f.instance(t, ratelimit.FailClosed, nil, atOnce("r", 1)).Handler(lasting)
		begin := time.Now()
		assert.Equal(t, 200, serve(h, request("192.0.2.1:1", "Lasts", "10.02s")).Code)
		assert.Equal(t, 10*time.Second+40*time.Millisecond, time.Since(begin))
		assert.Equal(t, release, last)
		assert.Equal(t, []ratelimit.LeaseKind{acquire, renew, release}, f.asked())
		assert.Zero(t, f.leases.Len())
	})
}

// A function of the user's that ends the goroutine leaves nothing held.
func TestLeaseReportEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newLeasingStore()
		f.after = func(kind ratelimit.LeaseKind) error {
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

func TestLeaseTTL(t *testing.T) {
	for _, ttl := range []time.Duration{-1, time.Second - 1, time.Hour + 1} {
		_, err := ratelimit.New(ratelimit.Config{LeaseTTL: ttl})
		require.ErrorContains(t, err, "LeaseTTL: "+ttl.String()+": want 1s to 1h0m0s, or 0 for 30s")
	}
	require.ErrorContains(t, newLimiter(t, ratelimit.Config{}).Replace(ratelimit.Config{LeaseTTL: time.Second}), "LeaseTTL")
	synctest.Test(t, func(t *testing.T) {
		f := newLeasingStore()
		h := newLimiter(t, ratelimit.Config{
			Store: f, OnStoreFailure: ratelimit.FailClosed, LeaseTTL: 3 * time.Second, Rules: []ratelimit.Rule{atOnce("r", 1)},
		}).Handler(lasting)
		serve(h, request("192.0.2.1:1", "Lasts", "2500ms"))
		assert.Equal(t, []ratelimit.LeaseKind{acquire, renew, renew, release}, f.asked())
	})
}
