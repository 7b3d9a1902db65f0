package login_test

import (
	"context"
	"errors"
	"net/netip"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/storefake"
	"github.com/ratelimit-go/ratelimit/login"
	"github.com/ratelimit-go/ratelimit/store"
)

// After Unlock the owner logs in with the right password, wherever from: this process has seen the
// pair fail.
func TestUnlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRoute(t, newLimiter(t, ratelimit.Config{}), login.Config{})
		for i := range 30 {
			s.try(address(1000+i), "alice", "guess")
		}
		require.Equal(t, 429, s.try("10.0.0.1", "alice", "secret"))
		require.NoError(t, s.Unlock(t.Context(), "alice"))
		require.Equal(t, 200, s.try("10.0.0.1", "alice", "secret"))

		for range 6 {
			s.try("10.0.0.2", "alice", "oops")
		}
		require.Equal(t, 429, s.try("10.0.0.2", "alice", "secret"), "the pair has failed too often")
		require.NoError(t, s.Unlock(t.Context(), " ALICE "))
		assert.Equal(t, 200, s.try("10.0.0.2", "alice", "secret"))
	})
}

func TestUnlockEndsTheBlockOfAPair(t *testing.T) {
	for _, tc := range []struct {
		name string
		cfg  ratelimit.Config
	}{
		{"in memory", ratelimit.Config{}},
		{"in another store", ratelimit.Config{Store: newCounting(), OnStoreFailure: ratelimit.FailClosed}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLimiter(t, tc.cfg)
				s := newRoute(t, l, login.Config{})
				for range 10 {
					s.try("10.0.0.1", "alice", "oops")
				}
				require.Equal(t, ratelimit.ReasonBlocked, s.state(t, "alice", "10.0.0.1").Pair.Reason)
				require.Equal(t, 429, s.try("10.0.0.1", "alice", "secret"), "the pair is blocked")
				requireBlocked(t, l)
				require.NoError(t, s.Unlock(t.Context(), "alice"))
				assert.Empty(t, l.Blocked())
				assert.Equal(t, 200, s.try("10.0.0.1", "alice", "secret"))
			})
		})
	}
}

// Without addresses, an instance unlocks the pairs that it has seen fail itself.
func TestUnlockKnowsOwnPairsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := ratelimit.Config{Store: newCounting(), OnStoreFailure: ratelimit.FailClosed}
		here := newRoute(t, newLimiter(t, cfg), login.Config{})
		there := newRoute(t, newLimiter(t, cfg), login.Config{})
		for range 5 {
			here.try("10.0.0.1", "alice", "oops")
		}
		require.NoError(t, there.Unlock(t.Context(), "alice"))
		require.Equal(t, 429, there.try("10.0.0.1", "alice", "secret"))
		require.NoError(t, here.Unlock(t.Context(), "alice"))
		time.Sleep(time.Minute) // until denials are no longer cached
		require.Equal(t, 200, there.try("10.0.0.1", "alice", "secret"))
	})
}

// However many pairs of an account fail, and however many accounts, the last 16 are unlocked.
func TestUnlockManyPairs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRoute(t, newLimiter(t, ratelimit.Config{}), login.Config{
			PerAccount: ratelimit.MustParse("unlimited"), Total: ratelimit.MustParse("unlimited"),
			PerNetwork: ratelimit.MustParse("unlimited"),
		})
		for i := range 20 {
			for range 5 {
				s.try(address(1000*i), "alice", "oops")
			}
		}
		for i := range 3000 {
			s.try(address(100_000+i), "user"+strconv.Itoa(i), "oops")
		}
		require.NoError(t, s.Unlock(t.Context(), "alice"))
		for i := range 20 {
			want := 200
			if i < 4 {
				want = 429
			}
			assert.Equal(t, want, s.try(address(1000*i), "alice", "secret"), i)
		}
	})
}

