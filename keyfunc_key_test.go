package ratelimit_test

import (
	"encoding/json"
	"iter"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/clientip"
)

// Different identities have different keys, for any text. A key is never longer than 24
// bytes.
func TestKeysAreDifferentAndShort(t *testing.T) {
	user, value, join := ratelimit.UserKey, ratelimit.ValueKey, ratelimit.JoinKeys
	long := strings.Repeat("x", 1_000_000)
	distinct := map[ratelimit.Key]string{}
	for name, k := range map[string]ratelimit.Key{
		"a+b": join(user("a"), user("b")), "ab": user("ab"), "b+a": join(user("b"), user("a")), "a:b+c": join(user("a:b"), user("c")),
		"a+b:c": join(user("a"), user("b:c")), "t/a": value("t", "a"), "t/": value("t", "/"), "user t": user("t"),
		"long": user(long), "longer": user(long + "x"), "value long": value("t", long), "value name": value(long, "t"),
		"nul": user("\x00"), "nuls": user("\x00\x00"), "braces": user("{a}"), "invalid": user("\xff"),
		"joined long": join(user(long), user("a")),
	} {
		assert.Empty(t, distinct[k], name)
		distinct[k] = name
		b, err := k.AppendBinary(nil)
		require.NoError(t, err)
		assert.LessOrEqual(t, len(b), 24)
	}
	assert.True(t, value("ta", "").IsZero())
	assert.True(t, user("").IsZero())
	assert.True(t, join().IsZero())
	assert.True(t, join(user("a"), ratelimit.Key{}).IsZero())
}

func TestKeyTexts(t *testing.T) {
	user := ratelimit.UserKey
	long := user(strings.Repeat("x", 1_000_000))
	for _, tc := range []struct {
		key  ratelimit.Key
		want string
	}{
		{user("alice"), "user:alice"},
		{user("a\nb"), `user:"a\nb"`},
		{ratelimit.ValueKey("t", "a"), "t:a"},
		{ratelimit.JoinKeys(user("a"), user("b")), "user:a+user:b"},
		{ratelimit.AddrKey(netip.MustParseAddr("2001:db8::1")), "addr:2001:db8::/64"},
		{ratelimit.AddrKey(netip.MustParseAddr("192.0.2.1")), "addr:192.0.2.1"},
	} {
		assert.Equal(t, tc.want, tc.key.String())
		parsed, err := ratelimit.ParseKey(tc.want)
		require.NoError(t, err, tc.want)
		assert.Equal(t, tc.key, parsed, tc.want)
		text, err := json.Marshal(tc.key)
		require.NoError(t, err)
		var read ratelimit.Key
		require.NoError(t, json.Unmarshal(text, &read))
		assert.Equal(t, tc.key, read, tc.want)
	}
	assert.Regexp(t, "^user:#[0-9a-f]{44}$", long.String())
	parsed, err := ratelimit.ParseKey(long.String())
	require.NoError(t, err)
	assert.Equal(t, long, parsed)
	assert.Equal(t, "none", ratelimit.Key{}.String())
	_, err = ratelimit.ParseKey("nonsense")
	require.Error(t, err)
}

// One subscriber has one key, however the address is written.
func TestAddrKey(t *testing.T) {
	key := func(s string) ratelimit.Key { return ratelimit.AddrKey(netip.MustParseAddr(s)) }
	assert.Equal(t, key("2001:db8::1"), key("2001:db8:0:0:ffff::2%eth0"))
	assert.NotEqual(t, key("2001:db8::1"), key("2001:db8:0:1::1"))
	assert.Equal(t, key("192.0.2.1"), key("::ffff:192.0.2.1"))
	assert.Equal(t, key("192.0.2.1"), key("64:ff9b::192.0.2.1"))
	assert.NotEqual(t, key("192.0.2.1"), key("192.0.2.2"))
	assert.NotEqual(t, key("192.0.2.1"), ratelimit.UserKey("192.0.2.1"))
	assert.True(t, ratelimit.AddrKey(netip.Addr{}).IsZero())
	by, r := ratelimit.ByIP(clientip.Remote()), request("203.0.113.7:54321")
	assert.Zero(t, testing.AllocsPerRun(100, func() { _, _ = by.Key(r) }))
}

