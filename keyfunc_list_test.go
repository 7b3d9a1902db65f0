package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/clientip"
	"github.com/ratelimit-go/ratelimit/login"
)

func listOf(t testing.TB, prefixes []string, keys ...ratelimit.Key) *ratelimit.List {
	t.Helper()
	l := new(ratelimit.List)
	require.NoError(t, l.Replace(prefixes, keys...))
	return l
}

func TestListByAddress(t *testing.T) {
	l := listOf(t, []string{
		"10.0.0.0/8", "10.1.0.0/16", "192.0.2.1", "192.0.2.3/32", "198.51.100.77/24", "2001:db8::/32", "2001:db8:1::/48", "2001:dba::1",
		"::ffff:203.0.113.0/120", "64:ff9b::100.64.0.0/106",
	}, ratelimit.AddrKey(netip.MustParseAddr("2001:dbb::")), ratelimit.AddrKey(netip.MustParseAddr("172.16.0.1")))
	for remote, want := range map[string]bool{
		"9.255.255.255:1": false, "10.0.0.0:1": true, "10.1.2.3:1": true, "10.200.0.1:1": true, "10.255.255.255:1": true,
		"11.0.0.0:1":  false,
		"192.0.2.0:1": false, "192.0.2.1:1": true, "192.0.2.2:1": false, "192.0.2.3:1": true, "192.0.2.4:1": false,
		"198.51.100.0:1": true, "198.51.100.255:1": true, "198.51.101.0:1": false,
		"[2001:db7:ffff::]:1": false, "[2001:db8::1]:1": true, "[2001:db8:1::1]:1": true, "[2001:db8:ffff::1]:1": true,
		"[2001:db9::]:1":  false,
		"[2001:dba::1]:1": true, "[2001:dba::2]:1": false, "[2001:dba::1%eth0]:1": true,
		"203.0.113.9:1": true, "[::ffff:203.0.113.9]:1": true, "203.0.112.9:1": false,
		"100.64.0.1:1": true, "[64:ff9b::100.64.0.1]:1": true, "100.128.0.1:1": false,
		"[2001:dbb::17]:1": true, "[2001:dbb:0:1::]:1": false, "172.16.0.1:1": true, "172.16.0.2:1": false,
		"@": false, "": false, "nonsense": false,
	} {
		assert.Equal(t, want, l.Contains(request(remote)), remote)
	}
	assert.False(t, new(ratelimit.List).Contains(request("10.0.0.1:1")), "the zero List is empty")
	require.NoError(t, l.Replace(nil))
	assert.False(t, l.Contains(request("10.0.0.1:1")), "an empty list too")
}

func TestListAgreesWithALoopOverItsPrefixes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	addr := func() netip.Addr {
		if rnd.IntN(2) == 0 {
			return netip.AddrFrom4([4]byte{10, byte(rnd.IntN(3)), byte(rnd.IntN(256)), byte(rnd.IntN(256))})
		}
		return netip.AddrFrom16([16]byte{0x20, 1, byte(rnd.IntN(2)), byte(rnd.IntN(2)), byte(rnd.IntN(256)), 15: byte(rnd.IntN(256))})
	}
	for range 200 {
		var prefixes []netip.Prefix
		var texts []string
		for range rnd.IntN(30) {
			a := addr()
			p := netip.PrefixFrom(a, 1+rnd.IntN(a.BitLen())).Masked()
			prefixes, texts = append(prefixes, p), append(texts, p.String())
		}
		l := listOf(t, texts)
		for range 50 {
			a := addr()
			want := false
			for _, p := range prefixes {
				want = want || p.Contains(a)
			}
			require.Equal(t, want, l.Contains(request(netip.AddrPortFrom(a, 1).String())), "%v in %v", a, prefixes)
		}
	}
}

func TestListReadsNoHeaderUnlessProxiesAreTrusted(t *testing.T) {
	r := with("X-Forwarded-For", "10.0.0.1", "X-User", "alice")
	l := listOf(t, []string{"10.0.0.0/8"}, ratelimit.UserKey("alice"))
	assert.False(t, l.Contains(r))
	l = &ratelimit.List{ClientIP: clientip.ForwardedFor(clientip.TrustedProxies("192.0.2.1"))}
	require.NoError(t, l.Replace([]string{"10.0.0.0/8"}))
	assert.True(t, l.Contains(r))
}

func TestListByKey(t *testing.T) {
	for key, want := range map[ratelimit.Key]bool{
		ratelimit.UserKey("alice"): true, ratelimit.UserKey("Alice"): false, ratelimit.ValueKey("user", "alice"): false,
	} {
		l := &ratelimit.List{Key: ratelimit.ByUser(field("X-User"))}
		require.NoError(t, l.Replace(nil, key))
		assert.Equal(t, want, l.Contains(with("X-User", "alice")), key)
		assert.False(t, l.Contains(with()), "a request without a user")
	}
}

