package ratelimit_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/clientip"
)

// rulesIn returns the names of the rules that a response tells about.
func rulesIn(h http.Header) string {
	var names []string
	for _, m := range regexp.MustCompile(`"([^"]+)";r=`).FindAllStringSubmatch(h.Get("RateLimit"), -1) {
		names = append(names, m[1])
	}
	return strings.Join(names, " ")
}

// global returns a rule that counts all clients together.
func global(name, limits string) ratelimit.Rule {
	return ratelimit.Rule{Name: name, Limits: ratelimit.MustParse(limits), Key: ratelimit.Global("all")}
}

// wire sends one request line to a server, as no well-behaved client would write it.
func wire(t testing.TB, server *httptest.Server, line string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	_, err = io.WriteString(conn, line+" HTTP/1.1\r\nHost: api.example\r\nConnection: close\r\n\r\n")
	require.NoError(t, err)
	method, _, _ := strings.Cut(line, " ")
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp
}

// HEAD counts as GET. The rule for everything counts methods that no other rule lists.
func TestHeadCountsAsGet(t *testing.T) {
	get := rule("get", "2 per hour")
	get.Methods = []string{"GET"}
	h := newLimiter(t, ratelimit.Config{
		Rules:  []ratelimit.Rule{rule("all", "9 per hour"), get},
		Routes: map[string][]ratelimit.Rule{"GET /x": {rule("x", "1 per hour")}},
	}).Handler(ok)
	for _, row := range []struct {
		method, path string
		code         int
		rules        string
	}{
		{"HEAD", "/x", 200, "all get x"},
		{"GET", "/x", 429, "all get x"},
		{"HEAD", "/y", 200, "all get"},
		{"GET", "/y", 429, "all get"},
		{"POST", "/x", 200, "all"},
		{"OPTIONS", "/x", 200, "all"},
		{"TRACE", "/x", 200, "all"},
	} {
		w := serve(h, httptest.NewRequest(row.method, row.path, nil))
		assert.Equal(t, []any{row.code, row.rules}, []any{w.Code, rulesIn(w.Header())}, row.method+" "+row.path)
	}
}

// A client makes up methods. A route without a method counts them, and so does the rule for
// everything if rules list methods.
func TestInventedMethodsAreCounted(t *testing.T) {
	post := rule("post", "1 per hour")
	post.Methods = []string{"POST"}
	l := newLimiter(t, ratelimit.Config{
		Rules:  []ratelimit.Rule{rule("all", "7 per hour"), post},
		Routes: map[string][]ratelimit.Rule{"/login": {rule("login", "4 per hour")}},
	})
	server := httptest.NewServer(l.Handler(ok))
	defer server.Close()
	var got []string
	for _, line := range []string{
		"POST /login", "post /login", "FOO /login", "PoST /login", "get /login", "FOO /x", "post /x", "BAR /", "foo /x",
	} {
		resp := wire(t, server, line)
		got = append(got, fmt.Sprint(resp.StatusCode, " ", rulesIn(resp.Header)))
	}
	assert.Equal(t, []string{
		"200 all post login", "429 all post login", "200 all login", "429 all post login", "200 all login",
		"200 all", "429 all post", "200 all", "200 all",
	}, got)
}

// A client sends POST and an inner handler overrides the method. A rule by method around it applies
// too. It cannot see a method in a form, so the limit belongs on the handler that serves DELETE.
func TestOverriddenMethod(t *testing.T) {
	remove := rule("delete", "1 per hour")
	remove.Methods = []string{"DELETE"}
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{remove}})
	mux := http.NewServeMux()
	mux.Handle("DELETE /item", l.Limit("1 per hour", ratelimit.ByClientIP())(ok))
	override := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m := r.Header.Get("X-HTTP-Method-Override"); m != "" {
			r.Method = m
		}
		mux.ServeHTTP(w, r)
	})
	overridden := func() *http.Request {
		r := httptest.NewRequest("POST", "/item", nil)
		r.Header.Set("X-HTTP-Method-Override", "DELETE")
		return r
	}
	outside := l.Handler(override)
	w := serve(outside, overridden())
	assert.Equal(t, []any{200, "delete 1 per hour"}, []any{w.Code, rulesIn(w.Header())})
	assert.Equal(t, 429, serve(outside, overridden()).Code)
	assert.Equal(t, 429, serve(outside, httptest.NewRequest("DELETE", "/item", nil)).Code)
}