// The other instance still denies the pair for a while without a call of the store.
func TestUnlockByAnotherInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := ratelimit.Config{Store: newCounting(), OnStoreFailure: ratelimit.FailClosed}
		here := newRoute(t, newLimiter(t, cfg), login.Config{})
		there := newRoute(t, newLimiter(t, cfg), login.Config{})
		for range 10 {
			here.try("10.0.0.1", "alice", "oops")
		}
		require.NoError(t, there.Unlock(t.Context(), "alice", addr("10.0.0.1")))
		time.Sleep(10 * time.Second)
		assert.Equal(t, 200, here.try("10.0.0.1", "alice", "secret"))
	})
}

func TestForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRoute(t, newLimiter(t, ratelimit.Config{}), login.Config{})
		require.Equal(t, 200, s.try("10.0.0.1", "alice", "secret"))
		require.Equal(t, 200, s.try("10.0.0.2", "alice", "secret"))
		require.NoError(t, s.Forget(t.Context(), "Alice", addr("10.0.0.1")))
		for i := range 30 {
			s.try(address(1000+i), "alice", "guess")
		}
		assert.Equal(t, 429, s.try("10.0.0.1", "alice", "secret"))
		assert.Equal(t, 200, s.try("10.0.0.2", "alice", "secret"), "another pair stays known")
	})
}

func TestState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newCounting()
		l := newLimiter(t, ratelimit.Config{Store: store, OnStoreFailure: ratelimit.FailClosed})
		s := newRoute(t, l, login.Config{Block: block("8 per hour")})
		assert.Equal(t, remaining{5, 20, 50, 600}, remainingOf(s.state(t, "alice", "10.0.0.1")))
		for range 2 {
			require.Equal(t, 401, s.try("10.0.0.1", "alice", "oops"))
		}
		require.Equal(t, 401, s.try("10.0.0.1", "bob", "guess"))

		state := s.state(t, " Alice ", "10.0.0.1")
		assert.False(t, state.Known)
		assert.Equal(t, remaining{3, 18, 47, 597}, remainingOf(state))
		assert.Equal(t, remaining{3, 18, 47, 597}, remainingOf(s.state(t, "alice", "10.0.0.1")), "State changes nothing")
		assert.Equal(t, []string{"login-pair", "login-account", "login-address", "login-total"},
			[]string{state.Pair.Rule, state.Account.Rule, state.Address.Rule, state.Total.Rule})
		assert.Equal(t, []bool{true, true, true, true},
			[]bool{state.Pair.Allowed, state.Account.Allowed, state.Address.Allowed, state.Total.Allowed})
		assert.Equal(t, remaining{5, 18, 50, 597}, remainingOf(s.state(t, "alice", "10.0.0.2")))

		require.Equal(t, 200, s.try("10.0.0.1", "alice", "secret"))
		state = s.state(t, "alice", "10.0.0.1")
		assert.True(t, state.Known)
		assert.Equal(t, remaining{5, 20, 47, 597}, remainingOf(state))
		assert.False(t, s.state(t, "alice", "10.0.0.2").Known)

		for range 8 {
			s.try("10.0.0.1", "alice", "oops")
		}
		time.Sleep(10 * time.Minute)
		state = s.state(t, "alice", "10.0.0.1")
		assert.True(t, state.Known, "it is blocked, but known")
		assert.False(t, state.Pair.Allowed)
		assert.Equal(t, ratelimit.ReasonBlocked, state.Pair.Reason)
		assert.Equal(t, 50*time.Minute, state.Pair.RetryAfter)
		assert.True(t, state.Account.Allowed)
		assert.Equal(t, int64(20), state.Account.Remaining)
	})
}

// A blocked pair is not asked about, so State has one call of the store then, and two otherwise.
func TestStateCallsTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newCounting()
		l := newLimiter(t, ratelimit.Config{Store: store, OnStoreFailure: ratelimit.FailClosed})
		s := newRoute(t, l, login.Config{Block: block("1 per hour")})
		calls := func() int64 {
			before := store.Calls.Load()
			s.state(t, "alice", "10.0.0.1")
			return store.Calls.Load() - before
		}
		assert.Equal(t, int64(2), calls())
		require.Equal(t, 401, s.try("10.0.0.1", "alice", "oops"))
		assert.Equal(t, int64(1), calls(), "blocked")
	})
}

