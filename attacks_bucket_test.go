package ratelimit_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

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

// asked returns the names of the rules that a response tells about.
func asked(h http.Header) string {
	var names []string
	for _, m := range regexp.MustCompile(`"([^"]+)";r=`).FindAllStringSubmatch(h.Get("RateLimit"), -1) {
		names = append(names, m[1])
	}
	return strings.Join(names, " ")
}

func sameForAll(name, limits string) ratelimit.Rule {
	return ratelimit.Rule{Name: name, Limits: ratelimit.MustParse(limits), Key: ratelimit.Constant("all")}
}

// A client spells the path in many ways: each spelling that reaches the handler is counted under
// the route's one pattern, and every other one by the rule for everything.
func TestAttackB01PathSpelling(t *testing.T) {
	reached := false
	mux := http.NewServeMux()
	for _, pattern := range []string{"GET /login", "GET /item/{id}", "GET /tree/"} {
		mux.HandleFunc(pattern, func(http.ResponseWriter, *http.Request) { reached = true })
	}
	l := newLimiter(t, ratelimit.Config{
		Rules: []ratelimit.Rule{sameForAll("all", "1000 per hour")},
		Routes: map[string][]ratelimit.Rule{
			"GET /login": {sameForAll("login", "1000 per hour")}, "GET /item/{id}": {sameForAll("item", "1000 per hour")},
		},
	})
	server := httptest.NewServer(l.Handler(mux))
	defer server.Close()
	for _, row := range []struct {
		line    string
		code    int
		reached bool
		asked   string
	}{
		{"GET /login", 200, true, "all login"},
		{"HEAD /login", 200, true, "all login"},
		{"GET /login?again=1", 200, true, "all login"},
		{"GET /%6cogin", 200, true, "all login"},
		{"GET /%6C%6F%67%69%6E", 200, true, "all login"},
		{"GET http://other.example/login", 200, true, "all login"},
		{"GET /LOGIN", 404, false, "all"},
		{"GET /login/", 404, false, "all"},
		{"GET /login%2f", 404, false, "all"},
		{"GET /login;a=b", 404, false, "all"},
		{"GET /login%20", 404, false, "all"},
		{"GET /login%00", 404, false, "all"},
		{"GET //login", 307, false, "all login"},
		{"GET /./login", 307, false, "all login"},
		{"GET /x/../login", 307, false, "all login"},
		{"GET /tree/../login", 307, false, "all login"},
		{"GET /tree/%2e%2e/login", 200, true, "all"},
		{"GET /item/a", 200, true, "all item"},
		{"GET /item/a%2Fb", 200, true, "all item"},
		{"GET /item/%2e%2e%2Flogin", 200, true, "all item"},
		{"GET /item/a/b", 404, false, "all"},
		{"POST /login", 405, false, "all"},
		{"OPTIONS *", 200, false, ""}, // net/http answers this itself
		{"CONNECT //login", 404, false, "all"},
	} {
		reached = false
		resp := wire(t, server, row.line)
		got := []any{resp.StatusCode, reached, asked(resp.Header)}
		assert.Equal(t, []any{row.code, row.reached, row.asked}, got, row.line)
	}
}

// The same within the mux: a decorator that counts by pattern has one bucket for all spellings.
func TestAttackB01PathSpellingByPattern(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{})
	items := ratelimit.Rule{
		Name: "items", Limits: ratelimit.MustParse("3 per hour"), Key: ratelimit.Combine(ratelimit.ByPattern(), ratelimit.ByRemoteIP()),
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

// A client tries each code in /verify/{code}: all of them are one bucket.
func TestAttackB02FreePathSegment(t *testing.T) {
	n := 100_000
	if raceEnabled || testing.Short() {
		n = 10_000
	}
	store := ratelimit.NewMemoryStore(ratelimit.MemoryConfig{})
	l := newLimiter(t, ratelimit.Config{Store: store, Routes: map[string][]ratelimit.Rule{"GET /verify/{code}": {rule("verify", "5 per day")}}})
	h, admitted := l.Handler(ok), 0
	r := request("192.0.2.1:1")
	for i := range n {
		r.URL = &url.URL{Path: "/verify/" + strconv.Itoa(i)}
		if serve(h, r).Code == http.StatusOK {
			admitted++
		}
	}
	assert.Equal(t, 5, admitted)
	assert.Equal(t, 1, store.Stats().Keys)
}

// A client asks by HEAD, or another method the rule does not list, what is limited for GET: HEAD
// counts as GET, and the rule for everything is there for the rest.
func TestAttackB03HeadForGet(t *testing.T) {
	get := rule("get", "2 per hour")
	get.Methods = []string{"GET"}
	h := newLimiter(t, ratelimit.Config{
		Rules:  []ratelimit.Rule{rule("all", "9 per hour"), get},
		Routes: map[string][]ratelimit.Rule{"GET /x": {rule("x", "1 per hour")}},
	}).Handler(ok)
	for _, row := range []struct {
		method, path string
		code         int
		asked        string
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
		assert.Equal(t, []any{row.code, row.asked}, []any{w.Code, asked(w.Header())}, row.method+" "+row.path)
	}
}

// A client makes up methods, which reach every pattern without one: a route without a method
// counts them, and where rules list methods, the rule for everything does.
func TestAttackB04OddMethods(t *testing.T) {
	post := rule("post", "1 per hour")
	post.Methods = []string{"POST"}
	l := newLimiter(t, ratelimit.Config{
		Rules:  []ratelimit.Rule{rule("all", "7 per hour"), post},
		Routes: map[string][]ratelimit.Rule{"/login": {rule("login", "4 per hour")}},
	})
	server := httptest.NewServer(l.Handler(ok))
	defer server.Close()
	var got []string
	for _, line := range []string{"POST /login", "post /login", "FOO /login", "PoST /login", "get /login", "FOO /x", "post /x", "BAR /", "foo /x"} {
		resp := wire(t, server, line)
		got = append(got, fmt.Sprint(resp.StatusCode, " ", asked(resp.Header)))
	}
	assert.Equal(t, []string{
		"200 all post login", "200 all login", "200 all login", "200 all login", "429 all login", "200 all", "200 all", "200 all", "429 all",
	}, got)
}

// A client sends POST and overrides the method further in: a rule by method outside sees POST, so
// the limit belongs on the handler, which is reached in one way only.
func TestAttackB05MethodOverride(t *testing.T) {
	remove := rule("delete", "1 per hour")
	remove.Methods = []string{"DELETE"}
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{remove}})
	mux := http.NewServeMux()
	mux.Handle("DELETE /item", l.Limit("1 per hour", ratelimit.ByRemoteIP())(ok))
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
	assert.Equal(t, []any{200, "1 per hour"}, []any{w.Code, asked(w.Header())}, "the rule by method sees POST")
	assert.Equal(t, 429, serve(outside, overridden()).Code)
	assert.Equal(t, 429, serve(outside, httptest.NewRequest("DELETE", "/item", nil)).Code)
}