// A client packs many operations into one request. The rule can charge for them before the handler,
// or the handler when it has found them.
func TestManyOperationsInOneRequest(t *testing.T) {
	batch := global("batch", "10 per hour")
	batch.Cost = func(r *http.Request) int64 { return int64(len(r.URL.Query()["op"])) }
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{batch}})
	ops := func(n int) *http.Request {
		return httptest.NewRequest("POST", "/?"+strings.Join(slices.Repeat([]string{"op=login"}, n), "&"), nil)
	}
	h := l.Handler(ok)
	assert.Equal(t, []int{200, 429, 200, 429, 429}, codes(h, ops(6), ops(5), ops(4), ops(1), ops(1000)))

	l = newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{global("query", "10 per hour")}})
	h = l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d, _ := ratelimit.DecisionFrom(r.Context())
		aliases := int64(len(r.URL.Query()["op"]))
		if d, err := l.Take(context.WithoutCancel(r.Context()), d.Rule, d.Key, aliases-1); err != nil || !d.Allowed {
			http.Error(w, "too many operations", http.StatusTooManyRequests)
		}
	}))
	assert.Equal(t, []int{200, 429, 200, 429}, codes(h, ops(6), ops(5), ops(3), ops(1)), "6, 1 of the denied request, 3")
}

// An attacker types the name of a victim until the name is locked out. With a small limit for each
// name and address together, and a larger one for the name, its denials cost the victim nothing.
func TestTargetedLockout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account := ratelimit.ByUser(field("Account"))
		login := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{
			{Name: "account-from", Limits: ratelimit.MustParse("5 per minute"), Key: ratelimit.AllOf(account, ratelimit.ByClientIP())},
			{Name: "address", Limits: ratelimit.MustParse("20 per minute"), Key: ratelimit.ByClientIP()},
			{Name: "account", Limits: ratelimit.MustParse("100 per hour"), Key: account, OmitHeaders: true},
		}})
		h, allowed := login.Handler(ok), 0
		for range 1000 {
			if serve(h, request("6.6.6.6:1", "Account", "alice")).Code == http.StatusOK {
				allowed++
			}
		}
		assert.Equal(t, 5, allowed)
		assert.Equal(t, 200, serve(h, with("Account", "alice")).Code, "alice from her own address")
		d, err := login.Peek(t.Context(), "account", ratelimit.UserKey("alice"))
		require.NoError(t, err)
		assert.Equal(t, int64(94), d.Remaining, "100, less 5 of the attacker and 1 of alice")
		for i := range 1000 {
			if serve(h, request("6.6.6.6:1", "Account", fmt.Sprint("user", i))).Code == http.StatusOK {
				allowed++
			}
		}
		assert.Equal(t, 20, allowed, "one address gets no further with other names")
	})
}

// unixServer returns a function that sends a request for a client through a unix socket.
func unixServer(t *testing.T, h http.Handler) func(client string) int {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", path)
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(h)
	require.NoError(t, server.Listener.Close())
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
	transport := &http.Transport{DialContext: dial}
	t.Cleanup(transport.CloseIdleConnections)
	return func(client string) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://api.example/", nil)
		require.NoError(t, err)
		r.Header.Set("X-Forwarded-For", client)
		resp, err := transport.RoundTrip(r)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return resp.StatusCode
	}
}

