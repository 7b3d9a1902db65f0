package ratelimit_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/testsize"
)

// A client spells a path in many ways. Each spelling that reaches the handler here, or that would
// reach it behind another router, is counted under the one pattern of the route. The rule for
// everything counts all spellings.
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
		{"GET /LOGIN", 404, false, "all login"},
		{"GET /login/", 404, false, "all login"},
		{"GET /login%2f", 404, false, "all login"},
		{"GET /login;a=b", 404, false, "all login"},
		{"GET /login%20", 404, false, "all login"},
		{"GET /login%00", 404, false, "all login"},
		{"GET //login", 307, false, "all login"},
		{"GET //x.example/login", 307, false, "all login"},
		{"GET ///x.example:80/login", 307, false, "all login"},
		{"GET /\\x.example/login", 404, false, "all login"},
		{"GET /login/index.php", 404, false, "all login"},
		{"GET /login/Default.aspx/", 404, false, "all login"},
		{"GET /login/indexes", 404, false, "all"},
		{"GET /./login", 307, false, "all login"},
		{"GET /x/../login", 307, false, "all login"},
		{"GET /tree/../login", 307, false, "all login"},
		{"GET /tree/%2e%2e/login", 200, true, "all login"},
		{"GET /item/a", 200, true, "all item"},
		{"GET /item/a%2Fb", 200, true, "all item"},
		{"GET /item/%2e%2e%2Flogin", 200, true, "all item login"},
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
	n := testsize.Of(100_000, 10_000)
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
		"GET /%61uth/statu%73":       "all",
	} {
		assert.Equal(t, want, rulesIn(wire(t, server, line).Header), line)
	}
}

