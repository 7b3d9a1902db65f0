package clientip_test

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/clientip"
)

func TestSet(t *testing.T) {
	set, err := clientip.NewSet("10.0.0.0/8", "10.1.0.0/16", "192.0.2.1", "2001:db8::/32", "::ffff:198.51.100.0/120", "10.0.0.0/8")
	require.NoError(t, err)
	for addr, want := range map[string]bool{
		"10.0.0.0": true, "10.255.255.255": true, "11.0.0.0": false, "9.255.255.255": false, "192.0.2.1": true, "192.0.2.2": false,
		"198.51.100.7": true, "198.51.101.0": false, "2001:db8:1::1": true, "2001:db9::": false, "::": false,
	} {
		assert.Equal(t, want, set.Contains(netip.MustParseAddr(addr)), addr)
	}
	assert.False(t, clientip.Set{}.Contains(netip.MustParseAddr("10.0.0.1")), "the zero Set is empty")
	assert.False(t, set.Contains(netip.Addr{}), "no address")
}

// A Set agrees with looking at each of its prefixes.
func TestSetAgreesWithAllPrefixes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	addr := func() netip.Addr {
		return netip.AddrFrom4([4]byte{10, byte(rnd.IntN(4)), byte(rnd.IntN(4)), byte(rnd.IntN(256))})
	}
	for range 200 {
		var texts []string
		var prefixes []netip.Prefix
		for range rnd.IntN(12) {
			p := netip.PrefixFrom(addr(), 8+rnd.IntN(25)).Masked()
			texts, prefixes = append(texts, p.String()), append(prefixes, p)
		}
		set, err := clientip.NewSet(texts...)
		require.NoError(t, err)
		for range 50 {
			a, want := addr(), false
			for _, p := range prefixes {
				want = want || p.Contains(a)
			}
			require.Equal(t, want, set.Contains(a), "%v in %v", a, texts)
		}
	}
}

func TestSetMistakes(t *testing.T) {
	_, err := clientip.NewSet("10.0.0.0/8", "10.0.0.0/33", "example.com", "0.0.0.0/0", "::/0")
	require.ErrorContains(t, err, `clientip: prefix 1: "10.0.0.0/33"`)
	require.ErrorContains(t, err, `clientip: prefix 2: "example.com"`)
	require.ErrorContains(t, err, `clientip: prefix 3: "0.0.0.0/0" contains all clients: want prefixes of some`)
	require.ErrorContains(t, err, `clientip: prefix 4: "::/0" contains all clients`)
}

// Parts of all addresses that are written apart are all addresses too.
func TestSetOfEverybody(t *testing.T) {
	const want = "clientip: the prefixes together contain all clients: want prefixes of some"
	for _, texts := range [][]string{
		{"0.0.0.0/1", "128.0.0.0/1"},
		{"128.0.0.0/1", "192.0.2.0/24", "64.0.0.0/2", "0.0.0.0/2"},
		{"::/1", "8000::/1", "192.0.2.1"},
		{"::ffff:0.0.0.0/97", "::ffff:128.0.0.0/97"},
	} {
		_, err := clientip.NewSet(texts...)
		require.EqualError(t, err, want, texts)
	}
	_, err := clientip.NewSet("0.0.0.0/1", "128.0.0.0/2", "192.0.0.0/3", "::/1")
	require.NoError(t, err)
}

func TestSetAllocatesNothing(t *testing.T) {
	set, err := clientip.NewSet("10.0.0.0/8", "192.0.2.0/24")
	require.NoError(t, err)
	addr := netip.MustParseAddr("192.0.2.9")
	assert.Zero(t, testing.AllocsPerRun(100, func() { set.Contains(addr) }))
}
