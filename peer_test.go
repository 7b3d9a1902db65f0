package ratelimit

import (
	"math/rand/v2"
	"net/netip"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// parsePeer reads what it accepts as netip does, and accepts what net/http writes.
func TestPeersAreReadAsAnyAddress(t *testing.T) {
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
		"1.2.3.4:080", "1.2.3.4:-1", "1.2.3.4:x", "1.2.3.4 :5", " 1.2.3.4:5", "1.2.3.4:5 ", "1.2.3.4:5\n", "[::1]:5", "[1.2.3.4]:5", "::ffff:1.2.3.4", "1.2.3.4%eth0:5",
	} {
		require.False(t, agree(s), "%q", s)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		addr := netip.AddrFrom4([4]byte{byte(rnd.Uint32()), byte(rnd.Uint32()), byte(rnd.Uint32()), byte(rnd.Uint32())})
		b := []byte(addr.String() + ":" + strconv.Itoa(rnd.IntN(1<<16)))
		require.True(t, agree(string(b)))
		b[rnd.IntN(len(b))] = "0123456789.:[]% x"[rnd.IntN(17)] // and one that is wrong, or another
		agree(string(b))
	}
}
