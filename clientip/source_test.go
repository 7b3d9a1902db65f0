package clientip_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/clientip"
)

func TestRemoteIsThePeer(t *testing.T) {
	for name, tc := range map[string]struct {
		remote string
		want   string
	}{
		"IPv4":    {remote: "203.0.113.7:1234", want: "203.0.113.7"},
		"IPv6":    {remote: "[2001:db8::7]:1234", want: "2001:db8::7"},
		"no port": {remote: "203.0.113.7", want: "203.0.113.7"},
	} {
		assert.Equal(t, tc.want, addr(t, clientip.Remote(), received(t, tc.remote)), name)
	}
}

// A client writes addresses into every field that might be read. Remote reads none of them.
func TestRemoteReadsNoHeader(t *testing.T) {
	unasked := []string{"X-Forwarded-For: 6.6.6.6", "Forwarded: for=6.6.6.6", "X-Real-IP: 6.6.6.6", "True-Client-IP: 6.6.6.6"}
	r := received(t, "203.0.113.7:1", unasked...)
	assert.Equal(t, "203.0.113.7/32", client(t, clientip.Remote(), r))
	assert.Equal(t, "203.0.113.7/32", client(t, clientip.Source{}, r))
}

func TestPeersWithoutAddress(t *testing.T) {
	for _, s := range []clientip.Source{{}, clientip.Remote(), forwardedFor(), forwarded()} {
		for _, remote := range []string{"@", "", "/run/service.sock", "@abstract", "nonsense", "203.0.113.7:x"} {
			r := received(t, remote, "X-Forwarded-For: 6.6.6.6", "Forwarded: for=6.6.6.6")
			_, err := s.Addr(r)
			require.ErrorIs(t, err, clientip.ErrNoAddr, remote)
			p, err := s.Client(r)
			require.ErrorIs(t, err, clientip.ErrNoAddr, remote)
			assert.Zero(t, p, remote)
		}
	}
}

func TestOnlyTheZeroSourceIsZero(t *testing.T) {
	assert.True(t, clientip.Source{}.IsZero())
	require.NoError(t, clientip.Source{}.Err())
	for name, s := range map[string]clientip.Source{
		"Remote":       clientip.Remote(),
		"IPv6Prefix":   clientip.Source{}.IPv6Prefix(64),
		"ForwardedFor": forwardedFor(),
		"Forwarded":    forwarded(),
		"Header":       clientip.Header("X-Real-IP", clientip.TrustedHops(1)),
	} {
		assert.False(t, s.IsZero(), name)
		require.NoError(t, s.Err(), name)
	}
	assert.False(t, clientip.Source{}.IPv6Prefix(0).IsZero(), "a mistake is a choice")
}

// One subscriber is one prefix, however its address is written.
func TestPrefix(t *testing.T) {
	for name, tc := range map[string]struct {
		source clientip.Source
		addr   string
		want   string
	}{
		"IPv4":             {addr: "192.0.2.1", want: "192.0.2.1/32"},
		"another IPv4":     {addr: "192.0.2.2", want: "192.0.2.2/32"},
		"IPv4-mapped":      {addr: "::ffff:192.0.2.1", want: "192.0.2.1/32"},
		"NAT64":            {addr: "64:ff9b::192.0.2.1", want: "192.0.2.1/32"},
		"IPv6":             {addr: "2001:db8::1", want: "2001:db8::/64"},
		"same /64, a zone": {addr: "2001:db8:0:0:ffff::2%eth0", want: "2001:db8::/64"},
		"another /64":      {addr: "2001:db8:0:1::1", want: "2001:db8:0:1::/64"},
		"wide":             {source: clientip.Remote().IPv6Prefix(52), addr: "2001:db8:0:ff00::1", want: "2001:db8:0:f000::/52"},
		"whole":            {source: clientip.Remote().IPv6Prefix(128), addr: "2001:db8::1", want: "2001:db8::1/128"},
		"widest":           {source: clientip.Remote().IPv6Prefix(32), addr: "2001:db8:ffff::1", want: "2001:db8::/32"},
		"zero Source":      {source: clientip.Source{}.IPv6Prefix(48), addr: "2001:db8:1:ffff::1", want: "2001:db8:1::/48"},
		"the last one holds": {
			source: clientip.Remote().IPv6Prefix(48).IPv6Prefix(56), addr: "2001:db8:0:ffff::1", want: "2001:db8:0:ff00::/56",
		},
		"IPv4 stays whole": {source: clientip.Remote().IPv6Prefix(32), addr: "::ffff:192.0.2.1", want: "192.0.2.1/32"},
	} {
		assert.Equal(t, netip.MustParsePrefix(tc.want), tc.source.Prefix(netip.MustParseAddr(tc.addr)), name)
	}
	assert.Zero(t, clientip.Remote().Prefix(netip.Addr{}))
	assert.Zero(t, clientip.Source{}.IPv6Prefix(48).Prefix(netip.Addr{}))
}