// Servers behind the limiter read a request in many ways. No spelling is exempt, or evades the
// limits of the route that it reaches.
func TestDoubtfulRequestsAreLimited(t *testing.T) {
	h := newLimiter(t, ratelimit.Config{
		Rules: []ratelimit.Rule{global("all", "1000 per hour")},
		Routes: map[string][]ratelimit.Rule{
			"POST /login": {global("login", "1000 per hour")}, "DELETE api.example.com/item": {global("item", "1000 per hour")},
		},
		ExemptRoutes: []string{"/static/", "GET /healthz"},
	}).Handler(ok)
	server := httptest.NewServer(h)
	defer server.Close()
	for _, path := range []string{
		"/login", "/static/%2e%2e/login", "/static/..%2flogin", "/static/%2E%2E%2Flogin", "/static/..%5clogin",
		`/static/..\login`, "/static/..;/login", "/static/..;a=b/login;c", "/static//%2e%2e//login", "/login%00.css",
		"/static/%252e%252e/login", "/static/%25252e%25252e%252flogin", "/static/..%c0%aflogin", "/static/%c0%ae%c0%ae/login",
		"/static/%ef%bc%8e%ef%bc%8e/login", "/static/..%e2%88%95login", "/static/%25u002e%25u002e/login", "/login.",
		"/login%20", "/login%2e", "/login.%20.", "/%20login", "/lo%09gin", "/LOGIN", "/Login/", "/login%3fa", "/login%23a",
		"/log%c4%b1n", "/LOG%c4%b0N", `/login\`, "/login/;", "/login/%20", "/login/%09", "/login%2f%00", "/login/%3fa", "/login/...",
		"/login;%23/x", "/login;a%3f/x", `/%5clogin;\a`, `/\login.json%2f25`, "/login%20.json", "/login.%5c;a",
		"/x%5cy/%2e%2e/login", "/static/%2e%2e;a/%6cogin", "/static/" + strings.Repeat("a/..%2f", 2000) + "%2e%2e/login",
		"http://other.example/static/..%2flogin",
	} {
		for _, method := range []string{"POST ", "post "} {
			rules := strings.Fields(rulesIn(wire(t, server, method+path).Header))
			assert.Subset(t, rules, []string{"all", "login"}, method+path[:min(len(path), 80)])
		}
	}
	for path, want := range map[string]string{
		"/static/a.css": "", "/static/": "", "/static/Logo (1)%20x.png": "", "/static/%C3%BC.png": "", "/static/.well-known": "",
		"/static/a%2Fb": "all", "/static//a": "all", "/static/a;b": "all", "/static/a%20": "all", "/static/%E2%80%AE.png": "all",
		"/healthz": "", "/healthz/": "all", "/HEALTHZ": "all", "/%68ealthz": "all",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		var err error
		r.URL, err = url.ParseRequestURI(path)
		assert.NoError(t, err)
		assert.Equal(t, want, rulesIn(serve(h, r).Header()), path)
	}
}

// A server takes an extension for the format of the response, and runs a script with any text
// behind it in the path.
func TestExtensionsAndScriptsAreLimited(t *testing.T) {
	routes := map[string][]ratelimit.Rule{}
	for _, pattern := range []string{
		"POST /login", "POST /Account/edit", "POST /report", "POST /report.csv", "POST /old.php", "POST /v1.0", "POST /item/{id}",
	} {
		routes[pattern] = []ratelimit.Rule{global(strings.TrimPrefix(pattern, "POST "), "1000 per hour")}
	}
	h := newLimiter(t, ratelimit.Config{
		Rules: []ratelimit.Rule{global("all", "1000 per hour")}, Routes: routes,
		ExemptRoutes: []string{"/static/", "POST /login.css", "POST /healthz.php/"},
	}).Handler(ok)
	for path, want := range map[string]string{
		"/login.json": "all /login", "/login.tar.gz": "all /login", "/LOGIN.Json": "all /login", "/login.json/": "all /login",
		"/login%2Ejson": "all /login", "/x/..;/login.json": "all /login", "/login.css": "",
		"/account/EDIT.xml": "all /Account/edit", "/v1.0.json": "all /v1.0", "/item/5.json": "all /item/{id}",
		"/report": "all /report", "/report.csv": "all /report.csv", "/report.xml": "all /report",
		"/index.php/login": "all /login", "/INDEX.PHP/login.json": "all /login", "/a/b.aspx/c.cgi/login/": "all /login",
		"/old.php/x": "all /old.php", "/old.php/login": "all /old.php /login",
		"/old.php": "all /old.php", "/v1.0/login": "all", "/logins.json": "all", "/.json": "all", "/.php/login": "all",
		"/static/login.json": "", "/static/index.php/x": "", "/static/a.php/login": "all /login",
		"/healthz.php/login": "all /login", "/healthz.php/": "",
		strings.Repeat("/a.php", 8) + "/login": "all /login",
	} {
		r := httptest.NewRequest("POST", path, nil)
		assert.Equal(t, want, rulesIn(serve(h, r).Header()), path)
	}
	many := strings.Repeat("/a.php", 9) + "/login"
	assert.Len(t, strings.Fields(rulesIn(serve(h, httptest.NewRequest("POST", many, nil)).Header())), 1+len(routes))
}

// A client names the host in other ways, or in other fields.
func TestDoubtfulHostsAreLimited(t *testing.T) {
	h := newLimiter(t, ratelimit.Config{
		Rules:        []ratelimit.Rule{global("all", "1000 per hour")},
		Routes:       map[string][]ratelimit.Rule{"POST API.example.com/login": {global("login", "1000 per hour")}},
		ExemptRoutes: []string{"cdn.example.com/"},
	}).Handler(ok)
	rules := func(host string, fields ...string) string {
		r := httptest.NewRequest("POST", "/login", nil)
		r.Host = host
		for i := 0; i < len(fields); i += 2 {
			r.Header.Add(fields[i], fields[i+1])
		}
		return rulesIn(serve(h, r).Header())
	}
	for _, host := range []string{
		"api.example.com", "API.example.com", "api.example.com.", "api.example.com:443", "Api.Example.com.:8443", "api.example.com:",
		"%61pi.example.com", "api.example.com..", "a@api.example.com", "api.example.com:1:2", "api\u3002example.com",
	} {
		assert.Equal(t, "all login", rules(host), host)
	}
	for _, name := range []string{"X-Forwarded-Host", "X-Original-Host", "X-Host", "X-HTTP-Host-Override"} {
		assert.Equal(t, "all login", rules("cdn.example.com", name, "a.example, API.example.com:443"), name)
		assert.Equal(t, "all", rules("cdn.example.com", name, "a.example"), name)
	}
	for _, field := range []string{
		"host=API.example.com", "for=192.0.2.1;Host=api.example.com:443", `for=192.0.2.1, for=a;host="api.example.com"`,
		`host="api.example.com:443";proto=https`, `host="a,b"`,
	} {
		assert.Equal(t, "all login", rules("cdn.example.com", "Forwarded", field), field)
	}
	assert.Equal(t, "all", rules("cdn.example.com", "Forwarded", "host=a.example"))
	assert.Equal(t, "", rules("cdn.example.com", "Forwarded", `for="[2001:db8::1]:80";by=host`))
	assert.Equal(t, "all login", rules(""), "servers have a default host")
	assert.Equal(t, "", rules("CDN.example.com.:80"))
	assert.Equal(t, "all", rules("other.example.com"))
}

// A client overrides the method or the path in a field or in the query.
func TestOverriddenRequestsAreLimited(t *testing.T) {
	remove := global("by-method", "1000 per hour")
	remove.Methods = []string{"DELETE"}
	skipping := global("skipping", "1000 per hour")
	skipping.Skip = func(r *http.Request) bool { return r.URL.Path == "/free" && r.Method != "DELETE" }
	h := newLimiter(t, ratelimit.Config{
		Rules:        []ratelimit.Rule{remove, skipping},
		Routes:       map[string][]ratelimit.Rule{"DELETE /item": {global("item", "1000 per hour")}},
		ExemptRoutes: []string{"POST /item"},
	}).Handler(ok)
	rules := func(target string, fields ...string) string {
		r := httptest.NewRequest("POST", target, nil)
		for i := 0; i < len(fields); i += 2 {
			r.Header.Add(fields[i], fields[i+1])
		}
		return rulesIn(serve(h, r).Header())
	}
	assert.Equal(t, "", rules("/item"))
	assert.Equal(t, "", rules("/free"))
	for _, field := range []string{
		"X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method", "X_HTTP_METHOD_OVERRIDE", "X-Http_method",
	} {
		assert.Equal(t, "by-method skipping item", rules("/item", field, " delete"), field)
		assert.Equal(t, "by-method skipping item", rules("/item", field, "delete , POST"), field)
		assert.Equal(t, "by-method skipping", rules("/free", field, "Delete"), field)
		assert.Equal(t, "", rules("/item", field, "POST"), field)
	}
	assert.Equal(t, "by-method skipping item", rules("/item?a=b&%5Fmethod=DELETE"))
	assert.Equal(t, "by-method skipping item", rules("/item?_method=delete"))
	for _, query := range []string{
		".method=DELETE", "%2Emethod=DELETE", "+%20++_method=DELETE", "_method%00x=DELETE", "a;_method=DELETE;b", "_method=DELETE;b",
		strings.Repeat("%20+", 100) + "_method=DELETE",
	} {
		assert.Equal(t, "by-method skipping item", rules("/item?"+query), query)
	}
	for _, query := range []string{"x_method=DELETE", "__method=DELETE", "method=DELETE", "a=;_method", "_method=%zz", "%zz=DELETE"} {
		assert.Equal(t, "", rules("/item?"+query), query)
	}
	for _, field := range []string{"X-Original-URL", "X-Rewrite-URL", "X_Original_URL"} {
		assert.Equal(t, "skipping", rules("/item", field, "/other"), field)
		assert.Equal(t, "skipping", rules("/free", field, "https://a.example/x?y"), field)
		assert.Equal(t, "", rules("/free", field, "/free"), field)
	}
}

// The limiter calls Skip and Exempt for every reading of a doubtful path.
func TestFunctionsSeeEveryReading(t *testing.T) {
	public := func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/public/") }
	skipping := global("skipping", "1000 per hour")
	skipping.Skip = public
	all := global("all", "1000 per hour")
	skipped := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{skipping}}).Handler(ok)
	exempt := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{all}, Exempt: public}).Handler(ok)
	for path, free := range map[string]bool{
		"/public/a": true, "/public/A/": true, "/public/a%2Fb": true, "/public/a;b": true, "/public/a%252Fb": true,
		"/public/..%2fadmin": false, "/public/%2e%2e/admin": false, "/public/..%5cadmin": false, "/public/..;/admin": false,
		"/public/../admin": false, "/public/%252e%252e/admin": false, "/public/" + strings.Repeat("%252e%252e;%5c", 300): false,
		"/public/a.css": true, "/public/a.php/admin": false,
	} {
		r := httptest.NewRequest("GET", path, nil)
		assert.Equal(t, free, rulesIn(serve(skipped, r).Header()) == "", path)
		assert.Equal(t, free, rulesIn(serve(exempt, r).Header()) == "", path)
	}
	skipping.Skip = func(r *http.Request) bool { return r.URL.Path != "/login" || r.Host != "example.com" }
	login := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{skipping}}).Handler(ok)
	for _, path := range []string{
		"/login", "/LOGIN", "/login/", "/login.json", "/index.php/login", "http://Example.com/login.xml", "http://example.com.:81/login",
	} {
		assert.Equal(t, "skipping", rulesIn(serve(login, httptest.NewRequest("GET", path, nil)).Header()), path)
	}
	assert.Empty(t, rulesIn(serve(login, httptest.NewRequest("GET", "/Logins.json/", nil)).Header()))
}