func TestListsUseTheClientIPOfTheConfig(t *testing.T) {
	forwarded := clientip.ForwardedFor(clientip.TrustedProxies("192.0.2.1"))
	const behind, beside = "203.0.113.7", "203.0.113.8"
	for _, tc := range []struct {
		name   string
		list   *ratelimit.List
		config clientip.Source
		want   []int // of the client behind the proxy, and of the proxy itself
	}{
		{"the peer", new(ratelimit.List), clientip.Source{}, []int{200, 200}},
		{"of the config", new(ratelimit.List), forwarded, []int{403, 200}},
		{"of the list", &ratelimit.List{ClientIP: forwarded}, clientip.Source{}, []int{403, 200}},
		{"the peer, for the list only", &ratelimit.List{ClientIP: clientip.Remote()}, forwarded, []int{200, 200}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.NoError(t, tc.list.Replace([]string{behind}))
			h := newLimiter(t, ratelimit.Config{Deny: tc.list, ClientIP: tc.config}).Handler(ok)
			assert.Equal(t, tc.want, codes(h, with("X-Forwarded-For", behind), with("X-Forwarded-For", beside)))
		})
	}
	list := listOf(t, []string{behind})
	newLimiter(t, ratelimit.Config{Deny: list, ClientIP: forwarded})
	assert.False(t, list.Contains(with("X-Forwarded-For", behind)), "Contains knows no Config")
}

func TestKeysOfListsUseTheClientIPOfTheConfig(t *testing.T) {
	user := ratelimit.ByUser(field("X-User"))
	pair := ratelimit.JoinKeys(ratelimit.UserKey("alice"), ratelimit.AddrKey(netip.MustParseAddr("203.0.113.7")))
	deny := &ratelimit.List{Key: ratelimit.AllOf(user, ratelimit.ByClientIP())}
	require.NoError(t, deny.Replace(nil, pair))
	h := newLimiter(t, ratelimit.Config{Deny: deny, ClientIP: clientip.ForwardedFor(clientip.TrustedHops(1))}).Handler(ok)
	assert.Equal(t, []int{403, 200, 200}, codes(h,
		with("X-User", "alice", "X-Forwarded-For", "203.0.113.7"), with("X-User", "alice"),
		with("X-User", "bob", "X-Forwarded-For", "203.0.113.7")))
}

// A list can name whole prefixes by key, as its ClientIP tells IPv6 clients apart.
func TestListOfIPv6Prefixes(t *testing.T) {
	wide := clientip.Remote().IPv6Prefix(48)
	deny := &ratelimit.List{ClientIP: wide}
	require.NoError(t, deny.Replace(nil, ratelimit.PrefixKey(wide.Prefix(netip.MustParseAddr("2001:db8:1:2::3")))))
	assert.True(t, deny.Contains(request("[2001:db8:1:ffff::1]:1")))
	assert.False(t, deny.Contains(request("[2001:db8:2::1]:1")))
}

func TestDenyAndAllow(t *testing.T) {
	elsewhere := newMortal()
	deny, allow := listOf(t, []string{"192.0.2.0/24"}), listOf(t, []string{"192.0.2.7", "203.0.113.0/24"})
	var last ratelimit.Decision
	l := newLimiter(t, ratelimit.Config{
		Rules: []ratelimit.Rule{rule("r", "1 per hour")}, Routes: map[string][]ratelimit.Rule{"/route": {rule("route", "1 per hour")}},
		ExemptRoutes: []string{"/free"}, Deny: deny, Allow: allow, Store: elsewhere, OnStoreFailure: ratelimit.FailClosed,
		Hooks: ratelimit.Hooks{Denied: func(_ *http.Request, d ratelimit.Decision) { last = d }},
	})
	inner := l.Limit("1 per hour")(ok)
	guard, err := login.New(l, login.Config{Account: func(*http.Request) string { return "alice" }})
	require.NoError(t, err)
	for _, h := range []http.Handler{l.Handler(ok), l.Handler(inner), inner, guard.Handler(ok)} {
		for _, path := range []string{"/", "/route", "/free"} {
			get := func(remote string) int {
				r := request(remote)
				r.URL.Path = path
				return serve(h, r).Code
			}
			before := elsewhere.Calls.Load()
			for range 3 {
				require.Equal(t, 403, get("192.0.2.1:1"))
				require.Equal(t, 200, get("192.0.2.7:1"), "on both lists")
				require.Equal(t, 200, get("203.0.113.1:1"))
			}
			require.Equal(t, before, elsewhere.Calls.Load(), "the store was called")
		}
	}
	assert.Equal(t, ratelimit.Decision{Reason: ratelimit.ReasonDenied, Key: client()}, last)
	h := l.Handler(ok)
	require.Equal(t, []int{200, 429}, codes(h, request("198.51.100.1:1"), request("198.51.100.1:1")))

	require.NoError(t, deny.Replace([]string{"198.51.100.1"}))
	require.NoError(t, allow.Replace(nil))
	assert.Equal(t, 403, serve(h, request("198.51.100.1:1")).Code)
	assert.Equal(t, 200, serve(h, request("192.0.2.1:1")).Code)
	assert.Equal(t, []int{200, 429}, codes(h, request("192.0.2.7:1"), request("192.0.2.7:1")))
}

