package key

import (
	"encoding/json"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const long = "a name that is longer than a key"

func TestTextOfKeys(t *testing.T) {
	alice, mail := Text(User, "alice"), Text(User, "a")
	for want, k := range map[string]Key{
		"none":                   {},
		"missing":                Shared(),
		"addr:192.0.2.1":         Addr(netip.MustParseAddr("192.0.2.1"), 64),
		"addr:2001:db8::/64":     Addr(netip.MustParseAddr("2001:db8::1"), 64),
		"addr:2001:db8::1":       Addr(netip.MustParseAddr("2001:db8::1"), 128),
		"user:alice":             alice,
		"user:a:b":               Text(User, "a:b"),
		`user:"a b"`:             Text(User, "a b"),
		`user:"#1"`:              Text(User, "#1"),
		`user:"a+b"`:             Text(User, "a+b"),
		`user:"\n\u00e9\xff"`:    Text(User, "\né\xff"),
		"tenant:acme":            Pair("tenant", "acme"),
		`"user":acme`:            Pair("user", "acme"),
		`"a:b":c`:                Pair("a:b", "c"),
		`"":c`:                   Pair("", "c"),
		`pattern:"GET /"`:        Text(Pattern, "GET /"),
		"+user:alice":            Join(alice),
		"user:alice+user:a":      Join(alice, mail),
		"(user:a+user:a)+user:a": Join(Join(mail, mail), mail),
		"(+user:a)+user:a":       Join(Join(mail), mail),
		"+(+(+user:a))":          Join(Join(Join(mail))),
	} {
		assert.Equal(t, want, k.String())
		parsed, err := Parse(want)
		require.NoError(t, err, want)
		assert.Equal(t, k, parsed, want)
	}
}

func TestHashedKeysAreReadBack(t *testing.T) {
	for _, k := range []Key{
		Text(User, long), Hashed(Header, "X-Api-Key", "k"), Hashed(Cookie, "sid", strings.Repeat("k", 1000)),
		Pair("tenant", long), Text(Pattern, "GET /"+long), Join(Text(User, "alice in wonderland"), Text(User, "robert")),
	} {
		text := k.String()
		assert.Regexp(t, `^[a-z]+:#[0-9a-f]{44}$`, text)
		parsed, err := Parse(text)
		require.NoError(t, err)
		assert.Equal(t, k, parsed, text)
	}
	k, err := Parse("user:" + `"` + long + `"`)
	require.NoError(t, err)
	assert.Equal(t, Text(User, long), k, "the whole text is as good as its hash")
}

func TestMistakesInTextOfKeys(t *testing.T) {
	for text, want := range map[string]string{
		"":                                 `ratelimit: key "": want a kind and text, such as user:alice, addr:192.0.2.1 or tenant:acme`,
		"alice":                            `want a kind and text`,
		"user:":                            `nothing after the colon`,
		":x":                               `want a kind and text`,
		"user:a b":                         `"a b" needs quotes around it`,
		`user:"a`:                          `offset 5: a quote without an end`,
		`user:"a"b`:                        `"a"b is not quoted as in Go`,
		"user:#12":                         `want # and 44 hexadecimal digits`,
		"user:#" + strings.Repeat("g", 44): `want # and 44 hexadecimal digits`,
		"header:X":                         `a header key is a hash: want # and 44 digits`,
		"addr:1.2.3":                       `want an address, or an IPv6 prefix`,
		"addr:1.2.3.0/24":                  `want an address, or an IPv6 prefix`,
		"addr:2001:db8::1/64":              `want an address, or an IPv6 prefix`,
		"addr:2001::/16":                   `want an address without zone`,
		"addr:::ffff:1.2.3.4":              `want an address without zone, IPv4 in its own form`,
		"addr:fe80::1%eth0":                `want an address without zone`,
		"user:a+":                          `part 2: want a kind and text`,
		"user:a+none":                      `part 2: no key`,
		"(user:a":                          `")" is missing`,
		"user:a)":                          `offset 6: unexpected ")"`,
		strings.Repeat("(", 17):            `offset 16: unexpected "("`,
		strings.Repeat("x", 5000):          `5000 bytes: want at most 4096`,
	} {
		k, err := Parse(text)
		require.ErrorContains(t, err, want)
		assert.True(t, k.IsZero())
		assert.Less(t, len(err.Error()), 300)
	}
}

func TestKeysInJSONAndLogs(t *testing.T) {
	in := map[Key][]Key{Text(User, "alice"): {Pair("tenant", "acme"), {}}}
	b, err := json.Marshal(in)
	require.NoError(t, err)
	assert.JSONEq(t, `{"user:alice":["tenant:acme","none"]}`, string(b))
	var out map[Key][]Key
	require.NoError(t, json.Unmarshal(b, &out))
	assert.Equal(t, in, out)
	assert.Error(t, json.Unmarshal([]byte(`["alice"]`), &[]Key{}))

	var logged strings.Builder
	slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "key", Text(User, "a b"))
	assert.Contains(t, logged.String(), `key="user:\"a b\""`)
	assert.Equal(t, "kind99:x", (Key{head: 99 | 1<<8 | 'x'<<16}).String())
}

// FuzzParse checks that Parse reads what String prints, and that what it reads is printed so that
// it is read as the same key.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"user:alice", `"user":x+(+addr:::1)+missing`, "none", "tenant:#1", "(user:a+user:b)+user:c"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, text, other string) {
		if len(text)+len(other) > 128 {
			t.Skip()
		}
		keys := []Key{Text(User, text), Pair(text, other), Pair(other, text), Text(Pattern, other), Hashed(Header, text, other), Shared()}
		keys = append(keys, Join(keys[0], keys[1]), Join(keys[3]), Join(Join(keys[0]), keys[2]))
		if k, err := Parse(text); err == nil {
			keys = append(keys, k)
		}
		for _, k := range keys {
			got, err := Parse(k.String())
			require.NoError(t, err, "%q", k.String())
			require.Equal(t, k, got, "%q", k.String())
		}
	})
}
