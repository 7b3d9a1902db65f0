package ratelimit_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/store"
	"github.com/ratelimit-go/ratelimit/storetest"
)

// leasingStore is a Store with leases for several instances. It can fail.
type leasingStore struct {
	ratelimit.Store
	mu     sync.Mutex // guards the fields below
	leases *storetest.Leases
	calls  []store.LeaseKind
	before func(ctx context.Context, kind store.LeaseKind) error // nil for none
	after  func(kind store.LeaseKind) error                      // nil for none
}

func newLeasingStore() *leasingStore {
	return &leasingStore{Store: ratelimit.NewMemoryStore(ratelimit.MemoryConfig{}), leases: storetest.NewLeases(nil)}
}

func (f *leasingStore) Lease(ctx context.Context, kind store.LeaseKind, leases []store.Lease) error {
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

// fails makes the next calls fail by before, or succeed if before is nil.
func (f *leasingStore) fails(before func(ctx context.Context, kind store.LeaseKind) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before = before
}

// unreachable is an error for fails.
func unreachable(context.Context, store.LeaseKind) error { return errors.New("unreachable") }

func (f *leasingStore) asked() []store.LeaseKind {
	f.mu.Lock()
	defer f.mu.Unlock()
	calls := f.calls
	f.calls = nil
	return calls
}

// instance returns a limiter that shares f. If report is nil, an error is an error of the test.
func (f *leasingStore) instance(t *testing.T, policy ratelimit.FailurePolicy, report func(error),
	rules ...ratelimit.Rule,
) *ratelimit.Limiter {
	t.Helper()
	return newLimiter(t, ratelimit.Config{
		Store: f, OnStoreFailure: policy, Rules: rules,
		Hooks: ratelimit.Hooks{Error: func(_ context.Context, err error) {
			if report == nil {
				t.Error(err)
				return
			}
			report(err)
		}, StoreState: func(context.Context, store.State) {}},
	})
}

const (
	acquire = store.Acquire
	renew   = store.Renew
	release = store.Release
)

func TestLeaseSharedByInstances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newLeasingStore()
		rules := []ratelimit.Rule{atOnce("each", 2), {Name: "all", InFlight: 3, Key: ratelimit.Global("all")}}
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

// A denied request holds no lease when it is answered.
func TestDeniedRequestHoldsNoLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newLeasingStore()
		other := f.instance(t, ratelimit.FailClosed, nil, atOnce("r", 1))
		denied := 0
		var l *ratelimit.Limiter
		l = newLimiter(t, ratelimit.Config{
			Store: f, OnStoreFailure: ratelimit.FailClosed, Rules: []ratelimit.Rule{atOnce("r", 1)},
			Hooks: ratelimit.Hooks{Denied: func(*http.Request, ratelimit.Decision) { denied++; requireNoneHeld(t, l) }},
		})
		background(other.Handler(lasting), request("192.0.2.1:1", "Lasts", "1s"))
		assert.Equal(t, 429, serve(l.Handler(ok), request("192.0.2.1:1")).Code)
		assert.Equal(t, 1, denied)
		pass(time.Second)
		assert.Zero(t, f.leases.Len())
	})
}

// A request that the process can deny by itself makes no call.
func TestLeaseLocalFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newLeasingStore()
		h := f.instance(t, ratelimit.FailClosed, nil, atOnce("r", 1)).Handler(lasting)
		background(h, request("192.0.2.1:1", "Lasts", "1s"))
		for range 10 {
			assert.Equal(t, 429, serve(h, request("192.0.2.1:1")).Code)
		}
		pass(time.Second)
		assert.Equal(t, []store.LeaseKind{acquire, release}, f.asked())
	})
}

// A request that takes longer than a lease holds its lease until the end. The lease of an instance
// that has died ends by itself.
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

		dead := []store.Lease{{Rule: "r", Key: client(), Max: 1, TTL: 30 * time.Second}}
		require.NoError(t, f.leases.Lease(t.Context(), acquire, dead))
		pass(29 * time.Second)
		assert.Equal(t, 429, serve(h, request("192.0.2.1:1")).Code)
		pass(time.Second)
		assert.Equal(t, 200, serve(h, request("192.0.2.1:1")).Code)
	})
}

// A lease ends with its request, and so does its timer.
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
					hangUp() // the lease is still released
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

// A request that ends while its lease is being renewed waits for the renewal.
func TestLeaseRenewalUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newLeasingStore()
		var last store.LeaseKind
		f.after = func(kind store.LeaseKind) error {
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
		assert.Equal(t, []store.LeaseKind{acquire, renew, release}, f.asked())
		assert.Zero(t, f.leases.Len())
	})
}

func TestLeaseTTL(t *testing.T) {
	for _, ttl := range []time.Duration{-1, time.Second - 1, time.Hour + 1} {
		_, err := ratelimit.New(ratelimit.Config{LeaseTTL: ttl})
		require.ErrorContains(t, err, "LeaseTTL: "+ttl.String()+": want 1s to 1h0m0s, or 0 for 30s")
	}
	synctest.Test(t, func(t *testing.T) {
		f := newLeasingStore()
		h := newLimiter(t, ratelimit.Config{
			Store: f, OnStoreFailure: ratelimit.FailClosed, LeaseTTL: 3 * time.Second, Rules: []ratelimit.Rule{atOnce("r", 1)},
		}).Handler(lasting)
		serve(h, request("192.0.2.1:1", "Lasts", "2500ms"))
		assert.Equal(t, []store.LeaseKind{acquire, renew, renew, release}, f.asked())
	})
}
