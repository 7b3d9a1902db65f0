package rpclimit_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/rpclimit"
	"github.com/ratelimit-go/ratelimit/store"
	"github.com/ratelimit-go/ratelimit/storetest"
)

// leasing is a store that several instances share. It can fail.
type leasing struct {
	ratelimit.Store
	leases *storetest.Leases
	away   atomic.Bool
	ttl    atomic.Int64 // of the last lease
}

func newLeasing() *leasing {
	return &leasing{
		Store:  ratelimit.NewMemoryStore(ratelimit.MemoryConfig{}),
		leases: storetest.NewLeases(nil),
	}
}

func (l *leasing) Lease(ctx context.Context, kind store.LeaseKind, leases []store.Lease) error {
	l.ttl.Store(int64(leases[0].TTL))
	if l.away.Load() {
		return errors.New("the store is away")
	}
	return l.leases.Lease(ctx, kind, leases)
}

// instance returns a Guard of another process.
func (l *leasing) instance(t *testing.T, told *reports) *rpclimit.Guard {
	return guard(t, rpclimit.Config{
		Limiter: budgets(t, "1000 per hour"), Store: l, LeaseTTL: time.Minute, Error: told.add,
		InFlight: []rpclimit.InFlight{{Name: "streams", Max: 3}},
	})
}

// eachWay runs a test without and with a store for leases, which take different ways.
func eachWay(t *testing.T, test func(t *testing.T, shared ratelimit.Store)) {
	t.Run("here", func(t *testing.T) { test(t, nil) })
	t.Run("by leases", func(t *testing.T) { test(t, newLeasing()) })
}

// fill begins streams until one is denied.
func fill(ctx context.Context, g *rpclimit.Guard) (sessions []*rpclimit.Session, d *rpclimit.Denial) {
	for {
		var s *rpclimit.Session
		if s, d = g.Begin(ctx, callOf(method), nil, true); d != nil {
			return sessions, d
		}
		sessions = append(sessions, s)
	}
}

// Calls of all instances count together in a store. While it is away each instance counts alone.
func TestInFlightOfAllInstances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared, told := newLeasing(), &reports{}
		one, other := shared.instance(t, told), shared.instance(t, told)
		first, d := one.Begin(t.Context(), callOf(method), nil, true)
		require.Nil(t, d)
		more, d := fill(t.Context(), other)
		assert.Len(t, more, 2)
		assert.Equal(t, ratelimit.ReasonInFlight, d.Decision.Reason)
		assert.Equal(t, "streams", d.Decision.Rule)
		assert.Equal(t, time.Second, d.RetryDelay())
		assert.EqualValues(t, 8, d.Code())
		assert.EqualValues(t, time.Minute, shared.ttl.Load())

		time.Sleep(time.Hour) // leases are renewed
		assert.NotNil(t, begin(t.Context(), one, method))
		first.End(0, true)
		assert.Nil(t, begin(t.Context(), other, method), "a lease is free")
		require.Empty(t, told.errs)

		shared.away.Store(true)
		alone, d := fill(t.Context(), one)
		assert.Len(t, alone, 3)
		assert.NotNil(t, d)
		assert.NotEmpty(t, told.errs)
		for _, s := range append(alone, more...) {
			s.End(0, false)
		}
		shared.away.Store(false)
		time.Sleep(time.Hour)
		last, d := fill(t.Context(), other)
		assert.Len(t, last, 3, "what has ended while it was away is forgotten")
		assert.NotNil(t, d)
		for _, s := range last {
			s.End(0, true)
		}
	})
}

// A denied call holds no lease.
func TestDeniedCallsHoldNoLease(t *testing.T) {
	shared := newLeasing()
	g := guard(t, rpclimit.Config{
		Limiter: budgets(t, "1 per hour"), Store: shared,
		Rules:    []rpclimit.Rule{{Name: "a"}},
		InFlight: []rpclimit.InFlight{{Name: "streams", Max: 1}},
	})
	require.Nil(t, begin(t.Context(), g, method))
	for range 3 {
		assert.Equal(t, ratelimit.ReasonLimit, begin(t.Context(), g, method).Decision.Reason)
	}
}

// TestInFlightNeverExceedsMax has many goroutines hold places, and end in both ways.
func TestInFlightNeverExceedsMax(t *testing.T) {
	eachWay(t, neverExceedsMax)
}

func neverExceedsMax(t *testing.T, shared ratelimit.Store) {
	l := budgets(t, "1000000 per year burst 1000000")
	g := guard(t, rpclimit.Config{
		Limiter: l, Store: shared, Rules: []rpclimit.Rule{{Name: "a", Key: all}},
		InFlight: []rpclimit.InFlight{{Name: "f", Max: 3}, {Name: "g", Max: 2, Key: all}},
	})
	var running, most, allowed atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 500 {
				s, d := g.Begin(t.Context(), callOf(method), nil, true)
				if d != nil {
					continue
				}
				n := running.Add(1)
				for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
				}
				allowed.Add(1)
				running.Add(-1)
				s.End(0, i%2 == 0)
			}
		})
	}
	wg.Wait()
	assert.LessOrEqual(t, most.Load(), int64(2))
	assert.Equal(t, 1_000_000-allowed.Load(), left(t, l, "a"), "denied calls cost nothing")
	assert.Nil(t, begin(t.Context(), g, method), "all places are free")
}

func TestInFlightKeys(t *testing.T) {
	eachWay(t, keysInFlight)
}

func keysInFlight(t *testing.T, shared ratelimit.Store) {
	type user struct{}
	by := rpclimit.ByUser(func(ctx context.Context) string { name, _ := ctx.Value(user{}).(string); return name })
	g := guard(t, rpclimit.Config{Limiter: budgets(t, "9 per hour"), Store: shared, InFlight: []rpclimit.InFlight{
		{Name: "f", Max: 1, Key: by, OnMissingKey: ratelimit.DenyRequest},
		{Name: "g", Max: 1, Key: by, OnMissingKey: ratelimit.SkipRule},
	}})
	as := func(name string) context.Context { return context.WithValue(t.Context(), user{}, name) }
	alice, d := g.Begin(as("alice"), callOf(method), nil, true)
	require.Nil(t, d)
	assert.Equal(t, ratelimit.ReasonInFlight, begin(as("alice"), g, method).Decision.Reason)
	assert.Nil(t, begin(as("bob"), g, method))
	assert.Equal(t, ratelimit.ReasonNoKey, begin(as(""), g, method).Decision.Reason)
	alice.End(0, true)
	alice.End(0, true)
	_, d = g.Begin(as("alice"), callOf(method), nil, true)
	require.Nil(t, d)
	assert.NotNil(t, begin(as("alice"), g, method), "a place that was released twice counts once")
}
