package clientip_test

import (
	"bufio"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/clientip"
)

// proxy is the address of a peer that forwardedFor and forwarded trust.
const proxy = "10.0.0.1:1234"

func forwardedFor() clientip.Source {
	return clientip.ForwardedFor(clientip.TrustedProxies("10.0.0.0/8", "fd00::/8"))
}

func forwarded() clientip.Source {
	return clientip.Forwarded(clientip.TrustedProxies("10.0.0.0/8", "fd00::/8"))
}

// received returns a request with these header lines, as net/http reads it from a connection.
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

// addr returns the text of the address of the client.
func addr(t testing.TB, s clientip.Source, r *http.Request) string {
	t.Helper()
	a, err := s.Addr(r)
	require.NoError(t, err)
	return a.String()
}

// client returns the text of the prefix of the client, after it compares Client with Addr.
func client(t testing.TB, s clientip.Source, r *http.Request) string {
	t.Helper()
	p, err := s.Client(r)
	require.NoError(t, err)
	a, err := s.Addr(r)
	require.NoError(t, err)
	require.Equal(t, s.Prefix(a), p)
	require.True(t, p.Contains(a), "%v in %v", a, p)
	return p.String()
}

// clients returns the prefix of the client of each request.
func clients(t testing.TB, s clientip.Source, requests ...*http.Request) []string {
	t.Helper()
	all := make([]string, len(requests))
	for i, r := range requests {
		all[i] = client(t, s, r)
	}
	return all
}

// maxFuzz bounds the input of a fuzz target in bytes. Longer input finds no more, and go test takes
// up to a minute to shorten each input that does.
const maxFuzz = 128

var (
	bracketed  = regexp.MustCompile(`^\[(.*:.*)\]$`)
	quotedNode = regexp.MustCompile(`^"([^"\\]*)"$`)
	hiddenPort = regexp.MustCompile(`^(.+):_.*$`)
	nat64      = netip.MustParsePrefix("64:ff9b::/96")
)

// modelWalk is the model of every walk from right to left. The members are the entries of the field
// from left to right, "" for junk. It returns the zero Addr if there is no address.
func modelWalk(remote string, members []string, trusted func(a netip.Addr, hop int) bool) netip.Addr {
	peer := modelAddr(remote)
	unix := remote == "" || remote[0] == '@' || remote[0] == '/'
	if peer.IsValid() && !trusted(peer, 0) || !peer.IsValid() && !unix {
		return peer
	}
	last := peer
	for hop := 1; hop <= 64; hop++ {
		if len(members) < hop {
			return peer
		}
		addr := modelAddr(members[len(members)-hop])
		switch {
		case !addr.IsValid():
			return last
		case !trusted(addr, hop):
			return addr
		}
		last = addr
	}
	return last
}

// modelAddr reads an address, with its port if any.
func modelAddr(s string) netip.Addr {
	if m := bracketed.FindStringSubmatch(s); m != nil {
		s = m[1]
	}
	addr, err := netip.ParseAddr(s)
	if err != nil {
		ap, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}
		}
		addr = ap.Addr()
	}
	if b := addr.As16(); addr.Is4In6() || nat64.Contains(addr.WithZone("")) {
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return addr.WithZone("")
}

// byPrefix and byHops are the models of the Proxies that trustedForFuzz returns.
func byPrefix(a netip.Addr, _ int) bool {
	b := a.As16()
	return a.Is4() && b[12] == 10 || a.Is6() && b[0] == 0xfd
}

func byHops(_ netip.Addr, hop int) bool { return hop < 2 }

func trustedForFuzz() (prefixes, hops clientip.Proxies) {
	return clientip.TrustedProxies("10.0.0.0/8", "fd00::/8", "unix"), clientip.TrustedHops(2)
}

func requireAddr(t *testing.T, s clientip.Source, r *http.Request, want netip.Addr) {
	t.Helper()
	got, err := s.Addr(r)
	if !want.IsValid() {
		require.ErrorIs(t, err, clientip.ErrNoAddr)
		return
	}
	require.NoError(t, err)
	require.Equal(t, want, got)
}
