package ratelimit_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/clientip"
)

// keyOf returns the text of the key by which a limiter with this Config counts r.
func keyOf(t testing.TB, cfg ratelimit.Config, r *http.Request) string {
	t.Helper()
	var key ratelimit.Key
	l := newLimiter(t, cfg)
	serve(l.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		d, _ := ratelimit.DecisionFrom(r.Context())
		key = d.Key
	})), r)
	return key.String()
}

// countedBy returns a Config with one rule.
func countedBy(by ratelimit.Keyer) ratelimit.Config {
	return ratelimit.Config{Rules: []ratelimit.Rule{{Name: "r", Limits: ratelimit.MustParse("9/s"), Key: by}}}
}

func TestKeyers(t *testing.T) {
	user, remote := ratelimit.ByUser(field("Id")), ratelimit.ByIP(clientip.Remote())
	for _, tc := range []struct {
		name string
		by   ratelimit.Keyer
		r    *http.Request
		want string // a prefix; empty for no key
	}{
		{"user", user, request("", "Id", "alice"), "user:alice"},
		{"no user", user, request(""), ""},
		{"value", ratelimit.ByValue("tenant", field("Id")), request("", "Id", "t1"), "tenant:t1"},
		{"no value", ratelimit.ByValue("tenant", field("Id")), request(""), ""},
		{"header", ratelimit.ByHeader("x-key"), request("", "X-Key", "v"), "header:#"},
		{"no header", ratelimit.ByHeader("x-key"), request(""), ""},
		{"empty header", ratelimit.ByHeader("x-key"), request("", "X-Key", ""), ""},
		{"two headers", ratelimit.ByHeader("X-Key"), request("", "X-Key", "v", "X-Key", "v"), ""},
		{"cookie", ratelimit.ByCookie("sid"), request("", "Cookie", "sid=1"), "cookie:#"},
		{"empty cookie", ratelimit.ByCookie("sid"), request("", "Cookie", "sid="), ""},
		{"two cookies", ratelimit.ByCookie("sid"), request("", "Cookie", "sid=1; sid=2"), ""},
		{"no pattern", ratelimit.ByPattern(), request(""), ""},
		{"global", ratelimit.Global("all"), request(""), "global:all"},
		{"function", ratelimit.KeyFunc(func(*http.Request) (ratelimit.Key, error) { return client(), nil }), request(""), "addr:192.0.2.1"},
		{"address", remote, request("192.0.2.1:1"), "addr:192.0.2.1"},
		{"unix socket", remote, request("@"), ""},
		{"first", ratelimit.FirstOf(user, remote), request("192.0.2.1:1"), "addr:192.0.2.1"},
		{"first of two", ratelimit.FirstOf(user, ratelimit.Global("all")), request("", "Id", "a"), "user:a"},
		{"first of none", ratelimit.FirstOf(user), request(""), ""},
		{"all", ratelimit.AllOf(user, remote), request("192.0.2.1:1", "Id", "a"), "user:a+addr:192.0.2.1"},
		{"all but one", ratelimit.AllOf(user, remote), request("192.0.2.1:1"), ""},
	} {
		key, err := tc.by.Key(tc.r)
		if tc.want == "" {
			require.ErrorIs(t, err, ratelimit.ErrNoKey, tc.name)
			assert.True(t, key.IsZero(), tc.name)
			continue
		}
		require.NoError(t, err, tc.name)
		assert.True(t, strings.HasPrefix(key.String(), tc.want), "%s: %s", tc.name, key)
	}
}

// FirstOf goes on after a missing key. Another error ends the search.
func TestFirstOfStopsAtAnError(t *testing.T) {
	broken := ratelimit.KeyFunc(func(*http.Request) (ratelimit.Key, error) { return ratelimit.Key{}, errors.New("broken") })
	zero := ratelimit.KeyFunc(func(*http.Request) (ratelimit.Key, error) { return ratelimit.Key{}, nil })
	remote := ratelimit.ByIP(clientip.Remote())
	_, err := ratelimit.FirstOf(broken, remote).Key(with())
	require.ErrorContains(t, err, "broken")
	key, err := ratelimit.FirstOf(zero, remote).Key(with())
	require.NoError(t, err)
	assert.Equal(t, client(), key)
	_, err = ratelimit.AllOf(remote, broken).Key(with())
	require.ErrorContains(t, err, "broken")
	_, err = ratelimit.AllOf(remote, zero).Key(with())
	require.ErrorIs(t, err, ratelimit.ErrNoKey)
}

