package deploy

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/ratelimit-go/ratelimit/clientip"
)

// reports returns what a Watch of src reports about requests.
func reports(src clientip.Source, requests ...*http.Request) (all []string) {
	told := map[any]bool{}
	w := New(src, func(_ context.Context, what any, err error) {
		if !told[what] {
			told[what] = true
			all = append(all, err.Error())
		}
	})
	for _, r := range requests {
		w.See(r, []clientip.Source{src})
	}
	return all
}

// from returns n requests of a peer, with fields in which %d is the number of the request.
func from(n int, peer string, fields ...string) (all []*http.Request) {
	for i := range n {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = peer
		for f := 0; f < len(fields); f += 2 {
			value := fields[f+1]
			if i := fmt.Sprint(i + 1); len(value) > 0 && value[0] == '#' {
				value = "203.0.113." + i + value[1:]
			}
			r.Header.Add(fields[f], value)
		}
		all = append(all, r)
	}
	return all
}

// inTurn returns the requests of a and b, which are as many, in turn.
func inTurn(a, b []*http.Request) (all []*http.Request) {
	for i := range a {
		all = append(all, a[i], b[i])
	}
	return all
}

func TestProblems(t *testing.T) {
	const lan = "10.0.0.1:1"
	trusting := clientip.ForwardedFor(clientip.TrustedProxies("10.0.0.1"))
	for _, tc := range []struct {
		name     string
		src      clientip.Source
		requests []*http.Request
		want     []string
	}{
		{
			"no proxy named",
			clientip.Source{},
			from(3, lan, "X-Forwarded-For", "192.0.2.1\nx"),
			[]string{"ratelimit: X-Forwarded-For is present, but Config.ClientIP trusts no proxy: all clients behind 10.0.0.1 share " +
				"one bucket; if 10.0.0.1 is your proxy, write ClientIP: clientip.ForwardedFor(clientip.TrustedProxies(\"10.0.0.1\")); " +
				"if not, a client has sent the field, and it is ignored"},
		},
		{
			"another field", clientip.Remote(), from(1, lan, "CF-Connecting-IP", "192.0.2.1"),
			[]string{"ratelimit: Cf-Connecting-Ip is present, but Config.ClientIP trusts no proxy: all clients behind 10.0.0.1 share " +
				"one bucket; if 10.0.0.1 is your proxy, write ClientIP: clientip.Header(\"Cf-Connecting-Ip\", " +
				"clientip.TrustedProxies(\"10.0.0.1\")); if not, a client has sent the field, and it is ignored"},
		},
		{
			"RFC 7239",
			clientip.Source{},
			from(1, "[2001:db8::1]:1", "Forwarded", "for=192.0.2.1"),
			[]string{"ratelimit: Forwarded is present, but Config.ClientIP trusts no proxy: all clients behind 2001:db8::1 share " +
				"one bucket; if 2001:db8::1 is your proxy, write ClientIP: clientip.Forwarded(clientip.TrustedProxies(" +
				"\"2001:db8::1\")); if not, a client has sent the field, and it is ignored"},
		},
		{
			"a proxy that is not the one named", trusting, from(3, "10.0.0.2:1", "X-Forwarded-For", "192.0.2.1"),
			[]string{"ratelimit: X-Forwarded-For is present, but Config.ClientIP does not trust 10.0.0.2, which has sent it: all " +
				"clients behind 10.0.0.2 share one bucket; if 10.0.0.2 is your proxy, name it, as in ClientIP: " +
				"clientip.ForwardedFor(clientip.TrustedProxies(\"10.0.0.2\")); if not, a client has reached the service " +
				"without your proxy, and the field is ignored"},
		},
		{
			"a client without the proxy, later", trusting,
			append(from(1, lan, "X-Forwarded-For", "192.0.2.1"), from(3, "192.0.2.9:1", "X-Forwarded-For", "192.0.2.1")...), nil,
		},
		{
			"a field that the proxy does not send", clientip.Header("X-Real-IP", clientip.TrustedProxies("10.0.0.1")),
			from(2, lan, "X-Forwarded-For", "192.0.2.1"),
			[]string{"ratelimit: Config.ClientIP reads X-Real-Ip, but 10.0.0.1 has sent X-Forwarded-For instead: all clients behind " +
				"10.0.0.1 share one bucket; if 10.0.0.1 always sends X-Forwarded-For, write ClientIP: clientip.ForwardedFor(" +
				"clientip.TrustedProxies(\"10.0.0.1\"))"},
		},
		{
			"a unix socket",
			clientip.Source{},
			from(2, "@"),
			[]string{"ratelimit: requests come over a unix socket, which has no addresses, and Config.ClientIP trusts no proxy " +
				"there: all clients share one bucket; write ClientIP: clientip.ForwardedFor(clientip.TrustedProxies(\"unix\"))"},
		},
		{
			"a unix socket that is trusted", clientip.ForwardedFor(clientip.TrustedProxies("unix")),
			from(2, "@", "X-Forwarded-For", "192.0.2.1"), nil,
		},
		{
			"a balancer that appends its own public address", trusting,
			from(few, lan, "X-Forwarded-For", "#, 192.0.2.7"),
			[]string{"ratelimit: Config.ClientIP finds the client 192.0.2.7, before which X-Forwarded-For has other addresses: all " +
				"clients behind 192.0.2.7 share one bucket; if 192.0.2.7 is a proxy or a balancer that appends its own address, " +
				"trust it too, as in ClientIP: clientip.ForwardedFor(clientip.TrustedProxies(\"192.0.2.7\")); if it is one client, " +
				"it has sent the field itself"},
		},
		{"too few to tell", trusting, from(few-1, lan, "X-Forwarded-For", "#, 192.0.2.7"), nil},
		{"one client that sends the field", trusting, from(most, lan, "X-Forwarded-For", "8.8.8.8, 192.0.2.7"), nil},
		{
			"clients through two proxies", clientip.ForwardedFor(clientip.TrustedHops(2)),
			from(most, lan, "X-Forwarded-For", "#, 192.0.2.7"), nil,
		},
		{
			"a balancer that appends its own private address", trusting,
			from(1, lan, "X-Forwarded-For", "203.0.113.5, 10.0.0.9"),
			[]string{"ratelimit: Config.ClientIP finds the client 10.0.0.9, before which X-Forwarded-For has other addresses: all " +
				"clients behind 10.0.0.9 share one bucket; if 10.0.0.9 is a proxy or a balancer that appends its own address, " +
				"trust it too, as in ClientIP: clientip.ForwardedFor(clientip.TrustedProxies(\"10.0.0.9\")); if it is one client, " +
				"it has sent the field itself"},
		},
		{
			"one private peer",
			clientip.Source{},
			from(most, lan),
			[]string{"ratelimit: the first 100 requests all came from the private address 10.0.0.1: if it is a proxy or a balancer, " +
				"all clients behind it share one bucket; let it send X-Forwarded-For, and write ClientIP: " +
				"clientip.ForwardedFor(clientip.TrustedProxies(\"10.0.0.1\"))"},
		},
		{"one private peer, for a short time", clientip.Source{}, from(sampled-1, lan), nil},
		{"one public peer", clientip.Source{}, from(most, "192.0.2.1:1"), nil},
		{"two private peers", clientip.Source{}, append(from(50, lan), from(most, "10.0.0.2:1")...), nil},
		{
			"a proxy that sends nothing", trusting, from(most, lan),
			[]string{"ratelimit: none of the first 100 requests from 10.0.0.1 has X-Forwarded-For, which Config.ClientIP reads: all " +
				"clients behind 10.0.0.1 share one bucket; configure 10.0.0.1 to send the field"},
		},
		{
			"several proxies that send nothing", clientip.ForwardedFor(clientip.TrustedProxies("10.0.0.0/8")),
			append(from(50, "10.0.0.2:1"), from(most, lan)...),
			[]string{"ratelimit: none of the first 100 requests from 10.0.0.1 has X-Forwarded-For, which Config.ClientIP reads: all " +
				"clients behind 10.0.0.1 share one bucket; configure 10.0.0.1 to send the field"},
		},
		{
			"several proxies that send no address", clientip.ForwardedFor(clientip.TrustedProxies("10.0.0.0/8")),
			inTurn(from(most/2, "10.0.0.2:1", "X-Forwarded-For", "unknown"), from(most/2, lan, "X-Forwarded-For", "unknown")),
			[]string{"ratelimit: X-Forwarded-For of the first 100 requests has text that is no address, where Config.ClientIP looks " +
				"for the client: all clients behind 10.0.0.1 share one bucket; let the proxy send one plain address for each hop, " +
				"or read another field"},
		},
		{
			"names of proxies behind the address of the client", trusting, from(most, lan, "X-Forwarded-For", "#, proxy1"),
			[]string{"ratelimit: X-Forwarded-For of the first 100 requests has text that is no address, where Config.ClientIP looks " +
				"for the client: all clients behind 10.0.0.1 share one bucket; let the proxy send one plain address for each hop, " +
				"or read another field"},
		},
		{
			"several addresses in a field for one", clientip.Header("X-Real-IP", clientip.TrustedHops(1)),
			from(most, lan, "X-Real-IP", "#, 10.0.0.2"),
			[]string{"ratelimit: X-Real-Ip of the first 100 requests has text that is no address, where Config.ClientIP looks " +
				"for the client: all clients behind 10.0.0.1 share one bucket; let the proxy send one plain address for each hop, " +
				"or read another field"},
		},
		{
			"fewer proxies than trusted hops", clientip.ForwardedFor(clientip.TrustedHops(2)),
			append(from(1, lan, "X-Forwarded-For", "192.0.2.1, #"), from(most, lan, "X-Forwarded-For", "#")...),
			[]string{"ratelimit: Config.ClientIP trusts more hops than X-Forwarded-For of 10 requests has addresses: all clients " +
				"behind 10.0.0.1 share one bucket, and a client that sends the field itself can choose its address; " +
				"write clientip.TrustedHops with the number of your proxies"},
		},
		{
			"a few requests with fewer proxies", clientip.ForwardedFor(clientip.TrustedHops(2)),
			append(from(few-1, lan, "X-Forwarded-For", "#"), from(most, lan, "X-Forwarded-For", "#, 10.0.0.2")...), nil,
		},
		{
			"several proxies that are not named and send no address",
			clientip.Source{},
			inTurn(from(most/2, "10.0.0.2:1", "X-Forwarded-Proto", "https"), from(most/2, lan, "Via", "1.1 x")),
			[]string{"ratelimit: the first 100 requests have Via and no field with the address of the client: all clients behind " +
				"10.0.0.1 share one bucket; let the proxy send X-Forwarded-For, and write ClientIP: " +
				"clientip.ForwardedFor(clientip.TrustedProxies(\"10.0.0.1\"))"},
		},
		{
			"clients that have proxies of their own, and others",
			clientip.Source{},
			append(from(1, "192.0.2.1:1"), from(most, lan, "Via", "1.1 x")...), nil,
		},
		{
			"a peer without an address",
			clientip.Source{},
			from(3, "pipe"),
			[]string{"ratelimit: requests have no address, because their RemoteAddr is none, and Config.ClientIP trusts no proxy " +
				"there: all clients share one bucket; set RemoteAddr in an outer handler, such as to 192.0.2.1:1"},
		},
		{
			"the field of another CDN",
			clientip.Source{},
			from(3, lan, "DO-Connecting-IP", "#"),
			[]string{"ratelimit: Do-Connecting-Ip is present, but Config.ClientIP trusts no proxy: all clients behind 10.0.0.1 share " +
				"one bucket; if 10.0.0.1 is your proxy, write ClientIP: clientip.Header(\"Do-Connecting-Ip\", " +
				"clientip.TrustedProxies(\"10.0.0.1\")); if not, a client has sent the field, and it is ignored"},
		},
		{
			"a proxy that sends nothing, and clients without it", trusting,
			append(from(50, "192.0.2.1:1"), from(most, lan)...), nil,
		},
		{
			"a CDN before the proxy that is named", trusting,
			inTurn(from(most/2, lan, "X-Forwarded-For", "#, 192.0.2.7"), from(most/2, lan, "X-Forwarded-For", "#, 192.0.2.8")),
			[]string{"ratelimit: Config.ClientIP finds the client 192.0.2.8, before which X-Forwarded-For has other addresses: all " +
				"clients behind 192.0.2.8 share one bucket; if 192.0.2.8 is a proxy or a balancer that appends its own address, " +
				"trust it too, as in ClientIP: clientip.ForwardedFor(clientip.TrustedProxies(\"192.0.2.8\")); if it is one client, " +
				"it has sent the field itself"},
		},
		{
			"clients that have proxies of their own", trusting,
			append(from(50, lan, "X-Forwarded-For", "#"), from(most, lan, "X-Forwarded-For", "198.51.100.1, 192.0.2.8")...), nil,
		},
		{
			"a CDN whose field nothing reads", clientip.Header("X-Real-IP", clientip.TrustedProxies("10.0.0.1")),
			from(3, lan, "X-Real-IP", "192.0.2.7", "CF-Connecting-IP", "#"),
			[]string{"ratelimit: Config.ClientIP finds the client 192.0.2.7 by X-Real-Ip, but 10.0.0.1 has sent Cf-Connecting-Ip with " +
				"another address: if a CDN sends it, all clients of the CDN's server 192.0.2.7 share one bucket; trust the addresses " +
				"of the CDN too, in clientip.ForwardedFor, or read Cf-Connecting-Ip if all requests come through the CDN; if not, a " +
				"client has sent the field, and it is ignored"},
		},
		{
			"a CDN that is trusted", clientip.ForwardedFor(clientip.TrustedProxies("10.0.0.1", "192.0.2.7")),
			from(most, lan, "X-Forwarded-For", "#, 192.0.2.7", "True-Client-IP", "#"), nil,
		},
		{
			"a field of a CDN from a client without the proxy", trusting,
			append(from(1, lan, "X-Forwarded-For", "#"), from(9, "192.0.2.1:1", "CF-Connecting-IP", "#")...), nil,
		},
		{"checks of a balancer, then clients", trusting, append(from(50, lan), from(most, lan, "X-Forwarded-For", "192.0.2.1")...), nil},
		{
			"everybody is trusted", clientip.ForwardedFor(clientip.TrustedProxies("10.0.0.0/8")),
			from(most, lan, "X-Forwarded-For", "10.1.2.3"),
			[]string{"ratelimit: Config.ClientIP trusts every address in X-Forwarded-For of the first 100 requests: all clients " +
				"behind 10.0.0.1 share one bucket; trust the addresses of proxies only"},
		},
		{"all is well", trusting, from(most, lan, "X-Forwarded-For", "#"), nil},
		{"a source with a mistake", clientip.ForwardedFor(clientip.Proxies{}), from(1, lan), nil},
		{"too late", trusting, append(from(most, lan, "X-Forwarded-For", "#"), from(9, "@")...), nil},
	} {
		assert.Equal(t, tc.want, reports(tc.src, tc.requests...), tc.name)
	}
}

