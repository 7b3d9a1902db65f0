package ratelimit_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/ratelimit-go/ratelimit"
)

// A client spells a path in many ways. Each spelling that reaches the handler is counted under the
// one pattern of the route. The rule for everything counts all spellings.
func TestSpellingsOfAPath(t *testing.T) {
	reached := false
	mux := http.NewServeMux()
	for _, pattern := range []string{"GET /login", "GET /item/{id}", "GET /tree/"} {
		mux.HandleFunc(pattern, func(http.ResponseWriter, *http.Request) { reached = true })
	}
	l := newLimiter(t, ratelimit.Config{
		Rules: []ratelimit.Rule{global("all", "1000 per hour")},
		Routes: map[string][]ratelimit.Rule{
			"GET /login": {global("login", "1000 per hour")}, "GET /item/{id}": {global("item", "1000 per hour")},
		},
	})
	server := httptest.NewServer(l.Handler(mux))
	defer server.Close()
	for _, row := range []struct {
		line    string
		code    int
		reached bool
		rules   string
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
		got := []any{resp.StatusCode, reached, rulesIn(resp.Header)}
		assert.Equal(t, []any{row.code, row.reached, row.rules}, got, row.line)
	}
}

// A client tries each code in /verify/{code}. All codes share one bucket.
func TestWildcardsOfARouteShareOneBucket(t *testing.T) {
	n := 100_000
	if raceEnabled || testing.Short() {
		n = 10_000
	}
	memory := ratelimit.NewMemoryStore(ratelimit.MemoryConfig{})
	l := newLimiter(t, ratelimit.Config{
		Store: memory, Routes: map[string][]ratelimit.Rule{"GET /verify/{code}": {rule("verify", "5 per day")}},
	})
	h, allowed := l.Handler(ok), 0
	r := with()
	for i := range n {
		r.URL = &url.URL{Path: "/verify/" + strconv.Itoa(i)}
		if serve(h, r).Code == http.StatusOK {
			allowed++
		}
	}
	assert.Equal(t, 5, allowed)
	assert.Equal(t, 1, memory.Stats().Keys)
}

// Around a mux no pattern is known yet. ByPattern then has no key instead of a guess by path.
// Routes find the pattern by themselves.
func TestLimiterAroundAMux(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("GET /item/{id}", ok)
	outside := global("outside", "9 per hour")
	outside.Key, outside.OnMissingKey = ratelimit.ByPattern(), ratelimit.DenyRequest
	h := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{outside}}).Handler(mux)
	assert.Equal(t, 403, serve(h, at("/item/1")).Code)

	l := newLimiter(t, ratelimit.Config{Routes: map[string][]ratelimit.Rule{"GET /item/{id}": {rule("item", "2 per hour")}}})
	assert.Equal(t, []int{200, 200, 429, 404}, codes(l.Handler(mux), at("/item/1"), at("/item/2"), at("/item/3"), at("/none")))
}

// Exemptions are patterns of their own. They exempt neither a path that begins alike nor another
// method.
func TestExemptRoutesExemptNothingElse(t *testing.T) {
	h := newLimiter(t, ratelimit.Config{
		Rules: []ratelimit.Rule{global("all", "1000 per hour")}, ExemptRoutes: []string{"GET /auth/status", "/public/"},
		Routes: map[string][]ratelimit.Rule{"POST /auth/": {global("auth", "1000 per hour")}},
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
		assert.Equal(t, want, rulesIn(wire(t, server, line).Header), line)
	}
}
