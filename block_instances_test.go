package ratelimit_test

import (
	"context"
	"net/http"
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

// twoInstances are two limiters with the same rules and one store.
type twoInstances struct {
	store        *storefake.Mortal
	a, b         *ratelimit.Limiter
	lastA, lastB *ratelimit.Decision // their last denials
	told         []ratelimit.Blocked // by the hooks of both
}

func newTwoInstances(t testing.TB, policy ratelimit.FailurePolicy, rules ...ratelimit.Rule) *twoInstances {
	t.Helper()
	two := &twoInstances{store: newMortal()}
	instance := func() (*ratelimit.Limiter, *ratelimit.Decision) {
		cfg := ratelimit.Config{Rules: rules, Store: two.store, OnStoreFailure: policy, Hooks: unreported()}
		cfg.Hooks.Blocked = func(_ context.Context, b ratelimit.Blocked) { two.told = append(two.told, b) }
		last := lastDenial(&cfg)
		return newLimiter(t, cfg), last
	}
	two.a, two.lastA = instance()
	two.b, two.lastB = instance()
	return two
}

// get sends l a request of the client 192.0.2.1. It returns the status and the calls of the store.
func (two *twoInstances) get(l *ratelimit.Limiter) (status int, calls int64) {
	before := two.store.Calls.Load()
	return serve(l.Handler(ok), with()).Code, two.store.Calls.Load() - before
}

func (two *twoInstances) requireGet(t testing.TB, l *ratelimit.Limiter, status int, calls int64, why string) {
	t.Helper()
	gotStatus, gotCalls := two.get(l)
	require.Equal(t, []any{status, calls}, []any{gotStatus, gotCalls}, why)
}

// An instance denies at once what another instance has blocked. It allows within 10 seconds what
// another instance has unblocked. In between, a blocked key costs a call of the store, and its
// refund, in 10 seconds.
func TestInstancesShareBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rule("p", "10 per second")
		r.Block = &ratelimit.Block{After: ratelimit.Per(3, time.Hour), For: time.Hour}
		two := newTwoInstances(t, ratelimit.FailOpen, rule("all", "1000 per day"), r)
		two.requireGet(t, two.b, 200, 1, "no block yet")
		violate(t, two.a, 3)
		require.Len(t, two.told, 1)
		two.requireGet(t, two.a, 429, 0, "known to the instance that blocked")
		two.requireGet(t, two.b, 429, 2, "not known to the other: one call asks, one refunds")
		assert.Equal(t, blockedDecision(time.Hour), *two.lastB)
		for range 5 {
			for range 100 {
				two.requireGet(t, two.b, 429, 0, "known")
			}
			time.Sleep(9999 * time.Millisecond)
			two.requireGet(t, two.b, 429, 0, "still trusted")
			time.Sleep(time.Millisecond)
			two.requireGet(t, two.b, 429, 2, "one call asks again, one refunds")
		}
		assert.Equal(t, int64(999), remaining(t, two.b, "all"), "a denied request costs nothing")

		require.NoError(t, two.a.Unblock(t.Context(), "p", client()))
		two.requireGet(t, two.a, 200, 1, "unblocked here")
		two.requireGet(t, two.b, 429, 0, "not known there yet")
		assert.Len(t, two.b.Blocked(), 1)
		time.Sleep(10 * time.Second)
		two.requireGet(t, two.b, 200, 1, "unblocked there")
		assert.Empty(t, two.b.Blocked())
		assert.Len(t, two.told, 1, "the hook was called once")
		assert.Equal(t, time.Hour, violate(t, two.b, 3), "the first block is forgotten")
	})
}

// All instances count the violations of a key, and its blocks, together.
func TestInstancesCountViolationsTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		two := newTwoInstances(t, ratelimit.FailOpen, blocking(ratelimit.Block{After: ratelimit.Per(4, time.Hour)}))
		for i, want := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute} {
			for range 3 {
				for _, l := range []*ratelimit.Limiter{two.a, two.b} {
					_, err := l.Take(t.Context(), "p", client(), tooMany)
					require.NoError(t, err)
				}
			}
			require.Len(t, two.told, i+1)
			require.Equal(t, ratelimit.Blocked{Rule: "p", Key: client(), Until: time.Now().Add(want), Times: i + 1}, two.told[i])
			time.Sleep(want)
		}
	})
}