// A client chooses a text of a field. It is in no report.
func TestReportsHaveNoTextOfClients(t *testing.T) {
	for _, name := range []string{"X-Forwarded-For", "Forwarded", "X-Real-IP", "True-Client-IP", "X-Envoy-External-Address"} {
		for _, src := range []clientip.Source{{}, clientip.ForwardedFor(clientip.TrustedProxies("10.0.0.1", "10.0.0.2"))} {
			for _, text := range reports(src, from(most, "10.0.0.1:1", name, "evil\n"+strconv.Itoa(1<<20))...) {
				assert.NotContains(t, text, "evil", name)
				assert.Less(t, len(text), 500)
			}
		}
	}
}

// A panic of a user's function is left to the rule that meets it too.
func TestPanicsAreLeftToTheRule(t *testing.T) {
	src := clientip.ForwardedFor(clientip.TrustedProxiesFunc(func(netip.Addr) bool { panic("proxies") }))
	assert.Empty(t, reports(src, from(2, "10.0.0.1:1")...))
}

// After the first requests nothing is looked at any more.
func TestWatchEnds(t *testing.T) {
	var src clientip.Source
	w := New(src, func(context.Context, any, error) {})
	assert.False(t, w.Begun())
	r := from(1, "192.0.2.1:1")[0]
	w.See(r, nil)
	assert.Zero(t, testing.AllocsPerRun(100, func() { w.See(r, []clientip.Source{src}) }), "nor do the first ones cost memory")
	for range most {
		w.See(r, []clientip.Source{src})
	}
	assert.True(t, w.Begun())
	assert.True(t, w.done.Load())
	assert.Zero(t, testing.AllocsPerRun(100, func() { w.See(r, []clientip.Source{src}) }))
}
