package clientip_test

import (
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/ratelimit-go/ratelimit/clientip"
)

// A client arrives through fewer proxies than are trusted, or the number is too large. A chain that
// is too short ends in the peer and not in its first address.
func TestChainShorterThanTheTrustedHopsIsThePeer(t *testing.T) {
	s := func(hops int) clientip.Source { return clientip.ForwardedFor(clientip.TrustedHops(hops)) }
	const peer, chain = "198.51.100.1:1", "X-Forwarded-For: 6.6.6.6, 203.0.113.7, 192.0.2.1"
	for hops, want := range map[int]string{
		1: "192.0.2.1/32", 2: "203.0.113.7/32", 3: "6.6.6.6/32", 4: "198.51.100.1/32", 63: "198.51.100.1/32",
	} {
		assert.Equal(t, want, client(t, s(hops), received(t, peer, chain)), hops)
	}
	assert.Equal(t, "198.51.100.1/32", client(t, s(2), received(t, peer, "X-Forwarded-For: 6.6.6.6")))
	assert.Equal(t, "192.0.2.1/32", client(t, s(3), received(t, peer, "X-Forwarded-For: 6.6.6.6, , 192.0.2.1")), "junk")
}

// An attacker's own account at the same CDN reaches the service from a trusted range. A condition,
// such as a shared secret, tells it apart.
func TestIfTellsOtherCustomersOfACDNApart(t *testing.T) {
	secret := func(r *http.Request) bool { return r.Header.Get("X-Edge-Secret") == "s3cret" }
	s := clientip.ForwardedFor(clientip.TrustedProxies("10.0.0.0/8").If(secret))
	known := received(t, proxy, "X-Forwarded-For: 203.0.113.7", "X-Edge-Secret: s3cret")
	assert.Equal(t, "203.0.113.7/32", client(t, s, known))
	guess := received(t, proxy, "X-Forwarded-For: 6.6.6.6", "X-Edge-Secret: guess")
	assert.Equal(t, "10.0.0.1/32", client(t, s, guess))
	assert.Equal(t, "10.0.0.1/32", client(t, s, received(t, proxy, "X-Forwarded-For: 6.6.6.6")))
	hops := clientip.ForwardedFor(clientip.TrustedHops(1).If(secret))
	assert.Equal(t, "10.0.0.1/32", client(t, hops, received(t, proxy, "X-Forwarded-For: 6.6.6.6")))
}

func TestIfLeavesTheOriginalProxies(t *testing.T) {
	p := clientip.TrustedProxies("10.0.0.0/8")
	_ = p.If(func(*http.Request) bool { return false })
	r := received(t, proxy, "X-Forwarded-For: 203.0.113.7")
	assert.Equal(t, "203.0.113.7/32", client(t, clientip.ForwardedFor(p), r))
}

func TestLastIfHolds(t *testing.T) {
	yes, no := func(*http.Request) bool { return true }, func(*http.Request) bool { return false }
	r := received(t, proxy, "X-Forwarded-For: 203.0.113.7")
	p := clientip.TrustedProxies("10.0.0.0/8")
	assert.Equal(t, "203.0.113.7/32", client(t, clientip.ForwardedFor(p.If(no).If(yes)), r))
	assert.Equal(t, "10.0.0.1/32", client(t, clientip.ForwardedFor(p.If(yes).If(no)), r))
}

// A range of the CDN is given to another company. The set of proxies may change while the service
// runs.
func TestTrustedProxiesFuncMayChange(t *testing.T) {
	var cdn atomic.Pointer[netip.Prefix]
	set := func(s string) { p := netip.MustParsePrefix(s); cdn.Store(&p) }
	s := clientip.ForwardedFor(clientip.TrustedProxiesFunc(func(a netip.Addr) bool { return cdn.Load().Contains(a) }))
	set("192.0.2.0/24")
	r := received(t, "192.0.2.1:1", "X-Forwarded-For: 203.0.113.7")
	assert.Equal(t, "203.0.113.7/32", client(t, s, r))
	set("198.51.100.0/24")
	assert.Equal(t, "192.0.2.1/32", client(t, s, r))
}

func TestTrustedProxiesFunc(t *testing.T) {
	s := clientip.ForwardedFor(clientip.TrustedProxiesFunc(netip.Addr.IsLoopback))
	for name, tc := range map[string]struct {
		remote string
		want   string
	}{
		"a proxy":           {remote: "127.0.0.1:1", want: "203.0.113.7"},
		"in canonical form": {remote: "[::ffff:127.0.0.1]:1", want: "203.0.113.7"},
		"another address":   {remote: "192.0.2.1:1", want: "192.0.2.1"},
	} {
		r := received(t, tc.remote, "X-Forwarded-For: 203.0.113.7, 127.0.0.2")
		assert.Equal(t, tc.want, addr(t, s, r), name)
	}
}

// The caller recovers from a panic in a function of Proxies, because it knows where to report it.
func TestPanicsOfProxiesReachTheCaller(t *testing.T) {
	trusted := clientip.TrustedProxiesFunc(func(netip.Addr) bool { panic("proxies") })
	cond := clientip.TrustedProxies("10.0.0.0/8").If(func(*http.Request) bool { panic("condition") })
	r := received(t, proxy, "X-Forwarded-For: 203.0.113.7")
	for want, p := range map[string]clientip.Proxies{"proxies": trusted, "condition": cond} {
		s := clientip.ForwardedFor(p)
		assert.NoError(t, s.Err())
		assert.PanicsWithValue(t, want, func() { _, _ = s.Addr(r) })
		assert.PanicsWithValue(t, want, func() { _, _ = s.Client(r) })
	}
}