// While the store fails, known blocks hold. Other blocks do not.
func TestKnownBlocksHoldWhileTheStoreFails(t *testing.T) {
	for _, tc := range []struct {
		policy ratelimit.FailurePolicy
		status int // for an instance that does not know of the block
	}{{ratelimit.FailOpen, 200}, {ratelimit.FailClosed, 503}, {ratelimit.UseMemory, 200}} {
		t.Run(string(tc.policy), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rule("p", "10 per second")
				r.Block = &ratelimit.Block{After: ratelimit.Per(3, time.Hour), For: 30 * time.Second}
				two := newTwoInstances(t, tc.policy, r)
				violate(t, two.a, 3)
				two.store.Dead.Store(true)
				for range 29 {
					time.Sleep(time.Second)
					status, _ := two.get(two.a)
					require.Equal(t, 429, status, "it knows the block, and asks in vain every 10 seconds")
				}
				status, _ := two.get(two.b)
				require.Equal(t, tc.status, status, "it does not know the block")
				var failure *store.Error
				require.ErrorAs(t, two.b.Block(t.Context(), "p", client(), time.Hour), &failure)
				require.ErrorAs(t, two.b.Unblock(t.Context(), "p", client()), &failure)
				two.store.Dead.Store(false)
				time.Sleep(10 * time.Second)
				status, _ = two.get(two.a)
				require.Equal(t, 200, status, "the block is over")
			})
		})
	}
}

// With UseMemory, violations count in memory while the store fails.
func TestViolationsCountInMemoryWhileTheStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		two := newTwoInstances(t, ratelimit.UseMemory, blocking(ratelimit.Block{After: ratelimit.Per(3, time.Hour)}))
		two.store.Dead.Store(true)
		const limit, blocked = ratelimit.ReasonLimit, ratelimit.ReasonBlocked
		for i, want := range []ratelimit.Reason{"", limit, limit, blocked, blocked} {
			two.get(two.a)
			require.Equal(t, want, two.lastA.Reason, "request %d", i+1)
		}
	})
}

// A limiter without room to remember blocks finds them in memory while the store fails.
func TestForgottenBlocksHoldInMemoryWhileTheStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rule("p", "10 per second")
		r.Block = &ratelimit.Block{After: ratelimit.Per(3, time.Hour)}
		two := newTwoInstances(t, ratelimit.UseMemory, r)
		ratelimit.SetBlocksKnown(two.a, 0)
		two.store.Dead.Store(true)
		violate(t, two.a, 3)
		assert.Empty(t, two.a.Blocked())
		status, _ := two.get(two.a)
		assert.Equal(t, 429, status)
		assert.Equal(t, time.Minute, two.lastA.RetryAfter)
		assert.Equal(t, ratelimit.ReasonBlocked, two.lastA.Reason)
		time.Sleep(time.Minute)
		status, _ = two.get(two.a)
		assert.Equal(t, 200, status)
	})
}

// lateStore withholds its first answer until resume is closed.
type lateStore struct {
	ratelimit.Store
	later            atomic.Bool // the first answer was given
	answered, resume chan struct{}
}

func newLateStore(s ratelimit.Store) *lateStore {
	return &lateStore{Store: s, answered: make(chan struct{}), resume: make(chan struct{})}
}

func (s *lateStore) Apply(ctx context.Context, ops []store.Op) error {
	err := s.Store.Apply(ctx, ops)
	if !s.later.Swap(true) {
		close(s.answered)
		<-s.resume
	}
	return err
}

// Of all requests of a blocked key, one at a time asks the store whether the block holds.
func TestOneRequestAsksWhetherABlockHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		counted := newMortal()
		late := newLateStore(counted)
		late.later.Store(true) // not yet
		l := newLimiter(t, ratelimit.Config{
			Rules: []ratelimit.Rule{blocking(ratelimit.Block{After: ratelimit.Per(1, time.Hour), For: time.Hour})},
			Store: late, OnStoreFailure: ratelimit.FailOpen, StoreTimeout: time.Hour,
		})
		violate(t, l, 1)
		time.Sleep(10 * time.Second)
		late.later.Store(false)
		before := counted.Calls.Load()
		var all sync.WaitGroup
		all.Go(func() { assert.Equal(t, 429, serve(l.Handler(ok), with()).Code) })
		<-late.answered
		for range 100 {
			assert.Equal(t, 429, serve(l.Handler(ok), with()).Code)
		}
		assert.Equal(t, int64(1), counted.Calls.Load()-before)
		close(late.resume)
		all.Wait()
	})
}

