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

// Each row is one way to lie about an address; the numbers (A1 ...) only tell them apart.
func TestClientAddressUnderAttack(t *testing.T) {
	const xff, proxy = "X-Forwarded-For", "10.0.0.1:1"
	trusted := ratelimit.TrustedProxies("10.0.0.0/8", "::ffff:192.168.0.0/112", "fd00::/8", "unix")
	forwardedFor, forwarded := ratelimit.ByForwardedFor(trusted), ratelimit.ByForwarded(trusted)
	hops := func(n int) ratelimit.ClientIP { return ratelimit.ByForwardedFor(ratelimit.TrustedHops(n)) }
	secret := trusted.If(func(r *http.Request) bool { return r.Header.Get("X-Secret") == "s" })
	for name, tc := range map[string]struct {
		by   ratelimit.ClientIP
		r    *http.Request
		want string
	}{
		"peer, no header read":              {ratelimit.ByRemoteIP(), request("203.0.113.7:1", xff, "6.6.6.6"), "203.0.113.7"},
		"A1 leftmost entry is the client's": {forwardedFor, request(proxy, xff, "6.6.6.6, 203.0.113.7"), "203.0.113.7"},
		"A1 two proxies":                    {forwardedFor, request(proxy, xff, "6.6.6.6, 203.0.113.7, 10.0.0.2"), "203.0.113.7"},
		"A2 two lines":                      {forwardedFor, request(proxy, xff, "6.6.6.6", xff, "203.0.113.7", xff, "10.9.9.9"), "203.0.113.7"},
		"A3 beside the proxy":               {forwardedFor, request("203.0.113.9:1", xff, "6.6.6.6"), "203.0.113.9"},
		"A4 no other header":                {forwardedFor, request(proxy, xff, "bad", "X-Real-Ip", "6.6.6.6"), "10.0.0.1"},
		"A5 junk stops the walk":            {forwardedFor, request(proxy, xff, "6.6.6.6, junk, 10.0.0.2"), "10.0.0.2"},
		"A6 single header":                  {ratelimit.ByIPHeader("CF-Connecting-IP", trusted), request(proxy, "Cf-Connecting-Ip", "203.0.113.7"), "203.0.113.7"},
		"A6 single header, untrusted":       {ratelimit.ByIPHeader("CF-Connecting-IP", trusted), request("8.8.8.8:1", "Cf-Connecting-Ip", "203.0.113.7"), "8.8.8.8"},
		"A6 a list is junk":                 {ratelimit.ByIPHeader("CF-Connecting-IP", trusted), request(proxy, "Cf-Connecting-Ip", "6.6.6.6, 7.7.7.7"), "10.0.0.1"},
		"A6 two lines are junk":             {ratelimit.ByIPHeader("CF-Connecting-IP", trusted), request(proxy, "Cf-Connecting-Ip", "6.6.6.6", "Cf-Connecting-Ip", "7.7.7.7"), "10.0.0.1"},
		"A7 header removed":                 {forwardedFor, request(proxy), "10.0.0.1"},
		"A8 header twin":                    {forwardedFor, request(proxy, "X_Forwarded_For", "6.6.6.6"), "10.0.0.1"},
		"A9 chain too short":                {hops(3), request("8.8.8.8:1", xff, "6.6.6.6"), "8.8.8.8"},
		"A9 one hop":                        {hops(1), request("8.8.8.8:1", xff, "6.6.6.6, 203.0.113.7"), "203.0.113.7"},
		"A9 two hops":                       {hops(2), request("8.8.8.8:1", xff, "6.6.6.6, 203.0.113.7, 9.9.9.9"), "203.0.113.7"},
		"A10 condition not met":             {ratelimit.ByForwardedFor(secret), request(proxy, xff, "6.6.6.6"), "10.0.0.1"},
		"A10 condition met":                 {ratelimit.ByForwardedFor(secret), request(proxy, xff, "203.0.113.7", "X-Secret", "s"), "203.0.113.7"},
		"A12 mapped":                        {ratelimit.ByRemoteIP(), request("[::ffff:203.0.113.7]:1"), "203.0.113.7"},
		"A12 mapped proxy":                  {forwardedFor, request("[::ffff:a00:1]:1", xff, "203.0.113.7"), "203.0.113.7"},
		"A14 ports, brackets and zones":     {forwardedFor, request("[fd00::1%eth0]:1", xff, "[2001:DB8:0::7%x]:443"), "2001:db8::7"},
		"A15 ambiguous text":                {forwardedFor, request(proxy, xff, "010.1.1.1"), "10.0.0.1"},
		"A16 zoned peer":                    {forwardedFor, request("[fd00::1%eth0]:1", xff, "203.0.113.7:80"), "203.0.113.7"},
		"A17 unclosed quote on the left":    {forwarded, request(proxy, "Forwarded", `for="6.6.6.6, for=203.0.113.7`), "203.0.113.7"},
		"A18 injected through a quote":      {forwarded, request(proxy, "Forwarded", `for=203.0.113.7;host="a,for=6.6.6.6"`), "203.0.113.7"},
		"A19 unknown":                       {forwarded, request(proxy, "Forwarded", "for=6.6.6.6, for=unknown"), "10.0.0.1"},
		"A19 obfuscated":                    {forwarded, request(proxy, "Forwarded", "for=6.6.6.6, for=_hidden, for=10.0.0.3"), "10.0.0.3"},
		"Forwarded IPv6":                    {forwarded, request(proxy, "Forwarded", `For="[2001:db8::7]:_p";proto=http, for=10.0.0.3`), "2001:db8::7"},
		"Forwarded twice for":               {forwarded, request(proxy, "Forwarded", "for=6.6.6.6;for=7.7.7.7"), "10.0.0.1"},
		"Forwarded bare IPv6":               {forwarded, request(proxy, "Forwarded", `for="2001:db8::7"`), "10.0.0.1"},
		"Forwarded bare port":               {forwarded, request(proxy, "Forwarded", `for=6.6.6.6:1`), "10.0.0.1"},
		"Forwarded escape in node":          {forwarded, request(proxy, "Forwarded", `for="6\.6.6.6"`), "10.0.0.1"},
		"A20 unix socket":                   {forwardedFor, request("@", xff, "203.0.113.7"), "203.0.113.7"},
		"A21 NAT64":                         {ratelimit.ByRemoteIP(), request("[64:ff9b::203.0.113.7]:1"), "203.0.113.7"},
		"A22 nothing but proxies":           {forwardedFor, request(proxy, xff, "10.6.6.6, 10.0.0.2"), "10.0.0.1"},
		"endless chain":                     {forwardedFor, request(proxy, xff, strings.Repeat("10.0.0.2,", 10_000)+"10.0.0.2"), "10.0.0.2"},
		"no port":                           {ratelimit.ByRemoteIP(), request("203.0.113.7"), "203.0.113.7"},
	} {
		addr, err := tc.by.Addr(tc.r)
		require.NoError(t, err, name)
		assert.Equal(t, tc.want, addr.String(), name)
	}
	_, err := ratelimit.ByRemoteIP().Key(request("@"))
	require.ErrorIs(t, err, ratelimit.ErrNoIdentity, "A20: a unix socket is no address")
}

// A13, A14: one subscriber is one key, however written.
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

// K1, K2, K3: keys are injective, typed and bounded.
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
