package clientip

import (
	"math/rand/v2"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/testsize"
)

// parsePeer reads what it accepts as netip does, and accepts what net/http writes.
func TestPeerParserAgreesWithNetip(t *testing.T) {
	agree := func(s string) bool {
		b, ok := parsePeer(s)
		if ok {
			want, err := netip.ParseAddrPort(s)
			require.NoError(t, err)
			require.Equal(t, netip.AddrFrom4(b), want.Addr(), "%q", s)
		}
		return ok
	}
	for _, s := range []string{"0.0.0.0:0", "255.255.255.255:65535", "192.0.2.1:8080", "10.20.30.40:1"} {
		require.True(t, agree(s), "%q", s)
	}
	for _, s := range []string{
		"", ":", ":1", "1.2.3.4", "1.2.3.4:", "1.2.3:4", "1.2.3.4.5:6", "1.2.3.4:5:6", "1:2.3.4:5", "1..3.4:5", ".2.3.4:5",
		"256.2.3.4:5", "1.2.3.256:5", "1.2.3.999:5", "01.2.3.4:5", "1.2.3.00:5", "1.2.3.4:65536", "1.2.3.4:99999", "1.2.3.4:100000",
		"1.2.3.4:080", "1.2.3.4:-1", "1.2.3.4:x", "1.2.3.4 :5", " 1.2.3.4:5", "1.2.3.4:5 ", "1.2.3.4:5\n", "[::1]:5", "[1.2.3.4]:5",
		"::ffff:1.2.3.4", "1.2.3.4%eth0:5",
	} {
		require.False(t, agree(s), "%q", s)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range testsize.Of(100_000, 20_000) {
		addr := netip.AddrFrom4([4]byte{byte(rnd.Uint32()), byte(rnd.Uint32()), byte(rnd.Uint32()), byte(rnd.Uint32())})
		b := []byte(addr.String() + ":" + strconv.Itoa(rnd.IntN(1<<16)))
		require.True(t, agree(string(b)))
		b[rnd.IntN(len(b))] = "0123456789.:[]% x"[rnd.IntN(17)] // now it is wrong, or another address
		agree(string(b))
	}
}

// FuzzPeerAddress compares the client of a connection with what package netip reads.
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
		got, err := Remote().Client(&http.Request{RemoteAddr: remote})
		host, perr := netip.ParseAddrPort(remote)
		if perr != nil {
			inner := remote
			if strings.HasPrefix(remote, "[") && strings.HasSuffix(remote, "]") { // a single bracket may be part of a zone
				inner = remote[1:max(1, len(remote)-1)]
			}
			addr, aerr := netip.ParseAddr(inner)
			if aerr != nil {
				require.Error(t, err)
				return
			}
			host = netip.AddrPortFrom(addr, 0)
		}
		if err == nil { // text with brackets around IPv4 is not an address
			require.Equal(t, Remote().Prefix(host.Addr()), got)
		}
		if perr == nil {
			require.NoError(t, err)
		}
	})
}

// BenchmarkParsePeer compares parsePeer with the function that it replaces.
func BenchmarkParsePeer(b *testing.B) {
	const peer = "203.0.113.123:50123"
	b.Run("parsePeer", func(b *testing.B) {
		for b.Loop() {
			parsePeer(peer)
		}
	})
	b.Run("netip.ParseAddrPort", func(b *testing.B) {
		for b.Loop() {
			_, _ = netip.ParseAddrPort(peer)
		}
	})
}