// The peer of a unix socket has no address. It is a trusted proxy only if the Config says so.
// Otherwise its requests have no key.
func TestOnMissingKeyBehindAUnixSocket(t *testing.T) {
	for _, tc := range []struct {
		name   string
		source clientip.Source
		choice ratelimit.MissingKey
		want   [3]int // of clients 1, 2 and 1 again
	}{
		{"default", clientip.Source{}, "", [3]int{200, 429, 429}},
		{"share", clientip.Remote(), ratelimit.ShareKey, [3]int{200, 429, 429}},
		{"deny", clientip.Remote(), ratelimit.DenyRequest, [3]int{403, 403, 403}},
		{"skip", clientip.Remote(), ratelimit.SkipRule, [3]int{200, 200, 200}},
		{"not named", clientip.ForwardedFor(clientip.TrustedProxies("10.0.0.0/8", "fd00::/8")), ratelimit.ShareKey, [3]int{200, 429, 429}},
		{"named unix", clientip.ForwardedFor(clientip.TrustedProxies("unix")), ratelimit.ShareKey, [3]int{200, 200, 429}},
		{"one hop", clientip.ForwardedFor(clientip.TrustedHops(1)), ratelimit.ShareKey, [3]int{200, 200, 429}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := rule("r", "1 per hour")
			r.OnMissingKey = tc.choice
			do := unixServer(t, newLimiter(t, ratelimit.Config{ClientIP: tc.source, Rules: []ratelimit.Rule{r}}).Handler(ok))
			assert.Equal(t, tc.want, [3]int{do("203.0.113.1"), do("203.0.113.2"), do("203.0.113.1")})
			r.Key, r.OnMissingKey = ratelimit.ByIP(tc.source), tc.choice
			do = unixServer(t, newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{r}}).Handler(ok))
			assert.Equal(t, tc.want, [3]int{do("203.0.113.1"), do("203.0.113.2"), do("203.0.113.1")}, "by ByIP")
		})
	}
}

// A subscriber takes a new address from its own /64 for each request, or a new /64 from its own
// /56. A rule by /64 counts the first as one client. The second takes a rule by /56.
func TestRulesWithDifferentIPv6Prefixes(t *testing.T) {
	h := limitedBy(t, "3 per hour", nil)
	var got []int
	for i := range 5 {
		got = append(got, codes(h, request(fmt.Sprintf("[2001:db8:0:42::%x:%x]:1", i, 7*i)))...)
	}
	assert.Equal(t, []int{200, 200, 200, 429, 429}, got)
	assert.Equal(t, 200, serve(h, request("[2001:db8:0:43::1]:1")).Code, "the neighbor")

	tiers := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{
		rule("subscriber", "1 per hour"),
		{Name: "site", Limits: ratelimit.MustParse("3 per hour"), Key: ratelimit.ByIP(clientip.Remote().IPv6Prefix(56))},
	}}).Handler(ok)
	got = nil
	for i := range 5 {
		got = append(got, codes(tiers, request(fmt.Sprintf("[2001:db8:0:4%d::1]:1", i)))...)
	}
	assert.Equal(t, []int{200, 200, 200, 429, 429}, got)
	assert.Equal(t, 429, serve(tiers, request("[2001:db8:0:40::2]:1")).Code)
}

// A client writes addresses of its own into X-Forwarded-For. It stays one client, and no other
// client pays for it. Without the field the proxy itself is limited.
func TestForgedAddressesAreLimited(t *testing.T) {
	const proxy = "10.0.0.1:1234"
	source := clientip.ForwardedFor(clientip.TrustedProxies("10.0.0.0/8"))
	l := newLimiter(t, ratelimit.Config{ClientIP: source, Rules: []ratelimit.Rule{rule("r", "2 per hour")}})
	h := l.Handler(ok)
	assert.Equal(t, []int{200, 200, 429, 429, 200, 200}, codes(h,
		request(proxy, "X-Forwarded-For", "6.6.6.6, 203.0.113.7"),
		request(proxy, "X-Forwarded-For", "6.6.6.7, 203.0.113.7, 10.0.0.2"),
		request(proxy, "X-Forwarded-For", "10.0.0.9, 203.0.113.7, 10.0.0.2, 10.0.0.3"),
		request(proxy, "X-Forwarded-For", "203.0.113.7"),
		request(proxy, "X-Forwarded-For", "6.6.6.6"),
		request(proxy, "X-Forwarded-For", "10.6.6.6, 198.51.100.1"),
	))
	none := request(proxy, "Connection", "close, X-Real-IP, X-Forwarded-For, Forwarded")
	assert.Equal(t, []int{200, 200, 429, 429}, codes(h, none, none, none, none))
}

