package clientip_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/clientip"
)

func TestCanonical(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.1":                  "192.0.2.1",
		"::ffff:192.0.2.1":           "192.0.2.1",
		"::ffff:c000:201%eth0":       "192.0.2.1",
		"64:ff9b::192.0.2.1":         "192.0.2.1",
		"64:ff9b::c000:201%eth0":     "192.0.2.1",
		"64:ff9b:0:1::c000:201":      "64:ff9b:0:1::c000:201",
		"64:ff9b:1::c000:201":        "64:ff9b:1::c000:201",
		"::192.0.2.1":                "::c000:201",
		"2001:db8::7":                "2001:db8::7",
		"fe80::1%eth0":               "fe80::1",
		"0:0:0:0:0:FFFF:203.0.113.7": "203.0.113.7",
	} {
		got := clientip.Canonical(netip.MustParseAddr(text))
		assert.Equal(t, netip.MustParseAddr(want), got, text)
		assert.Equal(t, got, clientip.Canonical(got), text)
	}
	assert.Equal(t, netip.Addr{}, clientip.Canonical(netip.Addr{}))
}

func TestParsePrefix(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.1":             "192.0.2.1/32",
		"10.1.2.3/8":            "10.0.0.0/8",
		"2001:db8::7":           "2001:db8::7/128",
		"2001:db8::7/32":        "2001:db8::/32",
		"fd00::1%eth0":          "fd00::1/128",
		"::ffff:192.168.0.1":    "192.168.0.1/32",
		"::ffff:10.1.2.3/104":   "10.0.0.0/8",
		"::ffff:192.0.2.1/128":  "192.0.2.1/32",
		"64:ff9b::10.0.0.0/104": "10.0.0.0/8",
		"64:ff9b::192.0.2.1":    "192.0.2.1/32",
		"64:ff9b:1::/48":        "64:ff9b:1::/48",
		"64:ff9b::/32":          "64:ff9b::/32",
		"::ffff:0:0/96":         "0.0.0.0/0",
		"0.0.0.0/0":             "0.0.0.0/0",
		"::/0":                  "::/0",
		"::ffff:1.2.3.4/0":      "::/0",
		"::/8":                  "::/8",
		"::/80":                 "::/80",
		"::/96":                 "::/96",
		"::1:0:0:0/95":          "::1:0:0:0/95",
	} {
		got, err := clientip.ParsePrefix(text)
		require.NoError(t, err, text)
		assert.Equal(t, netip.MustParsePrefix(want), got, text)
	}
}

func TestParsePrefixMistakes(t *testing.T) {
	const unreadable = ": want an address or a prefix such as 10.0.0.0/8"
	const tooShort = ": an IPv4-mapped prefix shorter than 96 bits matches no IPv4 client: want "
	for text, want := range map[string]string{
		"":                   `""` + unreadable,
		"example.com":        `"example.com"` + unreadable,
		"unix":               `"unix"` + unreadable,
		"10.0.0.0/33":        `"10.0.0.0/33"` + unreadable,
		"10.0.0.0/x":         `"10.0.0.0/x"` + unreadable,
		"10.0.0.0/":          `"10.0.0.0/"` + unreadable,
		"\n":                 `"\n"` + unreadable,
		"::ffff:10.1.2.3/8":  `"::ffff:10.1.2.3/8"` + tooShort + "10.0.0.0/8",
		"::ffff:10.0.0.1/32": `"::ffff:10.0.0.1/32"` + tooShort + "10.0.0.1/32",
		"::ffff:10.0.0.1/33": `"::ffff:10.0.0.1/33"` + tooShort + "an IPv4 prefix such as 10.0.0.0/8",
		"::ffff:0:0/95":      `"::ffff:0:0/95"` + tooShort + "an IPv4 prefix such as 10.0.0.0/8",
		"::fffe:0:0/95":      `"::fffe:0:0/95"` + tooShort + "an IPv4 prefix such as 10.0.0.0/8",
		"::8000:0:0/81":      `"::8000:0:0/81"` + tooShort + "an IPv4 prefix such as 10.0.0.0/8",
	} {
		got, err := clientip.ParsePrefix(text)
		require.EqualError(t, err, "clientip: "+want, text)
		assert.Zero(t, got, text)
	}
}
