package login_test

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/login"
)

// Sixty users of one address, all known, log in to a handler that begins to call Found. Their
// successes, and answers that say nothing of a password, take nothing of the limits on failures.
func TestFoundCountsOnlyFailures(t *testing.T) {
	for _, tc := range []struct {
		name     string
		password string
		code     int
		cfg      login.Config
	}{
		{"successes", "secret", 200, login.Config{}},
		{"answers without a password", "away", 503, login.Config{Failed: ratelimit.StatusIn(401)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLimiter(t, ratelimit.Config{})
				g, finds := newGuard(t, l, tc.cfg), false
				h := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if finds {
						if d := login.Found(r.Context(), "number of "+r.PostFormValue("user")); !d.Allowed {
							l.Deny(w, r, d)
							return
						}
					}
					switch r.PostFormValue("password") {
					case "secret":
						w.WriteHeader(http.StatusOK)
					case "away":
						w.WriteHeader(http.StatusServiceUnavailable)
					default:
						w.WriteHeader(http.StatusUnauthorized)
					}
				}))
				try := func(i int, password string) int {
					return serve(h, attempt("10.0.0.1", fmt.Sprint("user", i), password)).Code
				}
				for i := range 60 {
					require.Equal(t, 200, try(i, "secret"))
				}
				finds = true
				for i := range 60 {
					require.Equal(t, tc.code, try(i, tc.password), "user %d", i)
				}
				state, err := g.State(t.Context(), "number of user1", addr("10.0.0.1"))
				require.NoError(t, err)
				assert.Equal(t, remaining{5, 20, 50, 600}, remainingOf(state))
				assert.Equal(t, int64(200), state.Network.Remaining)

				require.Equal(t, tc.password == "secret", state.Known)
				if !state.Known {
					require.Equal(t, 401, try(1, "oops"))
					state, err = g.State(t.Context(), "number of user1", addr("10.0.0.1"))
					require.NoError(t, err)
					assert.Equal(t, remaining{4, 19, 49, 599}, remainingOf(state))
				}
			})
		})
	}
}

// An account that is over its limit takes nothing from the pair. So once the account is unlocked,
// the pair has all of its attempts.
func TestFoundRefundsThePairOfADeniedAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, ratelimit.Config{})
		s := &route{Guard: newGuard(t, l, login.Config{
			PerPair: ratelimit.MustParse("5 per day"), PerAccount: ratelimit.MustParse("3 per day"),
		})}
		s.Handler = s.Guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if d := login.Found(r.Context(), "alice"); !d.Allowed {
				l.Deny(w, r, d)
				return
			}
			w.WriteHeader(http.StatusUnauthorized)
		}))
		for i := range 3 {
			require.Equal(t, 401, s.try(address(i+1), fmt.Sprint("Alice", i), "x"))
		}
		for i := range 4 {
			require.Equal(t, 429, s.try("10.1.0.1", fmt.Sprint("älice", i), "x"))
		}
		assert.Equal(t, 5, int(s.state(t, "alice", "10.1.0.1").Pair.Remaining))
		require.NoError(t, s.Unlock(t.Context(), "alice"))
		codes := map[int]int{}
		for i := range 4 {
			codes[s.try("10.1.0.1", fmt.Sprint("älice", i), "x")]++
		}
		assert.Equal(t, map[int]int{401: 3, 429: 1}, codes, "three failures of the account")
		assert.Equal(t, 2, int(s.state(t, "alice", "10.1.0.1").Pair.Remaining))
	})
}

// Found after the end of an attempt, in a goroutine that the handler has left behind, charges
// nothing.
func TestFoundTooLate(t *testing.T) {
	g := newGuard(t, newLimiter(t, ratelimit.Config{}), login.Config{})
	var kept *http.Request
	h := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kept = r
		w.WriteHeader(http.StatusUnauthorized)
	}))
	require.Equal(t, 401, serve(h, attempt("10.0.0.1", "alice", "oops")).Code)
	for range 100 {
		require.True(t, login.Found(kept.Context(), "number of alice").Allowed)
	}
	state, err := g.State(t.Context(), "number of alice", addr("10.0.0.1"))
	require.NoError(t, err)
	assert.Equal(t, remaining{5, 20, 49, 599}, remainingOf(state))
}

// A success that is reported for an account of Found is one of the account of the request too.
func TestSuccessOfBothAccounts(t *testing.T) {
	g := newGuard(t, newLimiter(t, ratelimit.Config{}), login.Config{})
	h := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		login.Found(r.Context(), "number of alice")
		if r.PostFormValue("password") != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		login.Found(r.Context(), "alice") // the handler reads the request as the guard does
		login.Succeeded(r.Context(), "number of alice")
	}))
	for range 4 {
		require.Equal(t, 401, serve(h, attempt("10.0.0.1", "alice", "oops")).Code)
	}
	require.Equal(t, 200, serve(h, attempt("10.0.0.1", "alice", "secret")).Code)
	for _, account := range []string{"alice", "number of alice"} {
		state, err := g.State(t.Context(), account, addr("10.0.0.1"))
		require.NoError(t, err)
		assert.True(t, state.Known, account)
		assert.Equal(t, remaining{5, 20, 46, 596}, remainingOf(state), account)
	}
}
