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
		"9.255.255.255:1": false, "10.0.0.0:1": true, "10.1.2.3:1": true, "10.200.0.1:1": true, "10.255.255.255:1": true, "11.0.0.0:1": false,
		"192.0.2.0:1": false, "192.0.2.1:1": true, "192.0.2.2:1": false, "192.0.2.3:1": true, "192.0.2.4:1": false,
		"198.51.100.0:1": true, "198.51.100.255:1": true, "198.51.101.0:1": false,
		"[2001:db7:ffff::]:1": false, "[2001:db8::1]:1": true, "[2001:db8:1::1]:1": true, "[2001:db8:ffff::1]:1": true, "[2001:db9::]:1": false,
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
	assert.False(t, l.Contains(request("10.0.0.1:1")), "an empty one too")
}

// A List agrees with a loop over its prefixes.
func TestListAgreesWithLoop(t *testing.T) {
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

// No header is read unless proxies are trusted, and keys are whose they are.
func TestListIdentity(t *testing.T) {
	r := request("192.0.2.1:1", "X-Forwarded-For", "10.0.0.1", "X-User", "alice")
	l := listOf(t, []string{"10.0.0.0/8"}, ratelimit.UserKey("alice"))
	assert.False(t, l.Contains(r))
	l = &ratelimit.List{Address: ratelimit.ByForwardedFor(ratelimit.TrustedProxies("192.0.2.1"))}
	require.NoError(t, l.Replace([]string{"10.0.0.0/8"}))
	assert.True(t, l.Contains(r))
	user := ratelimit.ByUser(func(r *http.Request) string { return r.Header.Get("X-User") })
	for key, want := range map[ratelimit.Key]bool{
		ratelimit.UserKey("alice"): true, ratelimit.UserKey("Alice"): false, ratelimit.NamedKey("user", "alice"): false,
	} {
		l = &ratelimit.List{Key: user}
		require.NoError(t, l.Replace(nil, key))
		assert.Equal(t, want, l.Contains(r), key)
		assert.False(t, l.Contains(request("192.0.2.1:1")), "nobody")
	}
}

func TestDenyAndAllow(t *testing.T) {
	store := newTripStore()
	deny, allow := listOf(t, []string{"192.0.2.0/24"}), listOf(t, []string{"192.0.2.7", "203.0.113.0/24"})
	cfg := ratelimit.Config{
		Rules: []ratelimit.Rule{rule("r", "1 per hour")}, Routes: map[string][]ratelimit.Rule{"/route": {rule("route", "1 per hour")}},
		ExemptRoutes: []string{"/free"}, Deny: deny, Allow: allow, Store: store, OnStoreFailure: ratelimit.FailClosed,
	}
	last := reasons(&cfg)
	l := newLimiter(t, cfg)
	inner := l.Limit("1 per hour", ratelimit.ByRemoteIP())(ok)
	login := l.Login(ratelimit.Login{Account: func(*http.Request) string { return "alice" }})(ok)
	for _, h := range []http.Handler{l.Handler(ok), l.Handler(inner), inner, login} {
		for _, path := range []string{"/", "/route", "/free"} {
			get := func(remote string) int {
				r := request(remote)
				r.URL.Path = path
				return serve(h, r).Code
			}
			before := store.trips.Load()
			for range 3 {
				require.Equal(t, 403, get("192.0.2.1:1"))
				require.Equal(t, 200, get("192.0.2.7:1"), "allowed though denied")
				require.Equal(t, 200, get("203.0.113.1:1"))
			}
			require.Equal(t, before, store.trips.Load(), "the store was asked")
		}
	}
	assert.Equal(t, ratelimit.Decision{Reason: ratelimit.ReasonDenied, Key: theClient(t)}, *last)
	h := l.Handler(ok)
	require.Equal(t, []int{200, 429}, []int{serve(h, request("198.51.100.1:1")).Code, serve(h, request("198.51.100.1:1")).Code})

	require.NoError(t, deny.Replace([]string{"198.51.100.1"}))
	require.NoError(t, allow.Replace(nil))
	assert.Equal(t, 403, serve(h, request("198.51.100.1:1")).Code)
	assert.Equal(t, 200, serve(h, request("192.0.2.1:1")).Code)
	assert.Equal(t, []int{200, 429}, []int{serve(h, request("192.0.2.7:1")).Code, serve(h, request("192.0.2.7:1")).Code})
}

func TestListMistakes(t *testing.T) {
	l := listOf(t, []string{"192.0.2.1"})
	err := l.Replace([]string{"10.0.0.0/8", "10.0.0.0/33", "example.com", "0.0.0.0/0", "::/0", "::ffff:0:0/96"}, ratelimit.UserKey("alice"), ratelimit.Key{})
	for _, want := range []string{
		`prefix 1: "10.0.0.0/33": want an address`, `prefix 2: "example.com"`, `prefix 3: "0.0.0.0/0" is everybody`,
		`prefix 4: "::/0" is everybody`, `prefix 5: "::ffff:0:0/96" is everybody`, "key 1: the zero Key",
	} {
		require.ErrorContains(t, err, want)
	}
	assert.NotContains(t, err.Error(), "prefix 0")
	assert.True(t, l.Contains(request("192.0.2.1:1")), "it is as it was")
	require.ErrorContains(t, l.Replace(make([]string, 1_000_001)), "at most 1000000")

	broken := &ratelimit.List{Address: ratelimit.ByForwardedFor(ratelimit.Proxies{}), Key: ratelimit.ByUser(nil)}
	_, err = ratelimit.New(ratelimit.Config{Allow: broken, Deny: broken})
	for _, field := range []string{"Allow.Address: no trusted", "Allow.Key: ByUser(nil)", "Deny.Address", "Deny.Key"} {
		require.ErrorContains(t, err, field)
	}
	require.NoError(t, broken.Replace([]string{"192.0.2.1"}, ratelimit.UserKey("alice")))
	assert.False(t, broken.Contains(request("192.0.2.1:1")))
	err = newLimiter(t, ratelimit.Config{}).Replace(ratelimit.Config{Allow: l, Deny: l})
	require.ErrorContains(t, err, "Allow")
	require.ErrorContains(t, err, "Deny")
}

// A Keyer that fails or panics is reported, and its request is on no list.
func TestListKeyFails(t *testing.T) {
	var errs []error
	for _, key := range []ratelimit.KeyFunc{
		func(*http.Request) (ratelimit.Key, error) { panic("key") },
		func(*http.Request) (ratelimit.Key, error) {
			return ratelimit.UserKey("alice"), errors.New("no session")
		},
		func(*http.Request) (ratelimit.Key, error) { return ratelimit.Key{}, ratelimit.ErrNoIdentity },
	} {
		deny := &ratelimit.List{Key: key}
		require.NoError(t, deny.Replace(nil, ratelimit.UserKey("alice")))
		l := newLimiter(t, ratelimit.Config{Deny: deny, OnError: func(_ context.Context, err error) { errs = append(errs, err) }})
		assert.Equal(t, 200, serve(l.Handler(ok), request("192.0.2.1:1")).Code)
	}
	assert.Equal(t, "[ratelimit: list: Key: panic: key ratelimit: list: Key: no session]", fmt.Sprint(errs))
}

// So are the functions of its Address.
func TestListAddressFails(t *testing.T) {
	var errs []string
	broken := ratelimit.ByForwardedFor(ratelimit.TrustedProxiesFunc(func(netip.Addr) bool { panic("proxies") }))
	list := &ratelimit.List{Address: broken, Key: ratelimit.ByHeader("User")}
	user, err := ratelimit.ByHeader("User").Key(request("192.0.2.1:1", "User", "alice"))
	require.NoError(t, err)
	require.NoError(t, list.Replace([]string{"203.0.113.9"}, user))
	l := newLimiter(t, ratelimit.Config{Deny: list, OnError: func(_ context.Context, err error) { errs = append(errs, err.Error()) }})
	assert.Equal(t, 200, serve(l.Handler(ok), request("192.0.2.1:1", "X-Forwarded-For", "203.0.113.9")).Code)
	assert.Equal(t, []string{"ratelimit: list: Address: panic: proxies"}, errs)
	assert.Equal(t, 403, serve(l.Handler(ok), request("192.0.2.1:1", "User", "alice")).Code, "the key is looked up all the same")
	assert.False(t, list.Contains(request("192.0.2.1:1")))
}

// A list is replaced whole while requests are served.
func TestListReplacedUnderLoad(t *testing.T) {
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
	r := request("192.0.2.1:1")
	assert.Zero(t, testing.AllocsPerRun(100, func() { l.Contains(r) }))
}