func TestIPv6PrefixKeepsTheProxies(t *testing.T) {
	s := clientip.ForwardedFor(clientip.TrustedProxies("10.0.0.0/8")).IPv6Prefix(48)
	p, err := s.Client(received(t, "10.0.0.1:1", "X-Forwarded-For: 2001:db8:1:2::3"))
	require.NoError(t, err)
	assert.Equal(t, s.Prefix(netip.MustParseAddr("2001:db8:1:ffff::")), p)
	assert.Equal(t, "2001:db8:1::/48", p.String())
}

// IPv4 clients arrive as IPv4-mapped IPv6 addresses, in either spelling. Each is one client and not
// a part of one /64, and prefixes of IPv4 proxies contain them.
func TestIPv4MappedAddressesAreIPv4(t *testing.T) {
	for _, remote := range []string{
		"[::ffff:203.0.113.7]:1", "[::ffff:cb00:7107]:1", "[0:0:0:0:0:FFFF:203.0.113.7]:1", "203.0.113.7:1",
	} {
		assert.Equal(t, "203.0.113.7/32", client(t, clientip.Remote(), received(t, remote)), remote)
	}
	assert.Equal(t, []string{"192.0.2.1/32", "192.0.2.2/32", "192.0.2.1/32"}, clients(t, clientip.Remote(),
		received(t, "[::ffff:192.0.2.1]:1"), received(t, "[::ffff:192.0.2.2]:1"), received(t, "192.0.2.1:1")))
	for _, peer := range []string{"[::ffff:10.0.0.1]:1", "[::ffff:a00:1]:1"} {
		r := received(t, peer, "X-Forwarded-For: 6.6.6.6, ::ffff:203.0.113.7, ::ffff:a00:2")
		assert.Equal(t, "203.0.113.7/32", client(t, forwardedFor(), r))
	}
	mappedRange := clientip.ForwardedFor(clientip.TrustedProxies("::ffff:10.0.0.0/104", "::ffff:192.168.0.1"))
	r := received(t, proxy, "X-Forwarded-For: 6.6.6.6, 203.0.113.7, 192.168.0.1")
	assert.Equal(t, "203.0.113.7/32", client(t, mappedRange, r), "a range written as mapped")
}

// IPv4 clients arrive through a NAT64. Each is the IPv4 client that it is and not a part of one
// /64.
func TestNAT64AddressesAreIPv4(t *testing.T) {
	assert.Equal(t, []string{"192.0.2.1/32", "192.0.2.2/32", "192.0.2.1/32", "192.0.2.2/32"}, clients(t, clientip.Remote(),
		received(t, "[64:ff9b::192.0.2.1]:1"), received(t, "[64:ff9b::192.0.2.2]:1"), received(t, "[64:ff9b::c000:201]:1"),
		received(t, "192.0.2.2:1")))
	beside := received(t, "[64:ff9b:0:1::c000:201]:1")
	assert.Equal(t, "64:ff9b:0:1::/64", client(t, clientip.Remote(), beside), "beside 64:ff9b::/96")
	r := received(t, "[64:ff9b::10.0.0.1]:1", "X-Forwarded-For: 203.0.113.7")
	assert.Equal(t, "203.0.113.7/32", client(t, forwardedFor(), r), "a proxy behind it")
}