type plan struct{}

// LimitsFor is called with the context and the key wherever limits are looked up.
func TestLimitsFor(t *testing.T) {
	var keys []string
	limitsFor := func(ctx context.Context, key ratelimit.Key) ratelimit.Limits {
		keys = append(keys, key.String())
		if ctx.Value(plan{}) == "pro" {
			return ratelimit.Limits{ratelimit.Per(5, time.Hour)}
		}
		return nil
	}
	r := rule("r", "2 per hour")
	r.LimitsFor = limitsFor
	l := newLimiter(t, ratelimit.Config{
		Rules:   []ratelimit.Rule{r},
		Budgets: []ratelimit.Budget{{Name: "b", Limits: ratelimit.MustParse("2 per hour"), LimitsFor: limitsFor}},
	})
	free, pro := t.Context(), context.WithValue(t.Context(), plan{}, "pro")
	for _, name := range []string{"r", "b"} {
		for _, tc := range []struct {
			ctx  context.Context
			want int64
		}{{free, 2}, {pro, 5}} {
			d, err := l.Peek(tc.ctx, name, client())
			require.NoError(t, err)
			assert.Equal(t, tc.want, d.Limit.Count)
			d, err = l.Take(tc.ctx, name, client(), 0)
			require.NoError(t, err)
			assert.Equal(t, tc.want, d.Limit.Count)
			require.NoError(t, l.Wait(tc.ctx, name, client(), 0))
		}
	}
	assert.Equal(t, slices.Repeat([]string{"addr:192.0.2.1"}, 12), keys)
	keys = nil
	all := l.Explain(with().WithContext(pro))
	require.Len(t, all, 1)
	assert.Equal(t, int64(5), all[0].Limit.Count)
	w := serve(l.Handler(ok), with().WithContext(pro))
	assert.Equal(t, `"r";q=5;w=3600`, w.Header().Get("RateLimit-Policy"))
	assert.Len(t, keys, 2)
}

func TestBudgets(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{
		Rules:   []ratelimit.Rule{rule("all", "9 per hour")},
		Budgets: []ratelimit.Budget{{Name: "emails", Limits: ratelimit.MustParse("2 per hour")}},
	})
	h := l.Handler(ok)
	for range 3 {
		w := serve(h, with())
		assert.Equal(t, []any{200, "all"}, []any{w.Code, rulesIn(w.Header())})
	}
	assert.Len(t, l.Explain(with()), 1)
	assert.Equal(t, int64(2), remaining(t, l, "emails"), "no request meets a budget")
	alice := ratelimit.UserKey("alice")
	for _, want := range []bool{true, true, false} {
		d, err := l.Take(t.Context(), "emails", alice, 1)
		require.NoError(t, err)
		assert.Equal(t, []any{want, "emails"}, []any{d.Allowed, d.Rule})
	}
	var denied *ratelimit.DeniedError
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.ErrorAs(t, l.Wait(ctx, "emails", alice, 1), &denied)
	require.NoError(t, l.Refund(t.Context(), "emails", alice, 1))
	require.NoError(t, l.Wait(ctx, "emails", alice, 1))

	require.NoError(t, l.SetPolicy(ratelimit.Policy{Budgets: []ratelimit.Budget{{Name: "sms", Limits: ratelimit.MustParse("1 per hour")}}}))
	d, err := l.Take(t.Context(), "sms", alice, 1)
	require.NoError(t, err)
	assert.True(t, d.Allowed)
	require.NoError(t, l.SetPolicy(ratelimit.Policy{Budgets: []ratelimit.Budget{{Name: "sms", Limits: ratelimit.MustParse("3 per hour")}}}))
	d, err = l.Peek(t.Context(), "sms", alice)
	require.NoError(t, err)
	assert.Equal(t, int64(2), d.Remaining, "what was spent stays")
	_, err = l.Take(t.Context(), "emails", alice, 1)
	require.ErrorIs(t, err, ratelimit.ErrNoRule)
}

