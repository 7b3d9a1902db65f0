package ratelimit_test

import (
	"bufio"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

const proxy = "10.0.0.1:1234"

// received is a request with these header lines, as net/http reads it from the
// connection of remote.
func received(t testing.TB, remote string, lines ...string) *http.Request {
	t.Helper()
	text := "GET / HTTP/1.1\r\nHost: api.example\r\n"
	for _, line := range lines {
		text += line + "\r\n"
	}
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text + "\r\n")))
	require.NoError(t, err)
	r.RemoteAddr = remote
	return r
}

// limited is a handler behind one rule.
func limited(t testing.TB, limits string, by ratelimit.Keyer) http.Handler {
	t.Helper()
	r := ratelimit.Rule{Name: "r", Limits: ratelimit.MustParse(limits), Key: by}
	return newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{r}}).Handler(ok)
}

// client returns whom a limiter with this key takes r to be from.
func client(t testing.TB, by ratelimit.Keyer, r *http.Request) string {
	t.Helper()
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{{Name: "r", Limits: ratelimit.MustParse("1/s"), Key: by}}})
	var key ratelimit.Key
	serve(l.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		d, _ := ratelimit.DecisionFrom(r.Context())
		key = d.Key
	})), r)
	return key.String()
}

// codes are the statuses of the answers to requests, one after another.
func codes(h http.Handler, requests ...*http.Request) []int {
	all := make([]int, len(requests))
	for i, r := range requests {
		all[i] = serve(h, r).Code
	}
	return all
}

func forwardedFor() ratelimit.ClientIP {
	return ratelimit.ByForwardedFor(ratelimit.TrustedProxies("10.0.0.0/8", "fd00::/8"))
}

func forwarded() ratelimit.ClientIP {
	return ratelimit.ByForwarded(ratelimit.TrustedProxies("10.0.0.0/8", "fd00::/8"))
}

// A client writes addresses of its own into X-Forwarded-For, and the proxies append the true
// one on the right: it stays one client, and nobody else is charged.
func TestAttackA01SpoofedForwardedFor(t *testing.T) {
	h := limited(t, "2 per hour", forwardedFor())
	assert.Equal(t, []int{200, 200, 429, 429, 200, 200}, codes(h,
		received(t, proxy, "X-Forwarded-For: 6.6.6.6, 203.0.113.7"),
		received(t, proxy, "X-Forwarded-For: 6.6.6.7, 203.0.113.7, 10.0.0.2"),
		received(t, proxy, "X-Forwarded-For: 10.0.0.9, 203.0.113.7, 10.0.0.2, 10.0.0.3"),
		received(t, proxy, "X-Forwarded-For: 203.0.113.7"),
		received(t, proxy, "X-Forwarded-For: 6.6.6.6"),
		received(t, proxy, "X-Forwarded-For: 10.6.6.6, 198.51.100.1"),
	))
	unasked := []string{"X-Forwarded-For: 6.6.6.6", "Forwarded: for=6.6.6.6", "X-Real-IP: 6.6.6.6", "True-Client-IP: 6.6.6.6"}
	assert.Equal(t, "addr:203.0.113.7", client(t, ratelimit.ByRemoteIP(), received(t, "203.0.113.7:1", unasked...)))
}

// A client sends a line of its own before the one the proxy adds: all lines are one list.
func TestAttackA02TwoFieldLines(t *testing.T) {
	for want, lines := range map[string][]string{
		"addr:203.0.113.7":  {"X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 203.0.113.7"},
		"addr:203.0.113.8":  {"X-Forwarded-For: 6.6.6.6, 203.0.113.8", "x-forwarded-for: 10.0.0.3"},
		"addr:203.0.113.9":  {"X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 10.0.0.3,10.0.0.2"},
		"addr:10.0.0.3":     {"X-Forwarded-For: 6.6.6.6", "X-Forwarded-For:", "X-Forwarded-For: 10.0.0.3"},
		"addr:203.0.113.10": {"Forwarded: for=6.6.6.6", "Forwarded: for=203.0.113.10", "Forwarded: for=10.0.0.3"},
		"addr:203.0.113.11": {`Forwarded: for=6.6.6.6;by="`, "Forwarded: for=203.0.113.11"},
	} {
		by := forwardedFor()
		if strings.HasPrefix(lines[0], "Forwarded") {
			by = forwarded()
		}
		assert.Equal(t, want, client(t, by, received(t, proxy, lines...)))
	}
}