// New finds every mistake in a Keyer. A Keyer with a mistake returns an error for every request.
func TestKeyerMistakes(t *testing.T) {
	trusted := clientip.TrustedProxies("10.0.0.1")
	for want, by := range map[string]ratelimit.Keyer{
		`"a b"`:                ratelimit.ByIP(clientip.Header("a b", trusted)),
		"holds one address":    ratelimit.ByIP(clientip.Header("X-Ip", clientip.TrustedHops(2))),
		"TrustedHops(0)":       ratelimit.ByIP(clientip.ForwardedFor(clientip.TrustedHops(0))),
		"TrustedProxiesFunc":   ratelimit.ByIP(clientip.ForwardedFor(clientip.TrustedProxiesFunc(nil))),
		"If(nil)":              ratelimit.ByIP(clientip.ForwardedFor(trusted.If(nil))),
		"no trusted proxies":   ratelimit.ByIP(clientip.Forwarded(clientip.Proxies{})),
		"TrustedProxies":       ratelimit.ByIP(clientip.ForwardedFor(clientip.TrustedProxies())),
		`"0.0.0.0/0"`:          ratelimit.ByIP(clientip.ForwardedFor(clientip.TrustedProxies("0.0.0.0/0", "::/0"))),
		"ByUser(nil)":          ratelimit.ByUser(nil),
		"ByValue(nil)":         ratelimit.ByValue("tenant", nil),
		`ByHeader("")`:         ratelimit.ByHeader(""),
		`ByHeader("Host")`:     ratelimit.ByHeader("host"),
		`ByCookie("a b")`:      ratelimit.ByCookie("a b"),
		`Global("")`:           ratelimit.Global(""),
		"a nil KeyFunc":        ratelimit.KeyFunc(nil),
		"FirstOf(): want":      ratelimit.FirstOf(),
		"AllOf, argument 1: a": ratelimit.AllOf(ratelimit.KeyFunc(nil)),
	} {
		_, err := ratelimit.New(countedBy(by))
		require.ErrorContains(t, err, want)
		var one *ratelimit.ConfigError
		require.ErrorAs(t, err, &one)
		assert.Equal(t, "Rules[0].Key", one.Field)
		require.Error(t, errors.Unwrap(one))
	}
	_, err := ratelimit.ByIP(clientip.Forwarded(clientip.Proxies{})).Key(with())
	require.Error(t, err)
	_, err = ratelimit.ByUser(nil).Key(with())
	require.Error(t, err)
}

func TestRulesUseTheClientIPOfTheConfig(t *testing.T) {
	forwarded := clientip.ForwardedFor(clientip.TrustedProxies("10.0.0.0/8"))
	realIP := clientip.Header("X-Real-IP", clientip.TrustedProxies("10.0.0.0/8"))
	r := request("10.0.0.1:1", "X-Forwarded-For", "2001:db8:1:2::3", "X-Real-IP", "203.0.113.9", "User", "alice")
	user, nobody := ratelimit.ByUser(field("User")), ratelimit.ByUser(field("Missing"))
	for _, tc := range []struct {
		name   string
		config clientip.Source
		by     ratelimit.Keyer
		want   string
	}{
		{"neither", clientip.Source{}, nil, "addr:10.0.0.1"},
		{"no key", forwarded, nil, "addr:2001:db8:1:2::/64"},
		{"another prefix", forwarded.IPv6Prefix(48), nil, "addr:2001:db8:1::/48"},
		{"ByClientIP", forwarded, ratelimit.ByClientIP(), "addr:2001:db8:1:2::/64"},
		{"in FirstOf", forwarded, ratelimit.FirstOf(nobody, ratelimit.ByClientIP()), "addr:2001:db8:1:2::/64"},
		{"in AllOf", realIP, ratelimit.AllOf(user, ratelimit.ByClientIP()), "user:alice+addr:203.0.113.9"},
		{
			"deep", realIP, ratelimit.FirstOf(ratelimit.AllOf(ratelimit.FirstOf(ratelimit.ByClientIP()), user)),
			"addr:203.0.113.9+user:alice",
		},
		{"ByIP of another source", forwarded, ratelimit.ByIP(realIP), "addr:203.0.113.9"},
		{"ByIP of the peer", forwarded, ratelimit.ByIP(clientip.Remote()), "addr:10.0.0.1"},
		{"ByIP of the zero Source", forwarded, ratelimit.ByIP(clientip.Source{}), "addr:10.0.0.1"},
		{"ByIP in AllOf", forwarded, ratelimit.AllOf(user, ratelimit.ByIP(realIP)), "user:alice+addr:203.0.113.9"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := countedBy(tc.by)
			cfg.ClientIP = tc.config
			assert.Equal(t, tc.want, keyOf(t, cfg, r))
			l := newLimiter(t, ratelimit.Config{ClientIP: tc.config})
			assert.Equal(t, tc.config, l.ClientIP())
			var d ratelimit.Decision
			decorated := l.With(cfg.Rules...)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				d, _ = ratelimit.DecisionFrom(r.Context())
			}))
			serve(decorated, r)
			assert.Equal(t, tc.want, d.Key.String(), "in a decorator")
		})
	}
}

