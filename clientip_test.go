package ratelimit_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

func request(remote string, headers ...string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = remote
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

// What is left to say of the walk beside the attacks, which have files of their own.
func TestClientAddress(t *testing.T) {
	for name, tc := range map[string]struct {
		by   ratelimit.ClientIP
		r    *http.Request
		want string
	}{
		"no port":                {ratelimit.ByRemoteIP(), request("203.0.113.7"), "203.0.113.7"},
		"IPv6 and a hidden port": {forwarded(), request(proxy, "Forwarded", `For="[2001:db8::7]:_p";proto=http, for=10.0.0.3`), "2001:db8::7"},
		"escape in a node":       {forwarded(), request(proxy, "Forwarded", `for="6\.6.6.6"`), "10.0.0.1"},
		"endless chain":          {forwardedFor(), request(proxy, "X-Forwarded-For", strings.Repeat("10.0.0.2,", 10_000)+"10.0.0.2"), "10.0.0.2"},
		"63 proxies":             {forwardedFor(), request(proxy, "X-Forwarded-For", "203.0.113.7"+strings.Repeat(",10.0.0.2", 63)), "203.0.113.7"},
		"64 proxies":             {forwardedFor(), request(proxy, "X-Forwarded-For", "203.0.113.7"+strings.Repeat(",10.0.0.2", 64)), "10.0.0.2"},
	} {
		addr, err := tc.by.Addr(tc.r)
		require.NoError(t, err, name)
		assert.Equal(t, tc.want, addr.String(), name)
	}
	_, err := ratelimit.ByRemoteIP().Key(request("@"))
	require.ErrorIs(t, err, ratelimit.ErrNoIdentity, "a unix socket is no address")
}

// One subscriber is one key, however written.
func TestAddressKeys(t *testing.T) {
	key := func(s string) ratelimit.Key { return ratelimit.AddrKey(netip.MustParseAddr(s)) }
	assert.Equal(t, key("2001:db8::1"), key("2001:db8:0:0:ffff::2%eth0"))
	assert.NotEqual(t, key("2001:db8::1"), key("2001:db8:0:1::1"))
	assert.Equal(t, key("192.0.2.1"), key("::ffff:192.0.2.1"))
	assert.NotEqual(t, key("192.0.2.1"), key("192.0.2.2"))
	assert.NotEqual(t, key("192.0.2.1"), ratelimit.UserKey("192.0.2.1"))
	assert.Equal(t, "addr:2001:db8::/64", key("2001:db8::1").String())
	assert.Equal(t, "addr:192.0.2.1", key("192.0.2.1").String())
	wide, whole := ratelimit.ByRemoteIP().IPv6Prefix(52), ratelimit.ByRemoteIP().IPv6Prefix(128)
	assert.Equal(t, "addr:2001:db8:0:f000::/52", wide.KeyOf(netip.MustParseAddr("2001:db8:0:ff00::1")).String())
	assert.Equal(t, "addr:2001:db8::1", whole.KeyOf(netip.MustParseAddr("2001:db8::1")).String())
	assert.True(t, ratelimit.AddrKey(netip.Addr{}).IsZero())
	r := request("203.0.113.7:54321")
	assert.Zero(t, testing.AllocsPerRun(100, func() { _, _ = ratelimit.ByRemoteIP().Key(r) }))
}

// Keys are injective, typed and bounded.
func TestKeys(t *testing.T) {
	user, named, join := ratelimit.UserKey, ratelimit.NamedKey, ratelimit.JoinKeys
	long := strings.Repeat("x", 1_000_000)
	distinct := map[ratelimit.Key]string{}
	for name, k := range map[string]ratelimit.Key{
		"a+b": join(user("a"), user("b")), "ab": user("ab"), "b+a": join(user("b"), user("a")), "a:b+c": join(user("a:b"), user("c")),
		"a+b:c": join(user("a"), user("b:c")), "t/a": named("t", "a"), "ta": named("ta", ""), "t/": named("t", "/"), "user t": user("t"),
		"long": user(long), "longer": user(long + "x"), "named long": named("t", long), "named name": named(long, "t"),
		"nul": user("\x00"), "nuls": user("\x00\x00"), "braces": user("{a}"), "invalid": user("\xff"), "joined long": join(user(long), user("a")),
	} {
		if name == "ta" {
			assert.True(t, k.IsZero())
			continue
		}
		assert.Empty(t, distinct[k], name)
		distinct[k] = name
		b, err := k.AppendBinary(nil)
		require.NoError(t, err)
		assert.LessOrEqual(t, len(b), 24)
	}
	assert.True(t, user("").IsZero())
	assert.True(t, join().IsZero())
	assert.True(t, join(user("a"), ratelimit.Key{}).IsZero())
	assert.Equal(t, `user:"a\nb"`, user("a\nb").String())
	assert.Equal(t, "t:a", named("t", "a").String())
	assert.Equal(t, "user:a+user:b", join(user("a"), user("b")).String())
	assert.Regexp(t, "^user:#[0-9a-f]{12}$", user(long).String())
	assert.Equal(t, "none", ratelimit.Key{}.String())
}

func TestKeyers(t *testing.T) {
	id := func(r *http.Request) string { return r.Header.Get("Id") }
	for name, tc := range map[string]struct {
		by   ratelimit.Keyer
		r    *http.Request
		want string
	}{
		"user":           {ratelimit.ByUser(id), request("", "Id", "alice"), "user:alice"},
		"no user":        {ratelimit.ByUser(id), request(""), ""},
		"named":          {ratelimit.ByNamed("tenant", id), request("", "Id", "t1"), "tenant:t1"},
		"header":         {ratelimit.ByHeader("x-key"), request("", "X-Key", "v"), "header:#"},
		"two headers":    {ratelimit.ByHeader("X-Key"), request("", "X-Key", "v", "X-Key", "v"), ""},
		"cookie":         {ratelimit.ByCookie("sid"), request("", "Cookie", "sid=1"), "cookie:#"},
		"two cookies":    {ratelimit.ByCookie("sid"), request("", "Cookie", "sid=1; sid=2"), ""},
		"no pattern":     {ratelimit.ByPattern(), request(""), ""},
		"constant":       {ratelimit.Constant("all"), request(""), "constant:all"},
		"first":          {ratelimit.FirstOf(ratelimit.ByUser(id), ratelimit.ByRemoteIP()), request("192.0.2.1:1"), "addr:192.0.2.1"},
		"first of none":  {ratelimit.FirstOf(ratelimit.ByUser(id)), request(""), ""},
		"combined":       {ratelimit.Combine(ratelimit.ByUser(id), ratelimit.ByRemoteIP()), request("192.0.2.1:1", "Id", "a"), "user:a+addr:192.0.2.1"},
		"combined, part": {ratelimit.Combine(ratelimit.ByUser(id), ratelimit.ByRemoteIP()), request("192.0.2.1:1"), ""},
	} {
		key, err := tc.by.Key(tc.r)
		if tc.want == "" {
			require.ErrorIs(t, err, ratelimit.ErrNoIdentity, name)
			continue
		}
		require.NoError(t, err, name)
		assert.True(t, strings.HasPrefix(key.String(), tc.want), "%s: %s", name, key)
	}
}

// FuzzPeerAddress compares the key of a peer with what package netip reads.
func FuzzPeerAddress(f *testing.F) {
	for _, s := range []string{
		"192.0.2.1:1234", "192.0.2.1:0", "192.0.2.1:65535", "192.0.2.1:65536", "192.0.2.1:", "192.0.2.1", "01.2.3.4:5",
		"1.2.3.256:1", "1.2.3:4", "1.2.3.4.5:6", "1.2.3.4:5:6", "[::1]:80", "[::ffff:192.0.2.1]:80", "", ":", "1..2.3:4", "192.0.2.1:007",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, remote string) {
		if len(remote) > 64 {
			return
		}
		got, err := ratelimit.ByRemoteIP().Key(&http.Request{RemoteAddr: remote})
		host, perr := netip.ParseAddrPort(remote)
		if perr != nil {
			inner := remote
			if strings.HasPrefix(remote, "[") && strings.HasSuffix(remote, "]") { // one alone may be part of a zone
				inner = remote[1:max(1, len(remote)-1)]
			}
			addr, aerr := netip.ParseAddr(inner)
			if aerr != nil {
				require.Error(t, err)
				return
			}
			host = netip.AddrPortFrom(addr, 0)
		}
		if err == nil { // brackets that do not belong there are refused
			require.Equal(t, ratelimit.AddrKey(host.Addr()), got)
		}
		if perr == nil {
			require.NoError(t, err)
		}
	})
}

// IPv6Prefix keeps the proxies.
func TestIPv6PrefixBehindProxies(t *testing.T) {
	by := ratelimit.ByForwardedFor(ratelimit.TrustedProxies("10.0.0.0/8")).IPv6Prefix(48)
	key, err := by.Key(request("10.0.0.1:1", "X-Forwarded-For", "2001:db8:1:2::3"))
	require.NoError(t, err)
	assert.Equal(t, by.KeyOf(netip.MustParseAddr("2001:db8:1:ffff::")), key)
	assert.Equal(t, "addr:2001:db8:1::/48", key.String())
}