// A client reaches the service beside the proxy, with a forged chain: it is the peer.
func TestAttackA03BesideTheProxy(t *testing.T) {
	chain := []string{"X-Forwarded-For: 6.6.6.6, 10.0.0.2", "Forwarded: for=6.6.6.6, for=10.0.0.2", "CF-Connecting-IP: 6.6.6.6"}
	single := ratelimit.ByIPHeader("CF-Connecting-IP", ratelimit.TrustedProxies("10.0.0.0/8"))
	for _, by := range []ratelimit.Keyer{forwardedFor(), forwarded(), single} {
		assert.Equal(t, "addr:203.0.113.9", client(t, by, received(t, "203.0.113.9:1", chain...)))
	}
}

// A client spoils the header in use so that the next one is read: there is no next one.
func TestAttackA04FallingThrough(t *testing.T) {
	rest := []string{"X-Real-IP: 6.6.6.6", "Forwarded: for=6.6.6.6", "CF-Connecting-IP: 6.6.6.6", "True-Client-IP: 6.6.6.6"}
	for _, spoiled := range []string{"X-Forwarded-For: bad, 7.7.7.7x", "X-Forwarded-For:", "X-Forwarded-For: ,", "X-Other: 1"} {
		assert.Equal(t, "addr:10.0.0.1", client(t, forwardedFor(), received(t, proxy, append(rest, spoiled)...)), spoiled)
	}
}

// A client ends its own text with junk, to be stepped over: junk ends the walk at the last
// address that a proxy vouched for.
func TestAttackA05JunkIsNotSteppedOver(t *testing.T) {
	for _, junk := range []string{"junk", "", "unknown", "1.2.3", "1.2.3.4.5", "6.6.6.6 7.7.7.7", "6.6.6.6;", `"6.6.6.6"`, "6.6.6.6:99999", "[6.6.6.6]"} {
		assert.Equal(t, "addr:10.0.0.2", client(t, forwardedFor(), received(t, proxy, "X-Forwarded-For: 6.6.6.6, "+junk+", 10.0.0.2")), junk)
		assert.Equal(t, "addr:10.0.0.1", client(t, forwardedFor(), received(t, proxy, "X-Forwarded-For: 6.6.6.6, "+junk)), junk)
	}
}

// A client sends a single-address header: only the named one counts, from a trusted peer, with
// one address in one line.
func TestAttackA06SingleAddressHeader(t *testing.T) {
	by := ratelimit.ByIPHeader("cf-connecting-ip", ratelimit.TrustedProxies("10.0.0.0/8"))
	for want, lines := range map[string][]string{
		"addr:203.0.113.7": {"CF-Connecting-IP:  203.0.113.7 ", "X-Real-IP: 6.6.6.6", "X-Forwarded-For: 6.6.6.6"},
		"addr:203.0.113.8": {"Cf-CONNECTING-Ip: 203.0.113.8"},
	} {
		assert.Equal(t, want, client(t, by, received(t, proxy, lines...)))
		assert.Equal(t, "addr:198.51.100.1", client(t, by, received(t, "198.51.100.1:1", lines...)), "not from a proxy")
	}
	for _, lines := range [][]string{
		{"CF-Connecting-IP: 6.6.6.6, 203.0.113.7"},
		{"CF-Connecting-IP: 6.6.6.6", "CF-Connecting-IP: 203.0.113.7"},
		{"CF-Connecting-IP: 6.6.6.6;"},
		{"CF-Connecting-IP:"},
		{"X-Real-IP: 6.6.6.6"},
	} {
		assert.Equal(t, "addr:10.0.0.1", client(t, by, received(t, proxy, lines...)), lines)
	}
}

// A client names the header in Connection, so that a proxy drops it on the way: such requests
// share the proxy's bucket, so they are limited all the same.
func TestAttackA07HeaderRemoved(t *testing.T) {
	for _, by := range []ratelimit.Keyer{
		forwardedFor(), forwarded(), ratelimit.ByIPHeader("X-Real-IP", ratelimit.TrustedHops(1)),
		ratelimit.ByForwardedFor(ratelimit.TrustedHops(2)),
	} {
		r := received(t, proxy, "Connection: close, X-Real-IP, X-Forwarded-For, Forwarded")
		assert.Equal(t, []int{200, 200, 429, 429}, codes(limited(t, "2 per hour", by), r, r, r, r))
		assert.Equal(t, "addr:10.0.0.1", client(t, by, r))
	}
}