// A subscriber takes a new address from its own /64 for each request, or a new /64 from its own
// /56. The first is one client. The second is one client for an IPv6Prefix of 56.
func TestRotatedIPv6AddressesAreOneClient(t *testing.T) {
	for i := range 5 {
		r := received(t, fmt.Sprintf("[2001:db8:0:42::%x:%x]:1", i, 7*i))
		assert.Equal(t, "2001:db8:0:42::/64", client(t, clientip.Remote(), r))
	}
	neighbor := received(t, "[2001:db8:0:43::1]:1")
	assert.Equal(t, "2001:db8:0:43::/64", client(t, clientip.Remote(), neighbor), "the neighbor")

	site := clientip.Remote().IPv6Prefix(56)
	for i := range 5 {
		r := received(t, fmt.Sprintf("[2001:db8:0:4%d::1]:1", i))
		assert.Equal(t, fmt.Sprintf("2001:db8:0:4%d::/64", i), client(t, clientip.Remote(), r))
		assert.Equal(t, "2001:db8::/56", client(t, site, r))
	}
}

// A client writes its one address in many ways, and stays one client.
func TestSpellingsOfOneAddressAreOneClient(t *testing.T) {
	for _, text := range []string{
		"2001:db8::7", "2001:DB8:0:0:0:0:0:7", "2001:0db8::0007", "2001:db8:0::7%eth0", "[2001:db8::7]", "[2001:db8::7]:443",
		"[2001:db8::7%1]:443", "2001:db8::0.0.0.7", " 2001:db8::7\t",
	} {
		r := received(t, proxy, "X-Forwarded-For: "+text)
		assert.Equal(t, "2001:db8::/64", client(t, forwardedFor(), r), text)
		assert.Equal(t, "2001:db8::7", addr(t, forwardedFor(), r), text)
	}
	for _, text := range []string{
		"203.0.113.7", "203.0.113.7:443", "::ffff:203.0.113.7", "[::ffff:cb00:7107]:443", "::ffff:203.0.113.7%x",
	} {
		assert.Equal(t, "203.0.113.7/32", client(t, forwardedFor(), received(t, proxy, "X-Forwarded-For: "+text)), text)
	}
}

// The proxy's address has a zone, which no prefix contains. It is still trusted. A client is not a
// new client in a new zone.
func TestZonesAreIgnored(t *testing.T) {
	s := clientip.ForwardedFor(clientip.TrustedProxies("fe80::/10", "fd00::1%eth0"))
	for _, peer := range []string{"[fe80::1%eth0]:1", "[fe80::1%lan.1]:1", "[fd00::1%eth1]:1", "[fd00::1]:1"} {
		r := received(t, peer, "X-Forwarded-For: 6.6.6.6, 203.0.113.7, fe80::2%eth0")
		assert.Equal(t, "203.0.113.7/32", client(t, s, r), peer)
	}
	assert.Equal(t, []string{"fe80::/64", "fe80::/64", "fe80::/64"}, clients(t, clientip.Remote(),
		received(t, "[fe80::1%a]:1"), received(t, "[fe80::1%b]:1"), received(t, "[fe80::1]:1")))
}