func TestPrefixKey(t *testing.T) {
	wide, whole := clientip.Remote().IPv6Prefix(52), clientip.Remote().IPv6Prefix(128)
	addr := netip.MustParseAddr("2001:db8:0:ff00::1")
	assert.Equal(t, "addr:2001:db8:0:f000::/52", ratelimit.PrefixKey(wide.Prefix(addr)).String())
	assert.Equal(t, "addr:2001:db8:0:ff00::1", ratelimit.PrefixKey(whole.Prefix(addr)).String())
	assert.True(t, ratelimit.PrefixKey(netip.Prefix{}).IsZero())
	for _, src := range []clientip.Source{clientip.Remote(), wide, whole} {
		for _, remote := range []string{"192.0.2.1:1", "[2001:db8:0:ff00::1]:1"} {
			r := request(remote)
			prefix, err := src.Client(r)
			require.NoError(t, err)
			key, err := ratelimit.ByIP(src).Key(r)
			require.NoError(t, err)
			assert.Equal(t, ratelimit.PrefixKey(prefix), key, "a support desk finds the key of %s", remote)
		}
	}
}

// User "a:b" of tenant "c" has the parts of user "a" of tenant "b:c". No text within a part can
// look like the border between two parts.
func TestDelimitersInKeysSeparateNothing(t *testing.T) {
	h := limitedBy(t, "1 per hour", ratelimit.AllOf(ratelimit.ByUser(field("User")), ratelimit.ByUser(field("Tenant"))))
	for _, sep := range []string{":", "|", "/", ",", "+", ";", " ", "\x00", "\x02\x01", "\xff"} {
		first, second := with("User", "a"+sep+"b", "Tenant", "c"), with("User", "a", "Tenant", "b"+sep+"c")
		assert.Equal(t, []int{200, 200, 429, 429}, codes(h, first, second, first, second), "%q", sep)
	}
	long := strings.Repeat("x", 30)
	first, second := with("User", long+":b", "Tenant", "c"), with("User", long, "Tenant", "b:c")
	assert.Equal(t, []int{200, 200, 429, 429}, codes(h, first, second, first, second), "hashed")
}

// A user who registers as "192.0.2.1" spends no token of the anonymous client at that address, nor
// of the tenant or the API key of that name.
func TestKeysOfDifferentKindsAreDifferent(t *testing.T) {
	h := limitedBy(t, "1 per hour", ratelimit.FirstOf(
		ratelimit.ByUser(field("User")), ratelimit.ByValue("tenant", field("Tenant")), ratelimit.ByValue("user", field("Other")),
		ratelimit.ByHeader("X-Api-Key"), ratelimit.ByCookie("sid"), ratelimit.ByClientIP(),
	))
	const name = "192.0.2.1"
	for _, r := range []*http.Request{
		with("User", name), with("Tenant", name), with("Other", name), with("X-Api-Key", name), with("Cookie", "sid="+name), with(),
		with("User", "addr:"+name),
	} {
		assert.Equal(t, []int{200, 429}, codes(h, r, r), r.Header)
	}
}

