package login_test

import (
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
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

// The handler knows the account by a number, and a client types it in several ways. Unlock by the
// number lets the owner in again, and AccountState shows from where that account failed.
func TestUnlockOfAnAccountThatWasFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, ratelimit.Config{})
		g := newGuard(t, l, login.Config{})
		h := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if d := login.Found(r.Context(), "42"); !d.Allowed {
				l.Deny(w, r, d)
				return
			}
			if r.PostFormValue("password") != "secret" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			w.WriteHeader(http.StatusOK)
		}))
		for i := range 5 {
			require.Equal(t, 401, serve(h, attempt("10.0.0.1", "alice"+strconv.Itoa(i), "oops")).Code)
		}
		require.Equal(t, 429, serve(h, attempt("10.0.0.1", "alice", "secret")).Code)
		state, err := g.AccountState(t.Context(), "42")
		require.NoError(t, err)
		require.Len(t, state.Pairs, 1)
		assert.Equal(t, ratelimit.AddrKey(addr("10.0.0.1")), state.Pairs[0].Client)
		assert.Zero(t, state.Pairs[0].Pair.Remaining)

		require.NoError(t, g.Unlock(t.Context(), "42"))
		assert.Equal(t, 200, serve(h, attempt("10.0.0.1", "alice", "secret")).Code)
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
	_, err := s.AccountState(t.Context(), " ")
	require.ErrorIs(t, err, login.ErrNoAccount)
	require.ErrorIs(t, s.Unlock(t.Context(), ""), login.ErrNoAccount)
	backend.Dead.Store(true)
	for name, f := range do {
		var failure *store.Error
		require.ErrorAs(t, f("alice", addr("10.0.0.1")), &failure, name)
	}
	var failure *store.Error
	state, err := s.AccountState(t.Context(), "alice")
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
			_, err = s.AccountState(t.Context(), "alice")
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
