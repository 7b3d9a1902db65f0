package login_test

import (
	"context"
	"errors"
	"strconv"
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

// What a page of another site has used up in the browser of the owner is shown apart, and so is
// whether the owner is known there: after a login through a page of a partner, for example.
func TestStateOfOtherSites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRoute(t, newLimiter(t, ratelimit.Config{}), login.Config{Block: block("4 per hour")})
		crossSite := func(password string) int {
			r := attempt("10.0.0.1", "alice", password)
			r.Header.Set("Sec-Fetch-Site", "cross-site")
			return serve(s, r).Code
		}
		require.Equal(t, 401, s.try("10.0.0.1", "alice", "oops"))
		for range 3 {
			require.Equal(t, 401, crossSite("oops"))
		}
		state := s.state(t, "alice", "10.0.0.1")
		assert.Equal(t, remaining{4, 16, 49, 596}, remainingOf(state))
		assert.Equal(t, []int64{2, 47}, []int64{state.CrossSite.Pair.Remaining, state.CrossSite.Address.Remaining})
		assert.Equal(t, []string{"login-pair", "login-address"}, []string{state.CrossSite.Pair.Rule, state.CrossSite.Address.Rule})

		require.Equal(t, 401, crossSite("oops"))
		state = s.state(t, "alice", "10.0.0.1")
		assert.Equal(t, ratelimit.ReasonBlocked, state.CrossSite.Pair.Reason)
		assert.True(t, state.Pair.Allowed)
		assert.False(t, state.CrossSite.Known)

		require.NoError(t, s.Unlock(t.Context(), "alice", addr("10.0.0.1")))
		require.Equal(t, 200, crossSite("secret"))
		state = s.state(t, "alice", "10.0.0.1")
		assert.True(t, state.CrossSite.Known)
		assert.Equal(t, int64(5), state.CrossSite.Pair.Remaining)
		assert.False(t, state.Known, "the pages of the site itself are another place")
		require.NoError(t, s.Forget(t.Context(), "alice", addr("10.0.0.1")))
		assert.False(t, s.state(t, "alice", "10.0.0.1").CrossSite.Known)
	})
}

// A blocked pair is not asked about, so State has two calls of the store then, and three otherwise.
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
		assert.Equal(t, int64(3), calls())
		require.Equal(t, 401, s.try("10.0.0.1", "alice", "oops"))
		assert.Equal(t, int64(2), calls(), "blocked")
	})
}

// If the store fails between the calls of State, State tells so.
func TestStateWhileTheStoreFails(t *testing.T) {
	for good := range 3 {
		calls := 0
		l := newLimiter(t, ratelimit.Config{
			Store: storefake.Func(func(_ context.Context, ops []store.Op) error {
				if calls++; calls > good {
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
}

// AccountState shows from where an account has failed, the latest first.
func TestAccountState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		backend := newCounting()
		l := newLimiter(t, ratelimit.Config{Store: backend, OnStoreFailure: ratelimit.FailClosed})
		s := newRoute(t, l, login.Config{Block: block("4 per hour")})
		ask := func() login.AccountState {
			state, err := s.AccountState(t.Context(), " Alice ")
			require.NoError(t, err)
			return state
		}
		state := ask()
		assert.Equal(t, []int64{20, 600}, []int64{state.Account.Remaining, state.Total.Remaining})
		assert.Empty(t, state.Pairs)

		require.Equal(t, 200, s.try("10.0.0.1", "alice", "secret"))
		require.Equal(t, 401, s.try("10.0.0.1", "alice", "oops"))
		require.Equal(t, 401, s.try("10.0.0.2", "alice", "oops"))
		require.Equal(t, 401, s.try("10.0.0.2", "bob", "oops"))
		other := attempt("10.0.0.1", "alice", "oops")
		other.Header.Set("Sec-Fetch-Site", "cross-site")
		require.Equal(t, 401, serve(s, other).Code)
		for range 3 {
			require.Equal(t, 401, s.try("10.0.0.2", "alice", "oops"))
		}
		before := backend.Calls.Load()
		state = ask()
		assert.Equal(t, int64(3), backend.Calls.Load()-before, "no call for the pair that is known to be blocked")
		assert.Equal(t, int64(15), state.Account.Remaining, "the failure of a known pair does not count")
		type pair struct {
			client           string
			elsewhere, known bool
			left             int64
			reason           ratelimit.Reason
		}
		var got []pair
		for _, p := range state.Pairs {
			got = append(got, pair{p.Client.String(), p.CrossSite, p.Known, p.Pair.Remaining, p.Pair.Reason})
		}
		assert.Equal(t, []pair{
			{"addr:10.0.0.2", false, false, 0, ratelimit.ReasonBlocked},
			{"addr:10.0.0.1", true, false, 4, ""},
			{"addr:10.0.0.1", false, true, 4, ""},
		}, got)
		assert.Equal(t, hour, state.Pairs[0].Pair.RetryAfter)
		assert.Equal(t, state, ask(), "it changes nothing")

		require.NoError(t, s.Unlock(t.Context(), "alice"))
		state = ask()
		assert.Equal(t, int64(20), state.Account.Remaining)
		assert.Empty(t, state.Pairs)
	})
}

// An account that failed again after many others is remembered once.
func TestAccountStateAfterManyAccounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		unlimited := ratelimit.MustParse("unlimited")
		s := newRoute(t, newLimiter(t, ratelimit.Config{}), login.Config{
			PerAccount: unlimited, Total: unlimited, PerNetwork: unlimited, PerAddress: unlimited,
		})
		var got []string
		for i := range 3 {
			require.Equal(t, 401, s.try(address(i), "alice", "oops"))
		}
		for i := range 4100 {
			s.try(address(i), "user"+strconv.Itoa(i), "oops")
		}
		require.Equal(t, 401, s.try(address(1), "alice", "oops"))
		state, err := s.AccountState(t.Context(), "alice")
		require.NoError(t, err)
		for _, p := range state.Pairs {
			got = append(got, p.Client.String())
		}
		assert.Equal(t, []string{"addr:10.0.0.1", "addr:10.0.0.2", "addr:10.0.0.0"}, got)
	})
}