// State, Unlock and Forget want an account and valid addresses, and tell that the store failed.
func TestErrorsOfSupport(t *testing.T) {
	backend := newCounting()
	l := newLimiter(t, ratelimit.Config{Store: backend, OnStoreFailure: ratelimit.UseMemory, Hooks: unreported()})
	unlimited := ratelimit.MustParse("unlimited")
	s := newRoute(t, l, login.Config{PerAccount: unlimited})
	do := map[string]func(account string, addrs netip.Addr) error{
		"Unlock": func(account string, addr netip.Addr) error { return s.Unlock(t.Context(), account, addr) },
		"Forget": func(account string, addr netip.Addr) error { return s.Forget(t.Context(), account, addr) },
		"State": func(account string, addr netip.Addr) error {
			_, err := s.State(t.Context(), account, addr)
			return err
		},
	}
	for name, f := range do {
		require.ErrorIs(t, f("", addr("10.0.0.1")), login.ErrNoAccount, name)
		require.ErrorIs(t, f(" \t", addr("10.0.0.1")), login.ErrNoAccount, name)
		require.ErrorIs(t, f("alice", netip.Addr{}), login.ErrNoAddr, name)
		require.NoError(t, f("alice", addr("10.0.0.1")), name)
	}
	require.ErrorIs(t, s.Unlock(t.Context(), ""), login.ErrNoAccount)
	backend.Dead.Store(true)
	for name, f := range do {
		var failure *store.Error
		require.ErrorAs(t, f("alice", addr("10.0.0.1")), &failure, name)
	}
}

// If the store fails between the two calls of State, State tells so.
func TestStateWhileTheStoreFails(t *testing.T) {
	calls := 0
	l := newLimiter(t, ratelimit.Config{
		Store: storefake.Func(func(_ context.Context, ops []store.Op) error {
			if calls++; calls > 1 {
				return errors.New("down")
			}
			return ratelimit.NewMemoryStore(ratelimit.MemoryConfig{}).Apply(t.Context(), ops)
		}),
		OnStoreFailure: ratelimit.FailOpen, Hooks: unreported(),
	})
	var failure *store.Error
	state, err := newGuard(t, l, login.Config{}).State(t.Context(), "alice", addr("10.0.0.1"))
	require.ErrorAs(t, err, &failure)
	assert.Zero(t, state)
}

// Everything can be done at once.
func TestSupportIsSafeForConcurrentUse(t *testing.T) {
	s := newRoute(t, newLimiter(t, ratelimit.Config{}), login.Config{})
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() { s.try("10.0.0.1", "alice", []string{"secret", "oops"}[i%2]) })
		all.Go(func() { assert.NoError(t, s.Unlock(t.Context(), "alice", addr("10.0.0.1"))) })
		all.Go(func() { assert.NoError(t, s.Forget(t.Context(), "alice", addr("10.0.0.1"))) })
		all.Go(func() {
			_, err := s.State(t.Context(), "alice", addr("10.0.0.1"))
			assert.NoError(t, err)
		})
		all.Go(func() {
			cfg := login.Config{Account: login.FormField("user"), PerPair: ratelimit.Limits{{Count: int64(i + 1), Period: hour}}}
			assert.NoError(t, s.Replace(cfg))
		})
	}
	all.Wait()
	require.NoError(t, s.Replace(login.Config{Account: login.FormField("user"), PerPair: ratelimit.MustParse("7 per hour")}))
	require.NoError(t, s.Unlock(t.Context(), "alice", addr("10.0.0.1")))
	assert.Equal(t, int64(7), s.state(t, "alice", "10.0.0.1").Pair.Remaining)
}
