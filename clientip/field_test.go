package clientip_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/clientip"
)

// A client writes addresses of its own into X-Forwarded-For, and the proxies append the true one on
// the right. It stays one client, and it is no other client.
func TestSpoofedForwardedForIsIgnored(t *testing.T) {
	assert.Equal(t, []string{
		"203.0.113.7/32", "203.0.113.7/32", "203.0.113.7/32", "203.0.113.7/32", "6.6.6.6/32", "198.51.100.1/32",
	}, clients(t, forwardedFor(),
		received(t, proxy, "X-Forwarded-For: 6.6.6.6, 203.0.113.7"),
		received(t, proxy, "X-Forwarded-For: 6.6.6.7, 203.0.113.7, 10.0.0.2"),
		received(t, proxy, "X-Forwarded-For: 10.0.0.9, 203.0.113.7, 10.0.0.2, 10.0.0.3"),
		received(t, proxy, "X-Forwarded-For: 203.0.113.7"),
		received(t, proxy, "X-Forwarded-For: 6.6.6.6"),
		received(t, proxy, "X-Forwarded-For: 10.6.6.6, 198.51.100.1"),
	))
}

// A client sends a line of its own before the line of the proxy. All lines are one list.
func TestSpoofedFieldLinesAreIgnored(t *testing.T) {
	for want, lines := range map[string][]string{
		"203.0.113.7/32":  {"X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 203.0.113.7"},
		"203.0.113.8/32":  {"X-Forwarded-For: 6.6.6.6, 203.0.113.8", "x-forwarded-for: 10.0.0.3"},
		"203.0.113.9/32":  {"X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 10.0.0.3,10.0.0.2"},
		"10.0.0.3/32":     {"X-Forwarded-For: 6.6.6.6", "X-Forwarded-For:", "X-Forwarded-For: 10.0.0.3"},
		"203.0.113.10/32": {"Forwarded: for=6.6.6.6", "Forwarded: for=203.0.113.10", "Forwarded: for=10.0.0.3"},
		"203.0.113.11/32": {`Forwarded: for=6.6.6.6;by="`, "Forwarded: for=203.0.113.11"},
	} {
		s := forwardedFor()
		if strings.HasPrefix(lines[0], "Forwarded") {
			s = forwarded()
		}
		assert.Equal(t, want, client(t, s, received(t, proxy, lines...)))
	}
}

// A client reaches the service without the proxy and sends a forged chain. The client is the peer.
func TestHeadersOfUntrustedPeersAreIgnored(t *testing.T) {
	chain := []string{"X-Forwarded-For: 6.6.6.6, 10.0.0.2", "Forwarded: for=6.6.6.6, for=10.0.0.2", "CF-Connecting-IP: 6.6.6.6"}
	header := clientip.Header("CF-Connecting-IP", clientip.TrustedProxies("10.0.0.0/8"))
	for _, s := range []clientip.Source{forwardedFor(), forwarded(), header} {
		assert.Equal(t, "203.0.113.9/32", client(t, s, received(t, "203.0.113.9:1", chain...)))
	}
}

// A client spoils the field in use so that another field is read. No other field is read.
func TestSpoiledFieldIsNotReplacedByAnother(t *testing.T) {
	rest := []string{"X-Real-IP: 6.6.6.6", "Forwarded: for=6.6.6.6", "CF-Connecting-IP: 6.6.6.6", "True-Client-IP: 6.6.6.6"}
	for _, spoiled := range []string{"X-Forwarded-For: bad, 7.7.7.7x", "X-Forwarded-For:", "X-Forwarded-For: ,", "X-Other: 1"} {
		assert.Equal(t, "10.0.0.1/32", client(t, forwardedFor(), received(t, proxy, append(rest, spoiled)...)), spoiled)
	}
}

// A client ends its own text with junk, in the hope that junk is skipped. Junk ends the walk at the
// last address that a proxy reported.
func TestJunkIsNotSkipped(t *testing.T) {
	for _, junk := range []string{
		"junk", "", "unknown", "1.2.3", "1.2.3.4.5", "6.6.6.6 7.7.7.7", "6.6.6.6;", `"6.6.6.6"`, "6.6.6.6:99999", "[6.6.6.6]",
	} {
		behind := received(t, proxy, "X-Forwarded-For: 6.6.6.6, "+junk+", 10.0.0.2")
		assert.Equal(t, "10.0.0.2/32", client(t, forwardedFor(), behind), junk)
		assert.Equal(t, "10.0.0.1/32", client(t, forwardedFor(), received(t, proxy, "X-Forwarded-For: 6.6.6.6, "+junk)), junk)
	}
}

