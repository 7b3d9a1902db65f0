package ratelimit_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// IPv4 clients arrive as IPv4-mapped IPv6 addresses, in either spelling: each is itself, not
// all of them one /64, and ranges of IPv4 proxies hold them.
func TestAttackA12IPv4Mapped(t *testing.T) {
	for _, mapped := range []string{"[::ffff:203.0.113.7]:1", "[::ffff:cb00:7107]:1", "[0:0:0:0:0:FFFF:203.0.113.7]:1", "203.0.113.7:1"} {
		assert.Equal(t, "addr:203.0.113.7", client(t, ratelimit.ByRemoteIP(), received(t, mapped)), mapped)
	}
	h := limited(t, "1 per hour", ratelimit.ByRemoteIP())
	assert.Equal(t, []int{200, 200, 429}, codes(h, received(t, "[::ffff:192.0.2.1]:1"), received(t, "[::ffff:192.0.2.2]:1"), received(t, "192.0.2.1:1")))
	for _, peer := range []string{"[::ffff:10.0.0.1]:1", "[::ffff:a00:1]:1"} {
		r := received(t, peer, "X-Forwarded-For: 6.6.6.6, ::ffff:203.0.113.7, ::ffff:a00:2")
		assert.Equal(t, "addr:203.0.113.7", client(t, forwardedFor(), r))
	}
	mappedRange := ratelimit.ByForwardedFor(ratelimit.TrustedProxies("::ffff:10.0.0.0/104", "::ffff:192.168.0.1"))
	r := received(t, proxy, "X-Forwarded-For: 6.6.6.6, 203.0.113.7, 192.168.0.1")
	assert.Equal(t, "addr:203.0.113.7", client(t, mappedRange, r), "a range written as mapped")
}

// A subscriber takes a new address from its own /64 for each request, or a new /64 from its own
// /56: the first is one client, the second needs a rule for it.
func TestAttackA13IPv6Rotation(t *testing.T) {
	h := limited(t, "3 per hour", ratelimit.ByRemoteIP())
	var got []int
	for i := range 5 {
		got = append(got, codes(h, received(t, fmt.Sprintf("[2001:db8:0:42::%x:%x]:1", i, 7*i)))...)
	}
	assert.Equal(t, []int{200, 200, 200, 429, 429}, got)
	assert.Equal(t, 200, codes(h, received(t, "[2001:db8:0:43::1]:1"))[0], "the neighbour")

	tiers := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{
		rule("subscriber", "1 per hour"),
		{Name: "site", Limits: ratelimit.MustParse("3 per hour"), Key: ratelimit.ByRemoteIP().IPv6Prefix(56)},
	}}).Handler(ok)
	got = nil
	for i := range 5 {
		got = append(got, codes(tiers, received(t, fmt.Sprintf("[2001:db8:0:4%d::1]:1", i)))...)
	}
	assert.Equal(t, []int{200, 200, 200, 429, 429}, got)
}

// A client writes its one address in many ways: all of them are one key.
func TestAttackA14OneAddressManySpellings(t *testing.T) {
	for _, text := range []string{
		"2001:db8::7", "2001:DB8:0:0:0:0:0:7", "2001:0db8::0007", "2001:db8:0::7%eth0", "[2001:db8::7]", "[2001:db8::7]:443",
		"[2001:db8::7%1]:443", "2001:db8::0.0.0.7", " 2001:db8::7\t",
	} {
		assert.Equal(t, "addr:2001:db8::/64", client(t, forwardedFor(), received(t, proxy, "X-Forwarded-For: "+text)), text)
		addr, err := forwardedFor().Addr(received(t, proxy, "X-Forwarded-For: "+text))
		require.NoError(t, err)
		assert.Equal(t, "2001:db8::7", addr.String(), text)
	}
	for _, text := range []string{"203.0.113.7", "203.0.113.7:443", "::ffff:203.0.113.7", "[::ffff:cb00:7107]:443", "::ffff:203.0.113.7%x"} {
		assert.Equal(t, "addr:203.0.113.7", client(t, forwardedFor(), received(t, proxy, "X-Forwarded-For: "+text)), text)
	}
}

// A client writes IPv4 so that different software reads different addresses: such text is junk.
func TestAttackA15AmbiguousIPv4(t *testing.T) {
	for _, text := range []string{
		"010.0.0.2", "203.0.113.07", "0xcb007107", "0xcb.0.0x71.7", "3405803783", "203.113", "203.0.113", "203.0.113.7.", "٢٠٣.0.113.7", "256.0.0.1",
	} {
		assert.Equal(t, "addr:10.0.0.1", client(t, forwardedFor(), received(t, proxy, "X-Forwarded-For: 6.6.6.6, "+text)), text)
		assert.Equal(t, "addr:10.0.0.1", client(t, forwarded(), received(t, proxy, "Forwarded: for=6.6.6.6, for="+text)), text)
	}
}