// One Keyer can serve limiters with different sources.
func TestKeyersAreNotBoundToOneConfig(t *testing.T) {
	by := ratelimit.FirstOf(ratelimit.ByClientIP())
	behind := countedBy(by)
	behind.ClientIP = clientip.ForwardedFor(clientip.TrustedHops(1))
	assert.Equal(t, "addr:203.0.113.7", keyOf(t, behind, with("X-Forwarded-For", "203.0.113.7")))
	assert.Equal(t, "addr:192.0.2.1", keyOf(t, countedBy(by), with("X-Forwarded-For", "203.0.113.7")))
}

func TestMistakesInTheClientIPOfTheConfig(t *testing.T) {
	_, err := ratelimit.New(ratelimit.Config{ClientIP: clientip.ForwardedFor(clientip.TrustedProxies("nonsense")).IPv6Prefix(8)})
	require.ErrorContains(t, err, `ratelimit: ClientIP: clientip: `)
	require.ErrorContains(t, err, `"nonsense"`)
	require.ErrorContains(t, err, "IPv6Prefix(8)")
	var one *ratelimit.ConfigError
	require.ErrorAs(t, err, &one)
	assert.Equal(t, "ClientIP", one.Field)
}

// Outside of a Config there is no source, so ByClientIP reports an error instead of guessing.
func TestByClientIPOutsideOfAConfig(t *testing.T) {
	const want = "ByClientIP() outside of a Config or a decorator: want ByIP with a clientip.Source"
	for _, by := range []ratelimit.Keyer{
		ratelimit.ByClientIP(), ratelimit.FirstOf(ratelimit.ByClientIP()), ratelimit.AllOf(ratelimit.ByClientIP()),
	} {
		key, err := by.Key(with())
		require.ErrorContains(t, err, want)
		require.NotErrorIs(t, err, ratelimit.ErrNoKey)
		assert.True(t, key.IsZero())
	}
	var reported []string
	cfg := countedBy(ratelimit.KeyFunc(func(r *http.Request) (ratelimit.Key, error) { return ratelimit.ByClientIP().Key(r) }))
	cfg.Hooks.Error = func(_ context.Context, err error) { reported = append(reported, err.Error()) }
	assert.Equal(t, "missing", keyOf(t, cfg, with()))
	assert.Equal(t, []string{`ratelimit: rule "r": Key: ratelimit: ` + want}, reported)
}

// In Config.Routes, ByPattern counts by the pattern of the route, which was just matched.
func TestByPatternInRoutes(t *testing.T) {
	by := func(name string) []ratelimit.Rule {
		r := rule(name, "1 per hour")
		r.Key = ratelimit.AllOf(ratelimit.FirstOf(ratelimit.ByPattern()), ratelimit.ByClientIP())
		return []ratelimit.Rule{r}
	}
	var reported []string
	cfg := ratelimit.Config{Routes: map[string][]ratelimit.Rule{"GET /items/{id}": by("items"), "/other/": by("other")}}
	cfg.Hooks.Error = func(_ context.Context, err error) { reported = append(reported, err.Error()) }
	h := newLimiter(t, cfg).Handler(ok)
	from := func(addr, path string) *http.Request {
		r := httptest.NewRequest("GET", path, nil)
		r.RemoteAddr = addr
		return r
	}
	assert.Equal(t, []int{200, 429, 200, 200, 429}, codes(h, from("192.0.2.1:1", "/items/1"), from("192.0.2.1:1", "/items/2"),
		from("192.0.2.2:1", "/items/1"), from("192.0.2.1:1", "/other/1"), from("192.0.2.1:1", "/other/2")))
	d, err := newLimiter(t, cfg).Peek(t.Context(), "items", ratelimit.UserKey("any"))
	assert.NoError(t, err)
	assert.Equal(t, "items", d.Rule)
	assert.Empty(t, reported)

	cfg.Routes, cfg.Rules = nil, by("around")
	h = newLimiter(t, cfg).Handler(ok)
	assert.Equal(t, []int{200, 429, 429}, codes(h, from("192.0.2.1:1", "/"), from("192.0.2.2:1", "/"), from("192.0.2.3:1", "/")))
	assert.Equal(t, []string{`ratelimit: rule "around": ByPattern: no http.ServeMux has matched the request yet: ` +
		`put the rule into Routes, or wrap the handlers inside the mux`}, reported, "once")
}

