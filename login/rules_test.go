package login_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/clientip"
	"github.com/ratelimit-go/ratelimit/login"
)

// A dry run of a login blocks no pair, here and where it is enforced.
func TestDryRunBlocksNoPair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := ratelimit.NewMemoryStore(ratelimit.MemoryConfig{})
		hooks := ratelimit.Hooks{Blocked: func(_ context.Context, b ratelimit.Blocked) { assert.Fail(t, "blocked", b) }}
		observing := newLimiter(t, ratelimit.Config{Store: store, Hooks: hooks})
		s := newRoute(t, observing, login.Config{Mode: ratelimit.DryRun})
		for range 30 {
			require.Equal(t, 401, s.try("10.0.0.1", "alice", "guess"))
		}
		assert.Empty(t, observing.Blocked())
		enforcing := newRoute(t, newLimiter(t, ratelimit.Config{Store: store}), login.Config{})
		time.Sleep(3 * time.Minute) // for one more attempt of 5 in 15 minutes
		assert.Equal(t, 200, enforcing.try("10.0.0.1", "alice", "secret"))
	})
}

// A dry run remembers pairs, so they are known when the rules are enforced.
func TestDryRunRemembersPairs(t *testing.T) {
	s := newRoute(t, newLimiter(t, ratelimit.Config{}), login.Config{Mode: ratelimit.DryRun})
	require.Equal(t, 200, s.try("10.0.0.1", "alice", "secret"))
	assert.True(t, s.state(t, "alice", "10.0.0.1").Known)
}

// The mode of a rule that an operator sets is the rule's own: the others still find their keys.
func TestModesOfSingleRules(t *testing.T) {
	for _, tc := range []struct {
		off    []string
		checks int64
	}{
		{[]string{"login-known"}, 5},
		{[]string{"login-pair"}, 20},
		{[]string{"login-pair", "login-account"}, 50},
		{[]string{"login-pair", "login-account", "login-address", "login-network"}, 100},
		{[]string{"login-known", "login-pair", "login-account", "login-address", "login-network", "login-total"}, 120},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := newLimiter(t, ratelimit.Config{})
			s := newRoute(t, l, login.Config{Total: ratelimit.MustParse("100 per hour")})
			for _, rule := range tc.off {
				require.NoError(t, l.SetMode(rule, ratelimit.Off))
			}
			for range 120 {
				s.try("10.0.0.1", "alice", "guess")
			}
			assert.Equal(t, tc.checks, s.checks.Load(), tc.off)
		})
	}
}

// Clients see the limit of their pair only. So the fields do not tell whether the pair is known,
// nor how busy other clients are.
func TestResponseFields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRoute(t, newLimiter(t, ratelimit.Config{}), login.Config{})
		w := serve(s, attempt("10.0.0.1", "alice", "guess"))
		assert.Equal(t, http.Header{
			"Ratelimit-Policy": {`"login-pair";q=5;w=900`},
			"Ratelimit":        {`"login-pair";r=4;t=720`},
		}, w.Header())
		for range 4 {
			s.try("10.0.0.1", "alice", "guess")
		}
		w = serve(s, attempt("10.0.0.1", "alice", "guess"))
		assert.Equal(t, 429, w.Code)
		assert.Equal(t, "180", w.Header().Get("Retry-After"))
		assert.Contains(t, w.Body.String(), `"violated-policies":["login-pair"]`)
	})
}

// Behind a proxy, the address of a pair is the address of the client and not of the proxy.
func TestBehindAProxy(t *testing.T) {
	const proxy, client = "10.0.0.1", "203.0.113.7"
	forwarded, none := clientip.ForwardedFor(clientip.TrustedProxies(proxy)), clientip.Source{}
	for _, tc := range []struct {
		name             string
		limiter, login   clientip.Source
		address, another string // of the pair, and of a pair that was never used
	}{
		{"the limiter says so", forwarded, none, client, proxy},
		{"the login says so", none, forwarded, client, proxy},
		{"the login differs", forwarded, clientip.Remote(), proxy, client},
		{"no proxy is trusted", none, none, proxy, client},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newRoute(t, newLimiter(t, ratelimit.Config{ClientIP: tc.limiter}), login.Config{ClientIP: tc.login})
				for _, password := range []string{"secret", "oops", "oops"} {
					r := attempt(proxy, "alice", password)
					r.Header.Set("X-Forwarded-For", client)
					serve(s, r)
				}
				state := s.state(t, "alice", tc.address)
				assert.True(t, state.Known)
				assert.Equal(t, int64(3), state.Pair.Remaining)
				state = s.state(t, "alice", tc.another)
				assert.False(t, state.Known)
				assert.Equal(t, int64(5), state.Pair.Remaining)
			})
		})
	}
}

// The addresses of one IPv6 client are one address of a pair.
func TestIPv6Prefixes(t *testing.T) {
	for _, tc := range []struct {
		name  string
		src   clientip.Source
		known []bool
	}{
		{"/64", clientip.Source{}, []bool{true, false}},
		{"/48", clientip.Remote().IPv6Prefix(48), []bool{true, true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newRoute(t, newLimiter(t, ratelimit.Config{ClientIP: tc.src}), login.Config{})
			require.Equal(t, 200, s.try("[2001:db8:1:2::3]", "alice", "secret"))
			var known []bool
			for _, address := range []string{"2001:db8:1:2::4", "2001:db8:1:5::3"} {
				known = append(known, s.state(t, "alice", address).Known)
			}
			assert.Equal(t, tc.known, known)
		})
	}
}