// A client writes IPv4 so that different software reads different addresses. Such text is junk.
func TestAmbiguousIPv4IsJunk(t *testing.T) {
	for _, text := range []string{
		"010.0.0.2", "203.0.113.07", "0xcb007107", "0xcb.0.0x71.7", "3405803783", "203.113", "203.0.113", "203.0.113.7.",
		"٢٠٣.0.113.7", "256.0.0.1",
	} {
		assert.Equal(t, "10.0.0.1/32", client(t, forwardedFor(), received(t, proxy, "X-Forwarded-For: 6.6.6.6, "+text)), text)
		assert.Equal(t, "10.0.0.1/32", client(t, forwarded(), received(t, proxy, "Forwarded: for=6.6.6.6, for="+text)), text)
	}
}

// A client sends a field with a single address. Only the named field is read, only from a trusted
// peer, and only with one address in one line.
func TestSingleAddressHeader(t *testing.T) {
	s := clientip.Header("cf-connecting-ip", clientip.TrustedProxies("10.0.0.0/8"))
	for want, lines := range map[string][]string{
		"203.0.113.7/32": {"CF-Connecting-IP:  203.0.113.7 ", "X-Real-IP: 6.6.6.6", "X-Forwarded-For: 6.6.6.6"},
		"203.0.113.8/32": {"Cf-CONNECTING-Ip: 203.0.113.8"},
	} {
		assert.Equal(t, want, client(t, s, received(t, proxy, lines...)))
		assert.Equal(t, "198.51.100.1/32", client(t, s, received(t, "198.51.100.1:1", lines...)), "not from a proxy")
	}
	for _, lines := range [][]string{
		{"CF-Connecting-IP: 6.6.6.6, 203.0.113.7"},
		{"CF-Connecting-IP: 6.6.6.6", "CF-Connecting-IP: 203.0.113.7"},
		{"CF-Connecting-IP: 6.6.6.6;"},
		{"CF-Connecting-IP:"},
		{"X-Real-IP: 6.6.6.6"},
	} {
		assert.Equal(t, "10.0.0.1/32", client(t, s, received(t, proxy, lines...)), lines)
	}
}

// A client names the field in Connection, so that a proxy removes it on the way. All such requests
// have the proxy as their client, so a limit for one client still applies to them.
func TestRemovedHeaderLeavesTheProxy(t *testing.T) {
	for _, s := range []clientip.Source{
		forwardedFor(), forwarded(), clientip.Header("X-Real-IP", clientip.TrustedHops(1)),
		clientip.ForwardedFor(clientip.TrustedHops(2)),
	} {
		r := received(t, proxy, "Connection: close, X-Real-IP, X-Forwarded-For, Forwarded")
		assert.Equal(t, "10.0.0.1/32", client(t, s, r))
	}
}

// A client sends a twin of the field, which other software takes for the field itself. Names are
// compared exactly, except for letter case.
func TestTwinsOfTheHeaderAreIgnored(t *testing.T) {
	for _, twin := range []string{
		"X_Forwarded_For", "X-Forwarded_For", "X.Forwarded.For", "X-Forwarded-For-", "XForwardedFor", "X-Forwarded",
	} {
		r := received(t, proxy, twin+": 6.6.6.6", "x-FORWARDED-for: 203.0.113.7", twin+": 6.6.6.6")
		assert.Equal(t, "203.0.113.7/32", client(t, forwardedFor(), r), twin)
		assert.Equal(t, "10.0.0.1/32", client(t, forwardedFor(), received(t, proxy, twin+": 6.6.6.6")), twin)
	}
}