// The limiter wraps the mux, where no pattern is known yet: ByPattern has no identity there rather
// than a guess by path, and Routes find the pattern by themselves.
func TestAttackB06OutsideTheMux(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("GET /item/{id}", ok)
	outside := sameForAll("outside", "9 per hour")
	outside.Key, outside.Unidentified = ratelimit.ByPattern(), ratelimit.RefuseUnidentified
	assert.Equal(t, 403, serve(newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{outside}}).Handler(mux), httptest.NewRequest("GET", "/item/1", nil)).Code)

	l := newLimiter(t, ratelimit.Config{Routes: map[string][]ratelimit.Rule{"GET /item/{id}": {rule("item", "2 per hour")}}})
	h := l.Handler(mux)
	get := func(path string) *http.Request { return httptest.NewRequest("GET", path, nil) }
	assert.Equal(t, []int{200, 200, 429, 404}, codes(h, get("/item/1"), get("/item/2"), get("/item/3"), get("/none")))
}

// A client sends user=a&user=b in query and body, to be counted as one and served as the other: no
// key of this package reads a form, and the body reaches the handler whole.
func TestAttackB07ParameterPollution(t *testing.T) {
	by := []ratelimit.Keyer{
		ratelimit.ByRemoteIP(), forwardedFor(), forwarded(), ratelimit.ByIPHeader("X-Real-IP", ratelimit.TrustedHops(1)), ratelimit.ByHeader("X-Api-Key"),
		ratelimit.ByCookie("sid"), ratelimit.ByPattern(), ratelimit.Constant("c"), ratelimit.FirstOf(ratelimit.ByHeader("user"), ratelimit.ByRemoteIP()),
		ratelimit.Combine(ratelimit.ByRemoteIP(), ratelimit.Constant("c")),
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

// A client packs many operations into one request: the cost is that of the operations, counted
// before the handler, or by the handler as it finds them.
func TestAttackB08ManyRequestsInOne(t *testing.T) {
	batch := sameForAll("batch", "10 per hour")
	batch.Cost = func(r *http.Request) int64 { return int64(len(r.URL.Query()["op"])) }
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{batch}})
	ops := func(n int) *http.Request {
		return httptest.NewRequest("POST", "/?"+strings.Join(slices.Repeat([]string{"op=login"}, n), "&"), nil)
	}
	h := l.Handler(ok)
	assert.Equal(t, []int{200, 429, 200, 429, 429}, codes(h, ops(6), ops(5), ops(4), ops(1), ops(1000)))

	l = newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{sameForAll("query", "10 per hour")}})
	h = l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d, _ := ratelimit.DecisionFrom(r.Context())
		aliases := int64(len(r.URL.Query()["op"]))
		if d, err := l.Take(context.WithoutCancel(r.Context()), d.Rule, d.Key, aliases-1); err != nil || !d.Allowed {
			http.Error(w, "too many operations", http.StatusTooManyRequests)
		}
	}))
	assert.Equal(t, []int{200, 429, 200, 429}, codes(h, ops(6), ops(5), ops(3), ops(1)), "6, 1 of the refused one, 3")
}

// A client looks for a path that an exemption sweeps up: exemptions are patterns of their own, and
// exempt neither what begins alike nor another method.
func TestAttackB09ExemptPrefixes(t *testing.T) {
	h := newLimiter(t, ratelimit.Config{
		Rules: []ratelimit.Rule{sameForAll("all", "1000 per hour")}, ExemptRoutes: []string{"GET /auth/status", "/public/"},
		Routes: map[string][]ratelimit.Rule{"POST /auth/": {sameForAll("auth", "1000 per hour")}},
	}).Handler(ok)
	server := httptest.NewServer(h)
	defer server.Close()
	for line, want := range map[string]string{
		"GET /auth/status":           "",
		"HEAD /auth/status":          "",
		"GET /public/logo.png":       "",
		"POST /auth/status":          "all auth",
		"POST /auth/login":           "all auth",
		"GET /auth/login":            "all",
		"GET /auth/status/":          "all",
		"GET /auth/statusx":          "all",
		"POST /auth/status/../login": "all auth",
		"GET /public/../admin":       "all",
		"GET /publicity":             "all",
		"CONNECT /auth/status":       "all",
		"GET /%61uth/statu%73":       "",
	} {
		assert.Equal(t, want, asked(wire(t, server, line).Header), line)
	}
}
