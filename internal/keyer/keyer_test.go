package keyer_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/clientip"
	"github.com/ratelimit-go/ratelimit/internal/key"
	"github.com/ratelimit-go/ratelimit/internal/keyer"
)

var forwarded = clientip.ForwardedFor(clientip.TrustedProxies("10.0.0.0/8"))

func TestKeys(t *testing.T) {
	matched := request("")
	matched.Pattern = "GET /items/{id}"
	for _, tc := range []row{
		{"user", byUser(), request("", "User", "alice"), user("alice")},
		{"no user", byUser(), request(""), key.Key{}},
		{"header", keyer.Header("X-Key"), request("", "X-Key", "v"), key.Hashed(key.Header, "X-Key", "v")},
		{"header in another case", keyer.Header("X-Key"), request("", "x-key", "v"), key.Hashed(key.Header, "X-Key", "v")},
		{"no header", keyer.Header("X-Key"), request(""), key.Key{}},
		{"empty header", keyer.Header("X-Key"), request("", "X-Key", ""), key.Key{}},
		{"two lines of a header", keyer.Header("X-Key"), request("", "X-Key", "v", "X-Key", "v"), key.Key{}},
		{"cookie", keyer.Cookie("sid"), request("", "Cookie", "other=1; sid=2"), key.Hashed(key.Cookie, "sid", "2")},
		{"cookie in another case", keyer.Cookie("sid"), request("", "Cookie", "SID=2"), key.Key{}},
		{"no cookie", keyer.Cookie("sid"), request(""), key.Key{}},
		{"empty cookie", keyer.Cookie("sid"), request("", "Cookie", "sid="), key.Key{}},
		{"two cookies", keyer.Cookie("sid"), request("", "Cookie", "sid=1; sid=1"), key.Key{}},
		{"pattern", keyer.Pattern{}, matched, key.Text(key.Pattern, "GET /items/{id}")},
		{"no pattern", keyer.Pattern{}, request(""), key.Key{}},
		{"global", tenant, request(""), key.Pair("tenant", "acme")},
		{"global without a name", keyer.Global{}, request(""), key.Key{}},
	} {
		tc.run(t)
	}
}

func TestKeysOfAddresses(t *testing.T) {
	short := keyer.Addr{Source: clientip.Remote().IPv6Prefix(48)}
	for _, tc := range []row{
		{"an IPv4 address", peer, request("192.0.2.1:80"), addr("192.0.2.1", 32)},
		{"an IPv4 address in IPv6 form", peer, request("[::ffff:192.0.2.1]:80"), addr("192.0.2.1", 32)},
		{"an IPv6 address", peer, request("[2001:db8:1:2::3]:80"), addr("2001:db8:1:2::", 64)},
		{"a neighbor", peer, request("[2001:db8:1:2:ffff::]:80"), addr("2001:db8:1:2::", 64)},
		{"a shorter prefix", short, request("[2001:db8:1:2::3]:80"), addr("2001:db8:1::", 48)},
		{"an IPv4 address has no prefix", short, request("192.0.2.1:80"), addr("192.0.2.1", 32)},
		{"the zero Source", keyer.Addr{}, request("10.0.0.1:80", "X-Forwarded-For", "203.0.113.7"), addr("10.0.0.1", 32)},
		{"a proxy", keyer.Addr{Source: forwarded}, request("10.0.0.1:80", "X-Forwarded-For", "203.0.113.7"), addr("203.0.113.7", 32)},
		{"a unix socket", peer, request("@"), key.Key{}},
	} {
		tc.run(t)
	}
}

// Without its function a Text reports an error instead of a panic.
func TestKeyOfATextWithoutFunction(t *testing.T) {
	got, err := keyer.Text{Name: "ByUser", Make: user}.Key(request(""))
	require.EqualError(t, err, "ratelimit: ByUser(nil)")
	assert.Zero(t, got)
}

// A request cannot cause the mistakes of a Source, so they are not a missing key.
func TestKeyOfASourceWithMistakes(t *testing.T) {
	src := clientip.ForwardedFor(clientip.TrustedHops(0))
	got, err := keyer.Addr{Source: src}.Key(request(""))
	require.EqualError(t, err, src.Err().Error())
	require.NotErrorIs(t, err, keyer.ErrNoKey)
	assert.Zero(t, got)
}

// Outside of a limiter there is no source, so ClientIP reports an error instead of guessing.
func TestKeyOfAnUnboundClientIP(t *testing.T) {
	for _, by := range []keyer.Keyer{
		keyer.ClientIP{},
		keyer.FirstOf([]keyer.Keyer{keyer.ClientIP{}, tenant}),
		keyer.AllOf([]keyer.Keyer{tenant, keyer.ClientIP{}}),
	} {
		got, err := by.Key(request(""))
		require.EqualError(t, err,
			"ratelimit: ByClientIP() outside of a Config or a decorator: want ByIP with a clientip.Source")
		require.NotErrorIs(t, err, keyer.ErrNoKey)
		assert.Zero(t, got)
	}
}