// The walk ends after 64 addresses, however long the chain is.
func TestLongChains(t *testing.T) {
	for name, tc := range map[string]struct {
		chain string
		want  string
	}{
		"63 proxies":    {chain: "203.0.113.7" + strings.Repeat(",10.0.0.2", 63), want: "203.0.113.7"},
		"64 proxies":    {chain: "203.0.113.7" + strings.Repeat(",10.0.0.2", 64), want: "10.0.0.2"},
		"endless chain": {chain: strings.Repeat("10.0.0.2,", 10_000) + "10.0.0.2", want: "10.0.0.2"},
	} {
		assert.Equal(t, tc.want, addr(t, forwardedFor(), received(t, proxy, "X-Forwarded-For: "+tc.chain)), name)
	}
}

// A client inside a trusted network, or a client that writes private addresses, hopes for a chain
// of trusted proxies only. The client is then the peer, and no range is trusted that was not named.
func TestChainOfTrustedProxiesOnlyIsThePeer(t *testing.T) {
	for _, chain := range []string{"10.6.6.6", "10.6.6.6, 10.0.0.2", "10.6.6.6,10.6.6.7,10.0.0.1"} {
		assert.Equal(t, "10.0.0.1/32", client(t, forwardedFor(), received(t, proxy, "X-Forwarded-For: "+chain)), chain)
	}
	for _, peer := range []string{"127.0.0.1", "192.168.0.1", "172.16.0.1", "169.254.0.1", "100.64.0.1"} {
		r := received(t, peer+":1", "X-Forwarded-For: 6.6.6.6")
		assert.Equal(t, peer+"/32", client(t, forwardedFor(), r), "not named")
		r = received(t, proxy, "X-Forwarded-For: 6.6.6.6, "+peer)
		assert.Equal(t, peer+"/32", client(t, forwardedFor(), r), "not named")
	}
	assert.Equal(t, "::/64", client(t, forwardedFor(), received(t, "[::1]:1", "X-Forwarded-For: 6.6.6.6")))
}

// All clients arrive over a unix socket, where the peer has no address. The socket is trusted only
// if the user says so.
func TestUnixSocket(t *testing.T) {
	const none = "clientip: the request has no client address"
	for name, tc := range map[string]struct {
		source clientip.Source
		want   [3]string // for clients 1, 2 and 1 again
	}{
		"remote":    {clientip.Remote(), [3]string{none, none, none}},
		"not named": {forwardedFor(), [3]string{none, none, none}},
		"named unix": {
			clientip.ForwardedFor(clientip.TrustedProxies("unix")), [3]string{"203.0.113.1/32", "203.0.113.2/32", "203.0.113.1/32"},
		},
		"one hop": {
			clientip.ForwardedFor(clientip.TrustedHops(1)), [3]string{"203.0.113.1/32", "203.0.113.2/32", "203.0.113.1/32"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			do := serveUnix(t, tc.source)
			assert.Equal(t, tc.want, [3]string{do("203.0.113.1"), do("203.0.113.2"), do("203.0.113.1")})
		})
	}
}

// serveUnix starts a server on a unix socket. It returns a function that sends the server an
// address in X-Forwarded-For and returns the client that s finds, or its error.
func serveUnix(t *testing.T, s clientip.Source) func(forwardedFor string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", path)
	require.NoError(t, err)
	var found string
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if p, err := s.Client(r); err != nil {
			found = err.Error()
		} else {
			found = p.String()
		}
	}))
	require.NoError(t, server.Listener.Close())
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return func(forwardedFor string) string {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://api.example/", nil)
		require.NoError(t, err)
		r.Header.Set("X-Forwarded-For", forwardedFor)
		resp, err := transport.RoundTrip(r)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return found
	}
}

// FuzzForwardedFor compares ForwardedFor with modelWalk.
func FuzzForwardedFor(f *testing.F) {
	prefixes, hops := trustedForFuzz()
	f.Fuzz(func(t *testing.T, remote, header string) {
		if len(remote)+len(header) > maxFuzz {
			t.Skip()
		}
		lines := strings.Split(header, "\n")
		members := strings.Split(strings.Join(lines, ","), ",")
		for i, m := range members {
			members[i] = strings.Trim(m, " \t")
		}
		r := &http.Request{RemoteAddr: remote, Header: http.Header{"X-Forwarded-For": lines}}
		requireAddr(t, clientip.ForwardedFor(prefixes), r, modelWalk(remote, members, byPrefix))
		requireAddr(t, clientip.ForwardedFor(hops), r, modelWalk(remote, members, byHops))
	})
}