// A client sends a twin of the header, which other software folds into it: names are compared
// exactly, but for letter case.
func TestAttackA08HeaderTwin(t *testing.T) {
	for _, twin := range []string{"X_Forwarded_For", "X-Forwarded_For", "X.Forwarded.For", "X-Forwarded-For-", "XForwardedFor", "X-Forwarded"} {
		r := received(t, proxy, twin+": 6.6.6.6", "x-FORWARDED-for: 203.0.113.7", twin+": 6.6.6.6")
		assert.Equal(t, "addr:203.0.113.7", client(t, forwardedFor(), r), twin)
		assert.Equal(t, "addr:10.0.0.1", client(t, forwardedFor(), received(t, proxy, twin+": 6.6.6.6")), twin)
	}
}

// A client comes by fewer proxies than are counted on, or the count is too large: a chain too
// short ends in the peer, not in its first entry.
func TestAttackA09ChainShorterThanTheHops(t *testing.T) {
	by := func(hops int) ratelimit.Keyer { return ratelimit.ByForwardedFor(ratelimit.TrustedHops(hops)) }
	const peer, chain = "198.51.100.1:1", "X-Forwarded-For: 6.6.6.6, 203.0.113.7, 192.0.2.1"
	for hops, want := range map[int]string{
		1: "addr:192.0.2.1", 2: "addr:203.0.113.7", 3: "addr:6.6.6.6", 4: "addr:198.51.100.1", 63: "addr:198.51.100.1",
	} {
		assert.Equal(t, want, client(t, by(hops), received(t, peer, chain)), hops)
	}
	assert.Equal(t, "addr:198.51.100.1", client(t, by(2), received(t, peer, "X-Forwarded-For: 6.6.6.6")))
	assert.Equal(t, "addr:192.0.2.1", client(t, by(3), received(t, peer, "X-Forwarded-For: 6.6.6.6, , 192.0.2.1")), "junk")
}

// An attacker's own account at the same CDN reaches the service from a trusted range: a
// condition, such as a shared secret, tells it apart.
func TestAttackA10RefrontedByTheSameCDN(t *testing.T) {
	secret := func(r *http.Request) bool { return r.Header.Get("X-Edge-Secret") == "s3cret" }
	by := ratelimit.ByForwardedFor(ratelimit.TrustedProxies("10.0.0.0/8").If(secret))
	assert.Equal(t, "addr:203.0.113.7", client(t, by, received(t, proxy, "X-Forwarded-For: 203.0.113.7", "X-Edge-Secret: s3cret")))
	assert.Equal(t, "addr:10.0.0.1", client(t, by, received(t, proxy, "X-Forwarded-For: 6.6.6.6", "X-Edge-Secret: guess")))
	assert.Equal(t, "addr:10.0.0.1", client(t, by, received(t, proxy, "X-Forwarded-For: 6.6.6.6")))
	hops := ratelimit.ByForwardedFor(ratelimit.TrustedHops(1).If(secret))
	assert.Equal(t, "addr:10.0.0.1", client(t, hops, received(t, proxy, "X-Forwarded-For: 6.6.6.6")))
}

// A range that once was the CDN's is given to somebody else: the set of proxies may change
// while the service runs, and none comes with the package.
func TestAttackA11StaleRanges(t *testing.T) {
	var cdn atomic.Pointer[netip.Prefix]
	set := func(s string) { p := netip.MustParsePrefix(s); cdn.Store(&p) }
	by := ratelimit.ByForwardedFor(ratelimit.TrustedProxiesFunc(func(a netip.Addr) bool { return cdn.Load().Contains(a) }))
	set("192.0.2.0/24")
	r := received(t, "192.0.2.1:1", "X-Forwarded-For: 203.0.113.7")
	assert.Equal(t, "addr:203.0.113.7", client(t, by, r))
	set("198.51.100.0/24")
	assert.Equal(t, "addr:192.0.2.1", client(t, by, r))
	_, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{{
		Name: "r", Limits: ratelimit.MustParse("1/s"), Key: ratelimit.ByForwardedFor(ratelimit.TrustedProxies()),
	}}})
	require.ErrorContains(t, err, "no trusted proxies")
}
