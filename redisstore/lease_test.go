package redisstore_test

import (
	"context"
	"errors"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/redisstore"
	"github.com/ratelimit-go/ratelimit/redisstore/internal/redistest"
	"github.com/ratelimit-go/ratelimit/store"
	"github.com/ratelimit-go/ratelimit/storetest"
)

func TestLeaseConformance(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	storetest.RunLeases(t, storetest.Harness{
		New: func(t testing.TB) store.Store {
			return newStore(t, server.Client(), redisstore.Config{Prefix: prefix()})
		},
		Around:     inParallel,
		Resolution: 20 * time.Millisecond,
	})
}

func TestLeaseConformanceOnARing(t *testing.T) {
	t.Parallel()
	servers := []*redistest.Server{redistest.Start(t), redistest.Start(t)}
	storetest.RunLeases(t, storetest.Harness{
		New: func(t testing.TB) store.Store {
			addrs := map[string]string{}
			for i, s := range servers {
				addrs[string(rune('a'+i))] = s.Addr()
			}
			client := redis.NewRing(&redis.RingOptions{Addrs: addrs, ContextTimeoutEnabled: true})
			t.Cleanup(func() { _ = client.Close() })
			return newStore(t, client, redisstore.Config{Prefix: prefix()})
		},
		Around:     inParallel,
		Resolution: 20 * time.Millisecond,
	})
}

// exports returns the limiter of an instance, with a rule that allows n requests in flight.
func exports(t *testing.T, store store.Store, policy ratelimit.FailurePolicy, n int) *ratelimit.Limiter {
	t.Helper()
	l, err := ratelimit.New(ratelimit.Config{
		Store: store, OnStoreFailure: policy, StoreTimeout: 500 * time.Millisecond, LeaseTTL: time.Second,
		Hooks: quiet,
		Rules: []ratelimit.Rule{{Name: "exports", InFlight: n, Key: ratelimit.Global("all")}},
	})
	require.NoError(t, err)
	return l
}

// Two instances on one server never have more than InFlight requests in flight together. Handlers
// that panic leave no lease behind.
func TestLeasesOfTwoInstances(t *testing.T) {
	const most = 3
	server := redistest.Start(t)
	var now, highest, served atomic.Int64
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for old := highest.Load(); n > old && !highest.CompareAndSwap(old, n); old = highest.Load() {
		}
		time.Sleep(time.Millisecond)
		if served.Add(1)%5 == 0 {
			panic(http.ErrAbortHandler)
		}
	})
	var load sync.WaitGroup
	for range 2 {
		h := exports(t, newStore(t, server.Client(), redisstore.Config{}), ratelimit.FailClosed, most).Handler(handler)
		for range 8 {
			load.Go(func() {
				for range 100 {
					func() {
						defer func() { _ = recover() }()
						get(h)
					}()
				}
			})
		}
	}
	load.Wait()
	t.Logf("%d served, at most %d at once", served.Load(), highest.Load())
	assert.LessOrEqual(t, highest.Load(), int64(most))
	assert.Greater(t, served.Load(), int64(most))
	assert.Empty(t, keysOf(t, server.Client()), "all were released")
}

// A live instance renews its leases for as long as its requests are in flight. The leases of a dead
// instance end after LeaseTTL.
func TestLeasesOfADeadInstance(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client := server.Client()
	dying := dropAll{Store: newStore(t, client, redisstore.Config{}), dead: new(atomic.Bool)}
	a := exports(t, dying, ratelimit.FailOpen, 1)
	b := exports(t, newStore(t, server.Client(), redisstore.Config{}), ratelimit.FailClosed, 1).Handler(ok)
	entered, proceed := make(chan struct{}), make(chan struct{})
	var inside sync.WaitGroup
	inside.Go(func() {
		get(a.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(entered); <-proceed })))
	})
	<-entered
	for begin := time.Now(); time.Since(begin) < 2500*time.Millisecond; time.Sleep(20 * time.Millisecond) {
		require.Equal(t, http.StatusServiceUnavailable, get(b), "the lease is renewed")
	}
	dying.dead.Store(true)
	begin := time.Now()
	require.Eventually(t, func() bool { return get(b) == http.StatusOK }, 10*time.Second, 5*time.Millisecond)
	t.Logf("free after %v", time.Since(begin))
	assert.Greater(t, time.Since(begin), 500*time.Millisecond)
	close(proceed)
	inside.Wait()
	require.Eventually(t, func() bool { return len(keysOf(t, client)) == 0 }, 5*time.Second, 10*time.Millisecond)
}

// A dropAll is the store of an instance that is cut off once dead is set.
type dropAll struct {
	*redisstore.Store
	dead *atomic.Bool
}

func (s dropAll) Lease(ctx context.Context, kind store.LeaseKind, leases []store.Lease) error {
	if s.dead.Load() {
		return errors.New("cut off")
	}
	return s.Store.Lease(ctx, kind, leases)
}