// If a key is unblocked while a request waits for the answer of the store, the answer is not
// remembered.
func TestUnblockOvertakesAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		two := newTwoInstances(t, ratelimit.FailOpen, blocking(ratelimit.Block{After: ratelimit.Per(1, time.Hour), For: time.Hour}))
		violate(t, two.b, 1)
		late := newLateStore(two.store)
		l := newLimiter(t, ratelimit.Config{
			Rules: []ratelimit.Rule{blocking(ratelimit.Block{After: ratelimit.Per(1, time.Hour)})},
			Store: late, OnStoreFailure: ratelimit.FailOpen, StoreTimeout: time.Hour,
		})
		var all sync.WaitGroup
		all.Go(func() { assert.Equal(t, 429, serve(l.Handler(ok), with()).Code) })
		<-late.answered
		require.NoError(t, l.Unblock(t.Context(), "p", client()))
		close(late.resume)
		all.Wait()
		assert.Equal(t, 200, serve(l.Handler(ok), with()).Code)
	})
}

// Another rule can deny the request that should ask the store whether a block holds. Then the next
// request asks, so that the instance notices the end of a block that another instance unblocked.
func TestUnblockIsSeenBehindAnotherDenial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blockable := rule("blockable", "100 per second")
		blockable.Block = &ratelimit.Block{}
		keyed := ratelimit.Rule{
			Name: "keyed", Limits: ratelimit.MustParse("100 per second"),
			Key: ratelimit.ByHeader("X-Key"), OnMissingKey: ratelimit.DenyRequest,
		}
		busy := ratelimit.Rule{Name: "busy", Key: ratelimit.ByHeader("X-Busy"), InFlight: 1, OnMissingKey: ratelimit.SkipRule}
		cfg := ratelimit.Config{
			Store: newMortal(), OnStoreFailure: ratelimit.FailClosed, Rules: []ratelimit.Rule{blockable, keyed, busy},
		}
		here, there := newLimiter(t, cfg), newLimiter(t, cfg)
		end := make(chan struct{})
		lasts := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-end })
		var all sync.WaitGroup
		all.Go(func() { serve(here.Handler(lasts), request("192.0.2.2:1", "X-Key", "k", "X-Busy", "b")) })
		synctest.Wait()
		for _, other := range []struct {
			fields []string
			status int
		}{{nil, 403}, {[]string{"X-Key", "k", "X-Busy", "b"}, 429}} {
			require.NoError(t, there.Block(t.Context(), "blockable", client(), time.Hour))
			time.Sleep(11 * time.Second)
			require.Equal(t, 429, serve(here.Handler(ok), with("X-Key", "k")).Code)
			require.NoError(t, there.Unblock(t.Context(), "blockable", client()))
			for range 6 {
				time.Sleep(10*time.Second + time.Millisecond)
				require.Equal(t, other.status, serve(here.Handler(ok), with(other.fields...)).Code)
			}
			assert.Equal(t, 200, serve(here.Handler(ok), with("X-Key", "k")).Code)
		}
		close(end)
		all.Wait()
	})
}

// An instance that learns of a block from the store does not know how often the key was blocked.
func TestBlockOfAnotherInstanceHasNoNumber(t *testing.T) {
	cfg := ratelimit.Config{
		Store: newMortal(), OnStoreFailure: ratelimit.FailClosed,
		Rules: []ratelimit.Rule{blocking(ratelimit.Block{After: ratelimit.Per(1, time.Hour), For: time.Hour})},
	}
	here, there := newLimiter(t, cfg), newLimiter(t, cfg)
	assert.Equal(t, []int{200, 429, 429}, codes(here.Handler(ok), with(), with(), with()))
	assert.Equal(t, []int{429}, codes(there.Handler(ok), with()))
	require.Len(t, here.Blocked(), 1)
	require.Len(t, there.Blocked(), 1)
	assert.Equal(t, 1, here.Blocked()[0].Times)
	assert.Zero(t, there.Blocked()[0].Times)
}