func TestBind(t *testing.T) {
	bound := keyer.Addr{Source: forwarded}
	for _, tc := range []struct {
		name    string
		by      keyer.Keyer
		want    keyer.Keyer
		changed bool
	}{
		{name: "nil", by: nil, want: bound},
		{name: "client address", by: keyer.ClientIP{}, want: bound},
		{name: "another address", by: peer, want: peer},
		{name: "the zero Source", by: keyer.Addr{}, want: keyer.Addr{}},
		{name: "global", by: tenant, want: tenant},
		{name: "header", by: keyer.Header("X-Key"), want: keyer.Header("X-Key")},
		{name: "cookie", by: keyer.Cookie("sid"), want: keyer.Cookie("sid")},
		{name: "pattern", by: keyer.Pattern{}, want: keyer.Pattern{}},
		{
			name: "in FirstOf",
			by:   keyer.FirstOf([]keyer.Keyer{keyer.ClientIP{}, tenant}),
			want: keyer.FirstOf([]keyer.Keyer{bound, tenant}),
		},
		{
			name: "in AllOf",
			by:   keyer.AllOf([]keyer.Keyer{tenant, keyer.ClientIP{}, peer}),
			want: keyer.AllOf([]keyer.Keyer{tenant, bound, peer}),
		},
		{
			name: "deep",
			by:   keyer.FirstOf([]keyer.Keyer{keyer.AllOf([]keyer.Keyer{keyer.FirstOf([]keyer.Keyer{keyer.ClientIP{}})})}),
			want: keyer.FirstOf([]keyer.Keyer{keyer.AllOf([]keyer.Keyer{keyer.FirstOf([]keyer.Keyer{bound})})}),
		},
		// A nil inside is a mistake. Bind leaves it there for Check to find.
		{
			name: "nil in FirstOf",
			by:   keyer.FirstOf([]keyer.Keyer{nil, keyer.ClientIP{}}),
			want: keyer.FirstOf([]keyer.Keyer{nil, bound}),
		},
		{name: "nil in AllOf", by: keyer.AllOf([]keyer.Keyer{nil}), want: keyer.AllOf([]keyer.Keyer{nil})},
	} {
		t.Run(tc.name, func(t *testing.T) { assert.Equal(t, tc.want, keyer.Bind(tc.by, forwarded)) })
	}
}

func TestBindKeepsFunctions(t *testing.T) {
	got, err := keyer.Bind(byUser(), forwarded).Key(request("", "User", "alice"))
	require.NoError(t, err)
	assert.Equal(t, user("alice"), got)
	_, err = keyer.Bind(broken, forwarded).Key(request(""))
	require.ErrorIs(t, err, errBroken)
}

// One Keyer can serve limiters with different sources.
func TestBindDoesNotChangeTheKeyer(t *testing.T) {
	for _, by := range []keyer.Keyer{
		keyer.FirstOf([]keyer.Keyer{keyer.ClientIP{}}), keyer.AllOf([]keyer.Keyer{keyer.ClientIP{}}),
	} {
		r := request("10.0.0.1:80", "X-Forwarded-For", "203.0.113.7")
		first, err := keyer.Bind(by, forwarded).Key(r)
		require.NoError(t, err)
		second, err := keyer.Bind(by, clientip.Remote()).Key(r)
		require.NoError(t, err)
		assert.Contains(t, first.String(), "addr:203.0.113.7")
		assert.Contains(t, second.String(), "addr:10.0.0.1")
		_, err = by.Key(r)
		require.ErrorContains(t, err, "outside of a Config")
	}
}