// Every mistake is in Err with what to write instead, and a Source with a mistake finds no address.
func TestMistakes(t *testing.T) {
	trusted := clientip.TrustedProxies("10.0.0.1")
	const (
		badName   = `: want a field name such as CF-Connecting-IP`
		badPrefix = ": want an address or a prefix such as 10.0.0.0/8"
		noProxies = ": want TrustedProxies with the proxies' prefixes, or TrustedHops"
		everybody = " trusts everybody, so every client could choose its address: want the proxies' own prefixes"
		tooShort  = ": an IPv4-mapped prefix shorter than 96 bits matches no IPv4 client: want "
	)
	for name, tc := range map[string]struct {
		source clientip.Source
		want   []string // without "clientip: "
	}{
		"bad header name": {clientip.Header("a b", trusted), []string{`header name "a b"` + badName}},
		"no header name":  {clientip.Header("", trusted), []string{`header name ""` + badName}},
		"a list": {clientip.Header("x-forwarded-for", trusted), []string{
			`Header("x-forwarded-for"): the field holds several addresses: want ForwardedFor`,
		}},
		"parameters": {clientip.Header("Forwarded", trusted), []string{
			`Header("Forwarded"): the field holds no plain address: want Forwarded`,
		}},
		"not in Request.Header": {clientip.Header("host", trusted), []string{
			`Header("host"): net/http does not keep it in Request.Header: want another field`,
		}},
		"two hops for one address": {clientip.Header("X-Ip", clientip.TrustedHops(2)), []string{
			"Header with TrustedHops(2): the field holds one address: want TrustedProxies or TrustedHops(1)",
		}},
		"no hops":       {clientip.ForwardedFor(clientip.TrustedHops(0)), []string{"TrustedHops(0): want 1 to 63"}},
		"too many hops": {clientip.ForwardedFor(clientip.TrustedHops(64)), []string{"TrustedHops(64): want 1 to 63"}},
		"nil function": {
			clientip.ForwardedFor(clientip.TrustedProxiesFunc(nil)), []string{"TrustedProxiesFunc(nil): want a function"},
		},
		"nil condition": {clientip.ForwardedFor(trusted.If(nil)), []string{"Proxies.If(nil): want a function"}},
		"zero Proxies":  {clientip.Forwarded(clientip.Proxies{}), []string{"no trusted proxies for Forwarded" + noProxies}},
		"no prefixes": {
			clientip.ForwardedFor(clientip.TrustedProxies()), []string{"no trusted proxies for X-Forwarded-For" + noProxies},
		},
		"bad prefixes": {clientip.ForwardedFor(clientip.TrustedProxies("10.0.0.0/x", "10.0.0.0/8", "proxy")), []string{
			`trusted proxy "10.0.0.0/x"` + badPrefix, `trusted proxy "proxy"` + badPrefix,
		}},
		"everybody": {clientip.ForwardedFor(clientip.TrustedProxies("0.0.0.0/0", "::/0", "::ffff:0:0/96")), []string{
			`trusted proxy "0.0.0.0/0"` + everybody, `trusted proxy "::/0"` + everybody, `trusted proxy "::ffff:0:0/96"` + everybody,
		}},
		"short IPv4-mapped prefix": {clientip.ForwardedFor(clientip.TrustedProxies("::ffff:10.0.0.0/8")), []string{
			`trusted proxy "::ffff:10.0.0.0/8"` + tooShort + "10.0.0.0/8",
		}},
		"IPv6 prefix too short": {clientip.Remote().IPv6Prefix(8), []string{"IPv6Prefix(8): want 32 to 128"}},
		"IPv6 prefix too long":  {clientip.Source{}.IPv6Prefix(129), []string{"IPv6Prefix(129): want 32 to 128"}},
		"several": {clientip.Header("a b", clientip.TrustedHops(0).If(nil)).IPv6Prefix(31), []string{
			"TrustedHops(0): want 1 to 63", "Proxies.If(nil): want a function", `header name "a b"` + badName,
			"IPv6Prefix(31): want 32 to 128",
		}},
	} {
		var joined interface{ Unwrap() []error }
		require.ErrorAs(t, tc.source.Err(), &joined, name)
		var got []string
		for _, err := range joined.Unwrap() {
			text, found := strings.CutPrefix(err.Error(), "clientip: ")
			assert.True(t, found, "%s: %v", name, err)
			got = append(got, text)
		}
		assert.Equal(t, tc.want, got, name)

		r := received(t, "10.0.0.1:1", "X-Forwarded-For: 6.6.6.6")
		_, err := tc.source.Addr(r)
		require.EqualError(t, err, tc.source.Err().Error(), name)
		p, err := tc.source.Client(r)
		require.EqualError(t, err, tc.source.Err().Error(), name)
		require.NotErrorIs(t, err, clientip.ErrNoAddr, name)
		assert.Zero(t, p, name)
	}
}

// A Source made from another one leaves it as it was.
func TestSourcesAreImmutable(t *testing.T) {
	wrong := clientip.ForwardedFor(clientip.TrustedHops(0))
	first, second := wrong.IPv6Prefix(1), wrong.IPv6Prefix(2)
	require.EqualError(t, wrong.Err(), "clientip: TrustedHops(0): want 1 to 63")
	require.EqualError(t, first.Err(), "clientip: TrustedHops(0): want 1 to 63\nclientip: IPv6Prefix(1): want 32 to 128")
	require.EqualError(t, second.Err(), "clientip: TrustedHops(0): want 1 to 63\nclientip: IPv6Prefix(2): want 32 to 128")

	right := clientip.Remote()
	_ = right.IPv6Prefix(1)
	require.NoError(t, right.Err())
	_ = right.IPv6Prefix(48)
	assert.Equal(t, "2001:db8::/64", right.Prefix(netip.MustParseAddr("2001:db8::1")).String())
}