func TestListMistakes(t *testing.T) {
	l := listOf(t, []string{"192.0.2.1"})
	err := l.Replace(
		[]string{"10.0.0.0/8", "10.0.0.0/33", "example.com", "0.0.0.0/0", "::/0", "::ffff:0:0/96"},
		ratelimit.UserKey("alice"), ratelimit.Key{})
	for _, want := range []string{
		`prefix 1: "10.0.0.0/33": want an address`, `prefix 2: "example.com"`, `prefix 3: "0.0.0.0/0" contains all clients`,
		`prefix 4: "::/0" contains all clients`, `prefix 5: "::ffff:0:0/96" contains all clients`, "key 1: the zero Key",
	} {
		require.ErrorContains(t, err, want)
	}
	assert.NotContains(t, err.Error(), "prefix 0")
	assert.True(t, l.Contains(with()), "the list is as it was")
	require.ErrorContains(t, l.Replace(make([]string, 1_000_001)), "at most 1000000")
	require.ErrorContains(t, l.Replace(nil, make([]ratelimit.Key, 1_000_001)...), "at most 1000000")

	broken := &ratelimit.List{ClientIP: clientip.ForwardedFor(clientip.Proxies{}), Key: ratelimit.ByUser(nil)}
	_, err = ratelimit.New(ratelimit.Config{Allow: broken, Deny: broken})
	for _, want := range []string{"Allow.ClientIP: clientip: no trusted", "Allow.Key: ByUser(nil)", "Deny.ClientIP", "Deny.Key"} {
		require.ErrorContains(t, err, want)
	}
	require.NoError(t, broken.Replace([]string{"192.0.2.1"}, ratelimit.UserKey("alice")))
	assert.False(t, broken.Contains(with()))
}

// If a Keyer fails or panics, the limiter reports it, and the request is on no list.
func TestListWhoseKeyFails(t *testing.T) {
	var errs []error
	for _, key := range []ratelimit.KeyFunc{
		func(*http.Request) (ratelimit.Key, error) { panic("key") },
		func(*http.Request) (ratelimit.Key, error) {
			return ratelimit.UserKey("alice"), errors.New("no session")
		},
		func(*http.Request) (ratelimit.Key, error) { return ratelimit.Key{}, ratelimit.ErrNoKey },
	} {
		deny := &ratelimit.List{Key: key}
		require.NoError(t, deny.Replace(nil, ratelimit.UserKey("alice")))
		hooks := ratelimit.Hooks{Error: func(_ context.Context, err error) { errs = append(errs, err) }}
		l := newLimiter(t, ratelimit.Config{Deny: deny, Hooks: hooks})
		assert.Equal(t, 200, serve(l.Handler(ok), with()).Code)
	}
	assert.Equal(t, "[ratelimit: list: Key: panic: key ratelimit: list: Key: no session]", fmt.Sprint(errs))
}

func TestListWhoseClientIPFails(t *testing.T) {
	var errs []string
	broken := clientip.ForwardedFor(clientip.TrustedProxiesFunc(func(netip.Addr) bool { panic("proxies") }))
	list := &ratelimit.List{ClientIP: broken, Key: ratelimit.ByHeader("User")}
	user, err := ratelimit.ByHeader("User").Key(with("User", "alice"))
	require.NoError(t, err)
	require.NoError(t, list.Replace([]string{"203.0.113.9"}, user))
	hooks := ratelimit.Hooks{Error: func(_ context.Context, err error) { errs = append(errs, err.Error()) }}
	l := newLimiter(t, ratelimit.Config{Deny: list, Hooks: hooks})
	assert.Equal(t, 200, serve(l.Handler(ok), with("X-Forwarded-For", "203.0.113.9")).Code)
	assert.Equal(t, []string{"ratelimit: list: ClientIP: panic: proxies"}, errs)
	assert.Equal(t, 403, serve(l.Handler(ok), with("User", "alice")).Code, "the limiter still looks up the key")
	assert.False(t, list.Contains(with()))
}

func TestListReplacedWhileServing(t *testing.T) {
	l := listOf(t, []string{"10.0.0.0/8"})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 500 {
				assert.NoError(t, l.Replace([]string{"10.0.0.0/8", "192.0.2.0/24"}))
				assert.NoError(t, l.Replace([]string{"203.0.113.0/24", "10.0.0.0/9", "10.128.0.0/9"}))
			}
		})
		wg.Go(func() {
			for range 1000 {
				assert.True(t, l.Contains(request("10.200.0.1:1")))
			}
		})
	}
	wg.Wait()
}

func TestListAllocatesNothing(t *testing.T) {
	l := listOf(t, []string{"10.0.0.0/8", "2001:db8::/32"}, ratelimit.UserKey("alice"))
	l.Key = ratelimit.ByUser(func(*http.Request) string { return "bob" })
	r := with()
	assert.Zero(t, testing.AllocsPerRun(100, func() { l.Contains(r) }))
}