// The proxy's address carries a zone, which no prefix contains: it is trusted all the same, and
// a client gains no new bucket by a new zone.
func TestAttackA16ZonedPeer(t *testing.T) {
	by := ratelimit.ByForwardedFor(ratelimit.TrustedProxies("fe80::/10", "fd00::1%eth0"))
	for _, peer := range []string{"[fe80::1%eth0]:1", "[fe80::1%lan.1]:1", "[fd00::1%eth1]:1", "[fd00::1]:1"} {
		r := received(t, peer, "X-Forwarded-For: 6.6.6.6, 203.0.113.7, fe80::2%eth0")
		assert.Equal(t, "addr:203.0.113.7", client(t, by, r), peer)
	}
	h := limited(t, "1 per hour", ratelimit.ByRemoteIP())
	assert.Equal(t, []int{200, 429, 429}, codes(h, received(t, "[fe80::1%a]:1"), received(t, "[fe80::1%b]:1"), received(t, "[fe80::1]:1")))
}

// A client opens a quote or an element that it does not close, to spoil what the proxies append:
// the walk comes from the right and does not get there.
func TestAttackA17ForwardedSabotage(t *testing.T) {
	for _, left := range []string{
		`for="6.6.6.6`, `"`, `for="`, `for="6.6.6.6\`, `for=6.6.6.6;by="a;`, `for="\"`, `;;;`, `=`, `for=[::1`, `a="b",c="`, `"""`,
	} {
		for _, right := range []string{
			"for=203.0.113.7", `for="203.0.113.7:80"`, "for=203.0.113.7;proto=https, for=10.0.0.2", `For="203.0.113.7";host="a,b;c", FOR="[fd00::2]:1"`,
		} {
			r := received(t, proxy, "Forwarded: "+left+", "+right)
			assert.Equal(t, "addr:203.0.113.7", client(t, forwarded(), r), "%s, %s", left, right)
		}
	}
}

// A client sends a Host, or another value that the proxy copies into quotes, with an element
// in it: what is quoted is no element.
func TestAttackA18ForwardedInjection(t *testing.T) {
	for _, host := range []string{"a,for=6.6.6.6", "a;for=6.6.6.6", ",for=6.6.6.6,", `a\",for=6.6.6.6`, `\\,for=6.6.6.6;x=\"`, ";for=6.6.6.6;"} {
		for _, element := range []string{`for=203.0.113.7;host="` + host + `"`, `host="` + host + `";for=203.0.113.7`, `host="` + host + `" ; for="203.0.113.7:1";proto=http`} {
			assert.Equal(t, "addr:203.0.113.7", client(t, forwarded(), received(t, proxy, "Forwarded: "+element)), element)
			twice := received(t, proxy, "Forwarded: for=6.6.6.6, "+element+", for=10.0.0.2")
			assert.Equal(t, "addr:203.0.113.7", client(t, forwarded(), twice), element)
		}
	}
}

// A proxy reports a node without an address, and a client has written what stands left of it:
// that node ends the walk, and its text is not a key.
func TestAttackA19UnknownAndObfuscatedNodes(t *testing.T) {
	for _, node := range []string{
		"unknown", "_hidden", `"_hidden:80"`, `"unknown:80"`, `""`, "", "2001:db8::7", `"2001:db8::7"`, "203.0.113.7:80", `"203.0.113.7`, "203.0.113.7;for=203.0.113.8",
	} {
		assert.Equal(t, "addr:10.0.0.1", client(t, forwarded(), received(t, proxy, "Forwarded: for=6.6.6.6, for="+node)), node)
		last := received(t, proxy, "Forwarded: for=6.6.6.6, for="+node+", for=10.0.0.2")
		assert.Equal(t, "addr:10.0.0.2", client(t, forwarded(), last), node)
	}
	assert.Equal(t, "addr:10.0.0.1", client(t, forwarded(), received(t, proxy, "Forwarded: for=6.6.6.6, by=203.0.113.7;proto=http")), "no for")
}

// Everybody comes by a unix socket, where the peer has no address: that is trusted only if the
// user says so, and else is handled as the rule says.
func TestAttackA20UnixSocket(t *testing.T) {
	served := func(t *testing.T, by ratelimit.Keyer, choice ratelimit.Unidentified) func(client string) int {
		l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{{Name: "r", Limits: ratelimit.MustParse("1 per hour"), Key: by, Unidentified: choice}}})
		path := filepath.Join(t.TempDir(), "s")
		listener, err := net.Listen("unix", path)
		require.NoError(t, err)
		server := httptest.NewUnstartedServer(l.Handler(ok))
		require.NoError(t, server.Listener.Close())
		server.Listener = listener
		server.Start()
		t.Cleanup(server.Close)
		dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}
		transport := &http.Transport{DialContext: dial}
		t.Cleanup(transport.CloseIdleConnections)
		return func(client string) int {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://api.example/", nil)
			require.NoError(t, err)
			r.Header.Set("X-Forwarded-For", client)
			resp, err := transport.RoundTrip(r)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			return resp.StatusCode
		}
	}
	for name, tc := range map[string]struct {
		by     ratelimit.Keyer
		choice ratelimit.Unidentified
		want   [3]int // of clients 1, 2 and 1 again
	}{
		"share":      {ratelimit.ByRemoteIP(), ratelimit.ShareUnidentified, [3]int{200, 429, 429}},
		"refuse":     {ratelimit.ByRemoteIP(), ratelimit.RefuseUnidentified, [3]int{403, 403, 403}},
		"skip":       {ratelimit.ByRemoteIP(), ratelimit.SkipUnidentified, [3]int{200, 200, 200}},
		"not named":  {forwardedFor(), ratelimit.ShareUnidentified, [3]int{200, 429, 429}},
		"named unix": {ratelimit.ByForwardedFor(ratelimit.TrustedProxies("unix")), ratelimit.ShareUnidentified, [3]int{200, 200, 429}},
		"one hop":    {ratelimit.ByForwardedFor(ratelimit.TrustedHops(1)), ratelimit.ShareUnidentified, [3]int{200, 200, 429}},
	} {
		t.Run(name, func(t *testing.T) {
			do := served(t, tc.by, tc.choice)
			assert.Equal(t, tc.want, [3]int{do("203.0.113.1"), do("203.0.113.2"), do("203.0.113.1")})
		})
	}
}

// IPv4 clients arrive through a NAT64: each is the IPv4 address it is, not all of them one /64.
func TestAttackA21NAT64(t *testing.T) {
	h := limited(t, "1 per hour", ratelimit.ByRemoteIP())
	assert.Equal(t, []int{200, 200, 429, 429}, codes(h,
		received(t, "[64:ff9b::192.0.2.1]:1"), received(t, "[64:ff9b::192.0.2.2]:1"), received(t, "[64:ff9b::c000:201]:1"), received(t, "192.0.2.2:1")))
	assert.Equal(t, "addr:64:ff9b:0:1::/64", client(t, ratelimit.ByRemoteIP(), received(t, "[64:ff9b:0:1::c000:201]:1")), "beside 64:ff9b::/96")
	r := received(t, "[64:ff9b::10.0.0.1]:1", "X-Forwarded-For: 203.0.113.7")
	assert.Equal(t, "addr:203.0.113.7", client(t, forwardedFor(), r), "a proxy behind it")
}

// A client inside a trusted network, or one that writes private addresses, hopes for a chain of
// nothing but proxies: that is the peer, and no range is trusted that was not named.
func TestAttackA22SharedWideTrust(t *testing.T) {
	for _, chain := range []string{"10.6.6.6", "10.6.6.6, 10.0.0.2", "10.6.6.6,10.6.6.7,10.0.0.1"} {
		assert.Equal(t, "addr:10.0.0.1", client(t, forwardedFor(), received(t, proxy, "X-Forwarded-For: "+chain)), chain)
	}
	for _, peer := range []string{"127.0.0.1", "192.168.0.1", "172.16.0.1", "169.254.0.1", "100.64.0.1"} {
		r := received(t, peer+":1", "X-Forwarded-For: 6.6.6.6")
		assert.Equal(t, "addr:"+peer, client(t, forwardedFor(), r), "not named")
		r = received(t, proxy, "X-Forwarded-For: 6.6.6.6, "+peer)
		assert.Equal(t, "addr:"+peer, client(t, forwardedFor(), r), "not named")
	}
	assert.Equal(t, "addr:::/64", client(t, forwardedFor(), received(t, "[::1]:1", "X-Forwarded-For: 6.6.6.6")))
	_, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{{
		Name: "r", Limits: ratelimit.MustParse("1/s"), Key: ratelimit.ByForwardedFor(ratelimit.TrustedProxies("0.0.0.0/0", "::/0")),
	}}})
	require.ErrorContains(t, err, `"0.0.0.0/0" trusts everybody`)
	require.ErrorContains(t, err, `"::/0" trusts everybody`)
}