// hotPath are requests whose address should cost nothing but time.
func hotPath(t testing.TB) []struct {
	name   string
	source clientip.Source
	r      *http.Request
} {
	t.Helper()
	return []struct {
		name   string
		source clientip.Source
		r      *http.Request
	}{
		{"peer IPv4", clientip.Remote(), received(t, "203.0.113.123:50123")},
		{"peer IPv6", clientip.Remote(), received(t, "[2001:db8::7]:50123")},
		{"X-Forwarded-For", forwardedFor(), received(t, proxy, "X-Forwarded-For: 6.6.6.6, 203.0.113.123")},
		{"X-Forwarded-For of IPv6", forwardedFor(), received(t, proxy, "X-Forwarded-For: 2001:db8::7, fd00::2")},
		{"Forwarded", forwarded(), received(t, proxy, `Forwarded: for="[2001:db8::7]:443";proto=https, for=10.0.0.2`)},
		{"Header", clientip.Header("X-Real-IP", clientip.TrustedHops(1)), received(t, proxy, "X-Real-IP: 203.0.113.123")},
		{"unix socket", clientip.ForwardedFor(clientip.TrustedProxies("unix")), received(t, "@", "X-Forwarded-For: 203.0.113.123")},
		{"no address", clientip.Remote(), received(t, "@")},
	}
}

func TestAddrAllocatesNothing(t *testing.T) {
	for _, tc := range hotPath(t) {
		assert.Zero(t, testing.AllocsPerRun(100, func() { _, _ = tc.source.Addr(tc.r) }), tc.name)
		assert.Zero(t, testing.AllocsPerRun(100, func() { _, _ = tc.source.Client(tc.r) }), tc.name)
	}
}

func BenchmarkAddr(b *testing.B) {
	for _, tc := range hotPath(b) {
		b.Run(tc.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = tc.source.Addr(tc.r)
			}
		})
	}
}

func BenchmarkClient(b *testing.B) {
	for _, tc := range hotPath(b) {
		b.Run(tc.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = tc.source.Client(tc.r)
			}
		})
	}
}

// Prefixes that match no address in use, or all of them, are mistakes in every form.
func TestPrefixesOfNobodyAndEverybody(t *testing.T) {
	halves := []string{"0.0.0.0/1", "128.0.0.0/1"}
	for _, prefixes := range [][]string{
		{"0.0.0.0/0"},
		{"::/0"},
		{"::ffff:0:0/96"},
		{"64:ff9b::/96"},
		halves,
		{"128.0.0.0/2", "0.0.0.0/1", "192.0.0.0/2"},
		{"2000::/3"},
		{"::/1", "8000::/1"},
		{"2000::/4", "3000::/4"},
		{"::/2"},
		{"::ffff:0:0/97", "::ffff:8000:0/97"},
		{"::ffff:0:0/95"},
		{"::ffff:0:0/81"},
		{"::ffff:10.0.0.0/8"},
		{"64:ff9b::/95"},
		{"64:ff9b::/64"},
		{"64:ff9b::a00:1/48"},
	} {
		assert.Error(t, clientip.ForwardedFor(clientip.TrustedProxies(prefixes...)).Err(), prefixes)
	}
	for _, none := range []string{"0.0.0.0", "::", "::ffff:0.0.0.0"} {
		assert.ErrorContains(t, clientip.ForwardedFor(clientip.TrustedProxies(none)).Err(), "is no address of a proxy", none)
	}
	for _, prefixes := range [][]string{
		{"0.0.0.0/1"},
		{"128.0.0.0/1", "0.0.0.0/2"},
		{"2000::/4"},
		{"fc00::/7", "fe80::/10", "10.0.0.0/8"},
		{"64:ff9b:1::/48"},
		{"64:ff9b::/97"},
		{"64:ff9b::10.0.0.1"},
		{"::1", "127.0.0.0/8"},
		{"64:ff9b::/32"},
	} {
		assert.NoError(t, clientip.ForwardedFor(clientip.TrustedProxies(prefixes...)).Err(), prefixes)
		_, err := clientip.NewSet(prefixes...)
		assert.NoError(t, err, prefixes)
	}
}
