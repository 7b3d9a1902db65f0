package key

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func addrKey(text string, bits int) Key { return Addr(netip.MustParseAddr(text), bits) }

func TestNetwork(t *testing.T) {
	v4, v6 := addrKey("192.0.2.1", 64), addrKey("2001:db8:1:2::1", 64)
	a := Text(User, "a")
	for _, tc := range []struct {
		name         string
		a, b         Key
		narrow, wide bool // whether they are equal
	}{
		{"one address", v4, v4, true, true},
		{"IPv4 of one /24", v4, addrKey("192.0.2.255", 64), true, true},
		{"IPv4 of one /16", v4, addrKey("192.0.3.1", 64), false, true},
		{"IPv4 of other networks", v4, addrKey("192.1.2.1", 64), false, false},
		{"IPv6 of one /48", v6, addrKey("2001:db8:1:ffff::1", 64), true, true},
		{"IPv6 of one /32", v6, addrKey("2001:db8:2:2::1", 64), false, true},
		{"IPv6 of other networks", v6, addrKey("2001:db9:1:2::1", 64), false, false},
		{"other bits of the key", v6, addrKey("2001:db8:1:3::1", 128), true, true},
		{"IPv6 by /48", v6, addrKey("2001:db8:1:2::1", 48), true, true},
		{"IPv6 by /32", addrKey("2001:db8:1::", 32), addrKey("2001:db8:2::", 32), true, true},
		{"the first addresses", addrKey("192.0.0.0", 64), addrKey("192.0.1.0", 64), false, true},
		{"the first IPv6", addrKey("2001:db8::", 64), addrKey("2001:db8:1::", 64), false, true},
		{"both versions", v4, addrKey("c000:201::", 64), false, false},
		{"an address and a user", v4, Join(a, addrKey("192.0.2.9", 64)), true, true},
		{"a user and an address", v6, Join(addrKey("2001:db8:1:9::1", 64), Text(User, "")), false, false},
		{"a user of one letter and an address", v6, Join(a, v6), true, true},
	} {
		narrow, wide, _ := Network(tc.a)
		narrow2, wide2, _ := Network(tc.b)
		assert.Equal(t, tc.narrow, narrow == narrow2, tc.name)
		assert.NotEqual(t, narrow, wide2, tc.name)
		assert.Equal(t, tc.wide, wide == wide2, tc.name)
	}
}

func TestKeysWithoutANetwork(t *testing.T) {
	for _, k := range []Key{
		{},
		Shared(), Text(User, "192.0.2.1"), Hashed(Header, "X", "192.0.2.1"), Join(Text(User, "a"), Text(User, "b")),
		Join(addrKey("192.0.2.1", 64), Text(User, strings.Repeat("a", 22))), Group(1), Pair("a", "b"),
	} {
		narrow, wide, ok := Network(k)
		assert.False(t, ok, "%v", k)
		assert.Zero(t, narrow)
		assert.Zero(t, wide)
	}
	assert.NotEqual(t, Group(1), Group(2))
	assert.True(t, Group(0).Valid())
}