// net/http accepts header fields of nearly a megabyte. Their keys are short, and still different.
func TestMegabyteKeys(t *testing.T) {
	memory := ratelimit.NewMemoryStore(ratelimit.MemoryConfig{})
	l := newLimiter(t, ratelimit.Config{Store: memory, Rules: []ratelimit.Rule{
		{Name: "header", Limits: ratelimit.MustParse("1 per hour"), Key: ratelimit.ByHeader("X-Api-Key")},
		{Name: "user", Limits: ratelimit.MustParse("1 per hour"), Key: ratelimit.ByUser(field("X-Api-Key"))},
	}})
	var keys []ratelimit.Key
	server := httptest.NewServer(l.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		for d := range ratelimit.Decisions(r.Context()) {
			keys = append(keys, d.Key)
		}
	})))
	defer server.Close()
	long := strings.Repeat("k", 1_000_000)
	var got []int
	for _, value := range []string{long, long + "1", long, long + "2"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		require.NoError(t, err)
		r.Header.Set("X-Api-Key", value)
		resp, err := server.Client().Do(r)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		got = append(got, resp.StatusCode)
	}
	assert.Equal(t, []int{200, 200, 429, 200}, got)
	assert.Equal(t, 6, memory.Stats().Keys)
	require.Len(t, keys, 6)
	for _, k := range keys {
		b, err := k.AppendBinary(nil)
		require.NoError(t, err)
		assert.LessOrEqual(t, len(b), 24)
		assert.LessOrEqual(t, len(k.String()), len("header:#")+44)
	}
}

// A client writes its credentials in several ways that authentication accepts. Counted by what
// authentication returned, it is one client.
func TestSpellingsOfOneCredentialAreOneUser(t *testing.T) {
	account := func(r *http.Request) string {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if strings.EqualFold(scheme, "bearer") && strings.TrimSpace(token) == "K" {
			return "alice"
		}
		return ""
	}
	aliases := []*http.Request{with("Authorization", "Bearer K"), with("Authorization", "bearer K"), with("Authorization", "BEARER   K ")}
	assert.Equal(t, []int{200, 429, 429}, codes(limitedBy(t, "1 per hour", ratelimit.ByUser(account)), aliases...))
	assert.Equal(t, []int{200, 200, 200}, codes(limitedBy(t, "1 per hour", ratelimit.ByHeader("Authorization")), aliases...),
		"the header field is not an account")
}

// Long names are hashed in keys, but people can read them where the operator allows it.
func TestLabels(t *testing.T) {
	const long = "alice.with.a.long.name@example.com"
	byUser := rule("user", "9 per minute")
	byUser.Key = ratelimit.FirstOf(ratelimit.ByUser(field("X-User")), ratelimit.ByClientIP())
	byValue := rule("value", "9 per minute")
	byValue.Key = ratelimit.ByValue("tenant", field("X-Tenant"))
	secret := rule("secret", "9 per minute")
	secret.Key = ratelimit.ByHeader("X-Api-Key")
	for _, labels := range []int{0, 10} {
		l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{byUser, byValue, secret}, Labels: labels})
		var keys []ratelimit.Key
		hooks := ratelimit.Hooks{Decided: func(_ *http.Request, _ ratelimit.Decision, ds iter.Seq[ratelimit.Decision]) {
			for d := range ds {
				keys = append(keys, d.Key)
			}
		}}
		defer l.Observe(hooks)()
		serve(l.Handler(ok), with("X-User", long, "X-Tenant", "a tenant with a long name", "X-Api-Key", long))
		require.Len(t, keys, 3)
		got := []string{l.Label(keys[0]), l.Label(keys[1]), l.Label(keys[2]), l.Label(ratelimit.UserKey("bob"))}
		want := []string{keys[0].String(), keys[1].String(), keys[2].String(), "user:bob"}
		if labels > 0 {
			want[0], want[1] = "user:"+long, `key:"a tenant with a long name"`
		}
		assert.Equal(t, want, got)
		assert.NotContains(t, keys[0].String(), "alice")
	}
}

// Any prefix of a network is the key of the network, also with bits of a host.
func TestPrefixKeyOfANetwork(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.7/24": "addr:192.0.2.0", "192.0.2.0/24": "addr:192.0.2.0", "192.0.2.7/32": "addr:192.0.2.7",
		"2001:db8:1:2:3::4/48": "addr:2001:db8:1::/48", "2001:db8:1::/48": "addr:2001:db8:1::/48",
	} {
		assert.Equal(t, want, ratelimit.PrefixKey(netip.MustParsePrefix(text)).String())
	}
	assert.True(t, ratelimit.PrefixKey(netip.Prefix{}).IsZero())
}