func TestNamesOfBudgetsAndRulesClash(t *testing.T) {
	budget := func(name string) ratelimit.Budget {
		return ratelimit.Budget{Name: name, Limits: ratelimit.MustParse("1 per hour")}
	}
	const clash = `"r" is the name of another rule`
	_, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{rule("r", "1/s")}, Budgets: []ratelimit.Budget{budget("r")}})
	require.ErrorContains(t, err, "ratelimit: Budgets[0].Name: "+clash)
	_, err = ratelimit.New(ratelimit.Config{
		Routes: map[string][]ratelimit.Rule{"/a": {rule("r", "1/s")}}, Budgets: []ratelimit.Budget{budget("b"), budget("r")},
	})
	require.ErrorContains(t, err, clash)
	_, err = ratelimit.New(ratelimit.Config{Budgets: []ratelimit.Budget{budget("r"), budget("r")}})
	require.ErrorContains(t, err, "ratelimit: Budgets[1].Name: "+clash)
	l := newLimiter(t, ratelimit.Config{Budgets: []ratelimit.Budget{budget("r")}})
	twice := ratelimit.Policy{Budgets: []ratelimit.Budget{budget("r"), budget("r"), {Name: "x"}}}
	require.ErrorContains(t, l.SetPolicy(twice), "ratelimit: Budgets[1].Name: "+clash)
	require.ErrorContains(t, l.SetPolicy(twice), "ratelimit: Budgets[2].Limits: no limits")
	_, err = l.Decorator(rule("r", "1/s"))
	require.ErrorContains(t, err, "ratelimit: With[0].Name: "+clash)
	require.NoError(t, l.SetPolicy(ratelimit.Policy{Budgets: []ratelimit.Budget{budget("x")}}), "nothing was replaced before")
}

// Each rule decides by its own OnMissingKey, also after rules with the same Key.
func TestRulesByOneKeyHaveTheirOwnOnMissingKey(t *testing.T) {
	for _, tc := range []struct {
		name          string
		first, second ratelimit.MissingKey
		want          []int
	}{
		{"share, deny", ratelimit.ShareKey, ratelimit.DenyRequest, []int{403, 403, 403}},
		{"share, skip", ratelimit.ShareKey, ratelimit.SkipRule, []int{200, 200, 429}},
		{"skip, share", ratelimit.SkipRule, ratelimit.ShareKey, []int{200, 429, 429}},
		{"skip, deny", ratelimit.SkipRule, ratelimit.DenyRequest, []int{403, 403, 403}},
		{"skip, skip", ratelimit.SkipRule, ratelimit.SkipRule, []int{200, 200, 200}},
		{"deny, share", ratelimit.DenyRequest, ratelimit.ShareKey, []int{403, 403, 403}},
		{"share, share", ratelimit.ShareKey, ratelimit.ShareKey, []int{200, 429, 429}},
	} {
		first, second := rule("first", "2 per hour"), rule("second", "1 per hour")
		first.OnMissingKey, second.OnMissingKey = tc.first, tc.second
		l := newLimiter(t, ratelimit.Config{
			Rules: []ratelimit.Rule{first}, Routes: map[string][]ratelimit.Rule{"/": {second}}, Hooks: unreported(),
		})
		assert.Equal(t, tc.want, codes(l.Handler(ok), request("@"), request("@"), request("@")), tc.name)
	}
}