func TestCheck(t *testing.T) {
	const name = "want a name of letters, digits and hyphens"
	notKept := ": net/http does not keep it in Request.Header: want a KeyFunc"
	anyValue := ": a client can write another value for each request: want ByClientIP, and the proxies in Config.ClientIP"
	for _, tc := range []struct {
		name string
		by   keyer.Keyer
		want []string
	}{
		{"nil", nil, []string{"a nil Keyer: want for example ByClientIP()"}},
		{"nil function", keyFunc(nil), []string{"a nil KeyFunc: want a function"}},
		{"function", broken, nil},
		{"pointer", &struct{ keyer.Keyer }{}, nil},
		{"client address", keyer.ClientIP{}, nil},
		{"address", peer, nil},
		{"zero Source", keyer.Addr{}, nil},
		{
			"source with a mistake",
			keyer.Addr{Source: clientip.Remote().IPv6Prefix(8)},
			[]string{"clientip: IPv6Prefix(8): want 32 to 128"},
		},
		{
			"source with two mistakes",
			keyer.Addr{Source: clientip.Remote().IPv6Prefix(8).IPv6Prefix(129)},
			[]string{"clientip: IPv6Prefix(8): want 32 to 128", "clientip: IPv6Prefix(129): want 32 to 128"},
		},
		{"text", byUser(), nil},
		{"text without function", keyer.Text{Name: "ByUser"}, []string{"ByUser(nil): want a function"}},
		{"header", keyer.Header("X-Key"), nil},
		{"header of addresses", keyer.Header("X-Forwarded-For"), []string{`ByHeader("X-Forwarded-For")` + anyValue}},
		{"header of nodes", keyer.Header("Forwarded"), []string{`ByHeader("Forwarded")` + anyValue}},
		{"header of one address", keyer.Header("X-Real-Ip"), []string{`ByHeader("X-Real-Ip")` + anyValue}},
		{"header of a CDN", keyer.Header("Cf-Connecting-Ip"), []string{`ByHeader("Cf-Connecting-Ip")` + anyValue}},
		{"header without a name", keyer.Header(""), []string{`ByHeader(""): ` + name}},
		{"header with a space", keyer.Header("a b"), []string{`ByHeader("a b"): ` + name}},
		{"Host", keyer.Header("Host"), []string{`ByHeader("Host")` + notKept}},
		{"Transfer-Encoding", keyer.Header("Transfer-Encoding"), []string{`ByHeader("Transfer-Encoding")` + notKept}},
		{"Trailer", keyer.Header("Trailer"), []string{`ByHeader("Trailer")` + notKept}},
		{"cookie", keyer.Cookie("sid"), nil},
		{"cookie without a name", keyer.Cookie(""), []string{`ByCookie(""): ` + name}},
		{"cookie with an equals sign", keyer.Cookie("a=b"), []string{`ByCookie("a=b"): ` + name}},
		{"pattern", keyer.Pattern{}, nil},
		{"global", tenant, nil},
		{"global without a name", keyer.Global{}, []string{`Global(""): want a name, such as "everybody"`}},
	} {
		t.Run(tc.name, func(t *testing.T) { assert.Equal(t, tc.want, texts(keyer.Check(tc.by))) })
	}
}

func TestCountsAll(t *testing.T) {
	pattern := keyer.Keyer(keyer.Pattern{})
	for _, tc := range []struct {
		name string
		by   keyer.Keyer
		want bool
	}{
		{"nil", nil, false},
		{"client address", keyer.ClientIP{}, false},
		{"address", peer, false},
		{"user", byUser(), false},
		{"header", keyer.Header("X-Key"), false},
		{"cookie", keyer.Cookie("sid"), false},
		{"function", broken, false},
		{"global", tenant, true},
		{"pattern", pattern, true},
		{"global and pattern", keyer.AllOf([]keyer.Keyer{tenant, pattern}), true},
		{"deep", keyer.AllOf([]keyer.Keyer{keyer.AllOf([]keyer.Keyer{pattern}), tenant}), true},
		{"pattern and user", keyer.AllOf([]keyer.Keyer{pattern, byUser()}), false},
		{"user, deep", keyer.AllOf([]keyer.Keyer{tenant, keyer.AllOf([]keyer.Keyer{byUser()})}), false},
		{"user or global", keyer.FirstOf([]keyer.Keyer{byUser(), tenant}), false},
	} {
		t.Run(tc.name, func(t *testing.T) { assert.Equal(t, tc.want, keyer.CountsAll(tc.by)) })
	}
}

func TestIsClientIP(t *testing.T) {
	for _, tc := range []struct {
		name string
		by   keyer.Keyer
		want bool
	}{
		{"nil", nil, true},
		{"client address", keyer.ClientIP{}, true},
		{"the same source", keyer.Addr{Source: forwarded}, true},
		{"the same source with another prefix", keyer.Addr{Source: forwarded.IPv6Prefix(48)}, false},
		{"another source", peer, false},
		{"user", byUser(), false},
		{"one of several", keyer.AllOf([]keyer.Keyer{keyer.ClientIP{}}), false},
		{"global", tenant, false},
	} {
		t.Run(tc.name, func(t *testing.T) { assert.Equal(t, tc.want, keyer.IsClientIP(tc.by, forwarded)) })
	}
	for _, src := range []clientip.Source{{}, clientip.Remote()} {
		assert.True(t, keyer.IsClientIP(keyer.Bind(nil, src), src))
		assert.True(t, keyer.IsClientIP(keyer.Bind(keyer.ClientIP{}, src), src))
	}
}

// A field that differs in case or length from another one never has its key.
func TestHashedKeysKeepNamesApart(t *testing.T) {
	keys := map[key.Key]bool{}
	for _, by := range []keyer.Keyer{
		keyer.Header("Ab"), keyer.Header("A"), keyer.Cookie("Ab"), keyer.Cookie("A"), keyer.Cookie("ab"), keyer.Cookie("a"),
	} {
		for _, value := range []string{"c", "bc"} {
			r := request("", "Ab", value, "A", value)
			for _, name := range []string{"Ab", "A", "ab", "a"} {
				r.AddCookie(&http.Cookie{Name: name, Value: value})
			}
			got, err := by.Key(r)
			require.NoError(t, err)
			keys[got] = true
		}
	}
	assert.Len(t, keys, 12)
}