// While the server is killed and started again under load, each instance keeps to InFlight by
// itself, or denies. When the server is up again, the instances keep to it together.
func TestLeasesWhileTheServerIsKilled(t *testing.T) {
	t.Parallel()
	const most = 3
	for name, policy := range map[string]ratelimit.FailurePolicy{
		"open": ratelimit.FailOpen, "memory": ratelimit.UseMemory, "closed": ratelimit.FailClosed,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			client := server.Client()
			var now, highest [2]atomic.Int64
			var served, other atomic.Int64
			stop := make(chan struct{})
			var load sync.WaitGroup
			for i := range 2 {
				limiter := exports(t, newStore(t, server.Client(), redisstore.Config{}), policy, most)
				h := limiter.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
					n := now[i].Add(1)
					defer now[i].Add(-1)
					for old := highest[i].Load(); n > old && !highest[i].CompareAndSwap(old, n); old = highest[i].Load() {
					}
					served.Add(1)
					time.Sleep(2 * time.Millisecond)
				}))
				for range 6 {
					load.Go(func() {
						for {
							select {
							case <-stop:
								return
							default:
							}
							if code := get(h); code != http.StatusOK && code != http.StatusServiceUnavailable {
								other.Add(1)
							}
							time.Sleep(time.Millisecond)
						}
					})
				}
			}
			serves := func() bool { return served.Swap(0) > 0 }
			require.Eventually(t, serves, 5*time.Second, 10*time.Millisecond)
			server.Kill()
			time.Sleep(1500 * time.Millisecond) // until the calls under way are over
			served.Store(0)
			time.Sleep(300 * time.Millisecond)
			meanwhile := served.Load()
			if policy == ratelimit.FailClosed {
				assert.Zero(t, meanwhile)
			} else {
				assert.Positive(t, meanwhile)
			}
			server.Restart()
			begin := time.Now()
			require.Eventually(t, func() bool { return len(keysOf(t, client)) > 0 }, 10*time.Second, time.Millisecond)
			t.Logf("%d served while it was down; leases again after %v", meanwhile, time.Since(begin))
			require.Eventually(t, serves, 5*time.Second, 10*time.Millisecond)
			close(stop)
			load.Wait()
			assert.Zero(t, other.Load())
			for i := range highest {
				assert.LessOrEqual(t, highest[i].Load(), int64(most))
			}
			require.Eventually(t, func() bool { return len(keysOf(t, client)) == 0 }, 5*time.Second, 10*time.Millisecond)
		})
	}
}

// The set of leases has the tag of the buckets of its key. It expires with its last lease.
func TestLeaseNames(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client := server.Client()
	s := newStore(t, client, redisstore.Config{Prefix: "shop"})
	leases := []store.Lease{{Rule: "r", Key: ratelimit.UserKey("alice} {"), ID: [16]byte{1}, Max: 2, TTL: time.Second}}
	require.NoError(t, s.Apply(t.Context(), take(limit(t, "r", 0, "5 per hour"), "alice} {", 1)))
	require.NoError(t, s.Lease(t.Context(), store.Acquire, leases))
	keys := keysOf(t, client)
	require.Len(t, keys, 2)
	slices.Sort(keys)
	assert.Equal(t, []byte(strings.TrimSuffix(keys[1], "r")+`"r`), []byte(keys[0]))
	require.Eventually(t, func() bool { return len(keysOf(t, client)) == 1 }, 5*time.Second, 5*time.Millisecond)
}

func TestLeaseErrors(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	s := newStore(t, client, redisstore.Config{})
	leases := []store.Lease{{Rule: "r", Key: ratelimit.UserKey("a"), ID: [16]byte{1}, Max: 1, TTL: time.Second}}
	require.NoError(t, s.Lease(t.Context(), store.Acquire, leases))
	key := keysOf(t, client)[0]
	server.Do("del", key)
	server.Do("set", key, "the text of another program")
	wantReason(t, s.Lease(t.Context(), store.Acquire, leases), store.ReasonKey)
	server.Kill()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	var e *redisstore.Error
	require.ErrorAs(t, s.Lease(ctx, store.Release, leases), &e)
}

// A lease that ends later than any can last is of a clock that was ahead. If a request is denied
// for it, it ends after the TTL of that request.
func TestLeaseOfAClockThatWasAhead(t *testing.T) {
	t.Parallel()
	client := redistest.Start(t).Client()
	s := newStore(t, client, redisstore.Config{})
	acquire := func(id byte) bool {
		leases := []store.Lease{{Rule: "r", Key: ratelimit.UserKey("a"), ID: [16]byte{id}, Max: 1, TTL: time.Second}}
		require.NoError(t, s.Lease(t.Context(), store.Acquire, leases))
		return leases[0].Granted
	}
	for _, ends := range []float64{math.Inf(1), 1e308, float64(time.Now().Add(2 * time.Hour).UnixMilli())} {
		require.NoError(t, client.FlushAll(t.Context()).Err())
		require.True(t, acquire(1))
		key := keysOf(t, client)[0]
		member := string(append([]byte{1}, make([]byte, 15)...))
		require.NoError(t, client.ZAdd(t.Context(), key, redis.Z{Score: ends, Member: member}).Err())
		require.NoError(t, client.Persist(t.Context(), key).Err())
		require.False(t, acquire(2))
		assert.Positive(t, client.PTTL(t.Context(), key).Val())
		require.Eventually(t, func() bool { return acquire(2) }, 10*time.Second, 50*time.Millisecond, ends)
	}
}