// Inside a mux, ByPattern has one bucket for all spellings of a path.
func TestByPatternInsideAMux(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{})
	items := ratelimit.Rule{
		Name: "items", Limits: ratelimit.MustParse("3 per hour"), Key: ratelimit.AllOf(ratelimit.ByPattern(), ratelimit.ByClientIP()),
	}
	mux := http.NewServeMux()
	mux.Handle("GET /item/{id}", l.With(items)(ok))
	server := httptest.NewServer(mux)
	defer server.Close()
	var got []int
	for _, line := range []string{"GET /item/a", "GET /item/%61", "HEAD /item/a%2Fb", "GET /item/other", "GET http://x.example/item/a"} {
		got = append(got, wire(t, server, line).StatusCode)
	}
	assert.Equal(t, []int{200, 200, 200, 429, 429}, got)
}

// A client sends user=a&user=b in query and body, to be counted as one user and served as the
// other. No Keyer of this package reads a form, and the body reaches the handler whole.
func TestKeyersReadNoForm(t *testing.T) {
	proxies := clientip.TrustedProxies("10.0.0.0/8", "fd00::/8")
	by := []ratelimit.Keyer{
		ratelimit.ByClientIP(), ratelimit.ByIP(clientip.ForwardedFor(proxies)), ratelimit.ByIP(clientip.Forwarded(proxies)),
		ratelimit.ByIP(clientip.Header("X-Real-IP", clientip.TrustedHops(1))), ratelimit.ByHeader("X-Api-Key"),
		ratelimit.ByCookie("sid"), ratelimit.ByPattern(), ratelimit.Global("c"),
		ratelimit.FirstOf(ratelimit.ByHeader("user"), ratelimit.ByClientIP()),
		ratelimit.AllOf(ratelimit.ByClientIP(), ratelimit.Global("c")),
	}
	var rules []ratelimit.Rule
	for i, k := range by {
		rules = append(rules, ratelimit.Rule{Name: strconv.Itoa(i), Limits: ratelimit.MustParse("2 per hour"), Key: k})
	}
	h := newLimiter(t, ratelimit.Config{Rules: rules}).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		assert.Nil(t, r.Form)
		assert.Nil(t, r.PostForm)
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		assert.Equal(t, "user=c&user=d", string(body))
	}))
	post := func(query string) *http.Request {
		r := httptest.NewRequest("POST", "/?"+query, strings.NewReader("user=c&user=d"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return r
	}
	assert.Equal(t, []int{200, 200, 429}, codes(h, post("user=a&user=b"), post("user=b&user=a"), post("user=e")))
}

// A KeyFunc of docs/abuse.md asks a Source itself. On a unix socket it finds no address. That is no
// error, and FirstOf goes on to the next key.
func TestKeyFuncWithoutAnAddress(t *testing.T) {
	var errs []error
	network := ratelimit.KeyFunc(func(r *http.Request) (ratelimit.Key, error) {
		addr, err := clientip.Remote().Addr(r)
		return ratelimit.AddrKey(addr), err
	})
	skips := rule("skips", "1 per hour")
	skips.Key, skips.OnMissingKey = network, ratelimit.SkipRule
	first := rule("first", "2 per hour")
	first.Key = ratelimit.FirstOf(network, ratelimit.ByUser(field("User")))
	h := newLimiter(t, ratelimit.Config{
		ClientIP: clientip.ForwardedFor(clientip.TrustedProxies("unix")), Rules: []ratelimit.Rule{skips, first},
		Hooks: ratelimit.Hooks{Error: func(_ context.Context, err error) { errs = append(errs, err) }},
	}).Handler(ok)
	alice, bob := request("@", "User", "alice"), request("@", "User", "bob")
	assert.Equal(t, []int{200, 200, 429, 200}, codes(h, alice, alice, alice, bob))
	assert.Empty(t, errs)
}
