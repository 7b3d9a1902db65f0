package routes

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFind(t *testing.T) {
	var table Table[string]
	assert.Equal(t, Match[string]{}, table.Find(httptest.NewRequest(http.MethodGet, "/", nil)), "an empty table")
	for _, pattern := range []string{"/static/", "POST /login", "GET /items/{id}", "api.example.com/"} {
		require.NoError(t, table.Add(pattern, "value of "+pattern))
	}
	for _, tc := range []struct {
		name, method, target, pattern string
		exact                         bool
	}{
		{name: "a path below a slash", method: "GET", target: "/static/a", pattern: "/static/", exact: true},
		{name: "a path without the slash at its end", method: "GET", target: "/static", pattern: "/static/"},
		{name: "a path that is not clean", method: "GET", target: "/x/../static/a", pattern: "/static/"},
		{name: "a method", method: "POST", target: "/login", pattern: "POST /login", exact: true},
		{name: "another method", method: "GET", target: "/login"},
		{name: "GET stands for HEAD", method: "HEAD", target: "/items/1", pattern: "GET /items/{id}", exact: true},
		{name: "a host", method: "GET", target: "http://api.example.com/x", pattern: "api.example.com/", exact: true},
		{name: "no pattern", method: "GET", target: "/x"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := table.Find(httptest.NewRequest(tc.method, tc.target, nil))
			assert.Equal(t, tc.pattern != "", m.Found)
			if m.Found {
				assert.Equal(t, "value of "+tc.pattern, m.Value)
				assert.Equal(t, tc.exact, m.Exact)
			}
			assert.Empty(t, m.Others)
		})
	}
}

func TestMistakesInPatterns(t *testing.T) {
	var table Table[int]
	require.NoError(t, table.Add("/a/{x}", 1))
	for pattern, want := range map[string]string{
		"":                 "a pattern without a path",
		"GET /b/{":         `bad wildcard segment`,
		"GET  /x":          `"GET  /x": want one space between the method and the path`,
		"GET /x ":          `want one space`,
		"a.example:80/x":   `host "a.example:80" matches no request: want a name without a port`,
		"bücher.example/x": `host "bücher.example" matches no request: want a name without a port, and the xn-- form`,

		"/a/{y}":  `pattern "/a/{y}" conflicts with pattern "/a/{x}"`,
		"post /x": `method "post" matches no request: want POST`,
		"* /x":    `method "*" matches no request: want no method`,

		"/search?q=1":      `path "/search?q=1": a pattern matches no query: want the path alone`,
		"GET /users/:id":   `":id" matches only itself: want {id}`,
		"/files/*":         `"*" matches only itself: want {name}, or {name...} for all that follows`,
		"a.example/*path":  `"*path" matches only itself: want {name}, or {name...}`,
		"/users/<id>/name": `"<id>" matches only itself: want {name}`,

		"GET|POST /x":    `method "GET|POST" matches no request: want each method by itself`,
		"ANY /x":         `method "ANY" matches no request: want no method, for all of them`,
		"all /x":         `method "all" matches no request: want no method, for all of them`,
		"/x#top":         `path "/x#top": a pattern matches no fragment: want the path alone`,
		"/api*":          `"api*" matches only itself: want a whole segment such as {name}, or {name...}`,
		"/api/...":       `"..." matches only itself: want {name...} for all that follows`,
		"/users/[id]":    `"[id]" matches only itself: want a whole segment`,
		"/users/[0-9]+":  `"[0-9]+" matches only itself: want a whole segment`,
		"/users/.+":      `".+" matches only itself: want a whole segment`,
		`/users/\d`:      `"\\d" matches only itself: want a whole segment`,
		"/(login|token)": `"(login|token)" matches only itself: want a whole segment`,
		"/login$":        `"login$" matches only itself: want a whole segment`,
		"/users/%d":      `"%d" matches only itself: want a whole segment such as {name}, or %25 for a percent sign`,
		"//x":            `path "//x" matches no request: want "/x"`,
		"POST /x/../y/":  `path "/x/../y/" matches no request: want "/y/"`,
	} {
		err := table.Add(pattern, 2)
		require.ErrorContains(t, err, want, pattern)
		assert.NotContains(t, err.Error(), "registered at")
	}
}

// Characters that other routers give a meaning are part of many paths, too.
func TestPatternsWithOddCharacters(t *testing.T) {
	for pattern, target := range map[string]string{
		"/odata/$metadata":   "/odata/$metadata",
		"/odata/Products(5)": "/odata/Products(5)",
		"/lang/c++":          "/lang/c%2B%2B",
		"/v1/users:batchGet": "/v1/users:batchGet",
		"/@me":               "/@me",
		"/~alice":            "/~alice",
		"/100%25":            "/100%25",
		"/a%2Fb":             "/a%2Fb",
		"/a%2A":              "/a*",
		"/café":              "/caf%C3%A9",
		"/.well-known/x":     "/.well-known/x",
		"CONNECT /a/../b":    "/a/../b",
	} {
		var table Table[int]
		require.NoError(t, table.Add(pattern, 1), pattern)
		r := httptest.NewRequest(http.MethodGet, target, nil)
		if strings.HasPrefix(pattern, "CONNECT ") {
			r.Method = http.MethodConnect
		}
		assert.True(t, table.Find(r).Found, pattern)
	}
}

func TestCheckExempt(t *testing.T) {
	for pattern, want := range map[string]string{
		"/":               `"/" exempts every path: want "/{$}" for the path / alone`,
		"GET /":           `"GET /" exempts every path: want "GET /{$}" for the path / alone`,
		"/{path...}":      `"/{path...}" exempts every path: want "/{$}" for the path / alone`,
		"GET\t/{path...}": `"GET\t/{path...}" exempts every path: want "GET\t/{$}" for the path / alone`,
	} {
		assert.EqualError(t, CheckExempt(pattern, 1), want)
		assert.NoError(t, CheckExempt(pattern, 0), "no rules")
	}
	for _, pattern := range []string{
		"/{$}", "GET /{$}", "cdn.example.com/", "/static/", "/{page}", "/static/{path...}", "no pattern",
	} {
		assert.NoError(t, CheckExempt(pattern, 1), pattern)
	}
}

// Patterns that conflict only in lower case are both found.
func TestPatternsThatDifferByCase(t *testing.T) {
	var table Table[int]
	for i, pattern := range []string{"/A", "/a", "/A/{x}/c", "/a/b/{y}"} {
		require.NoError(t, table.Add(pattern, i), pattern)
	}
	for target, want := range map[string][]int{
		"/A": {0, 1}, "/a": {0, 1}, "/a/b/C": {2, 3}, "/A/B/c": {2, 3},
	} {
		m := table.Find(httptest.NewRequest(http.MethodGet, target, nil))
		got := m.Others
		if m.Found {
			got = append(got, m.Value)
		}
		assert.Subset(t, got, want, target)
	}
	m := table.Find(httptest.NewRequest(http.MethodGet, "/"+strings.Repeat("%25", 10_000), nil))
	assert.Equal(t, Match[int]{Others: []int{0, 1, 2, 3}, Missed: true}, m)
}

// Routers that clean no path take dots for a name.
func TestDotsAreNamesToo(t *testing.T) {
	var table Table[string]
	for _, pattern := range []string{"/files/{name}/x", "/x"} {
		require.NoError(t, table.Add(pattern, pattern))
	}
	for _, target := range []string{"/files/../x", "/files/%2e%2e/x"} {
		m := table.Find(httptest.NewRequest(http.MethodGet, target, nil))
		assert.ElementsMatch(t, []string{"/files/{name}/x", "/x"}, append(m.Others, m.Value), target)
	}
}

// Every reading of a path has its letters and the slash at its end.
func TestEvery(t *testing.T) {
	for _, row := range []struct {
		target string
		f      func(path string) bool
		want   bool
	}{
		{"/Static//Logo", func(path string) bool { return strings.HasPrefix(path, "/Static/") }, true},
		{"/Static//../Logo", func(path string) bool { return strings.HasPrefix(path, "/Static/") }, false},
		{"/static//a/", func(path string) bool { return strings.HasSuffix(path, "/") }, true},
		{"/static//a", func(path string) bool { return strings.HasSuffix(path, "/") }, false},
	} {
		r := httptest.NewRequest(http.MethodGet, row.target, nil)
		assert.Equal(t, row.want, Every(r, func(r *http.Request) bool { return row.f(r.URL.Path) }), row.target)
	}
}

// A plain request has one reading, which costs no memory.
func TestPlainRequestsAllocateNothing(t *testing.T) {
	var table Table[int]
	require.NoError(t, table.Add("GET api.example.com/items/a", 1))
	r := httptest.NewRequest(http.MethodGet, "http://api.example.com/items/a", nil)
	before := testing.AllocsPerRun(100, func() { _, _ = table.mux.Handler(r) })
	assert.Equal(t, before, testing.AllocsPerRun(100, func() { _ = table.Find(r) }))
}

// However a client combines doubtful forms, the readings of one request take bounded work.
func TestReadingsAreBounded(t *testing.T) {
	var table Table[int]
	require.NoError(t, table.Add("POST a.example/login", 1))
	for _, path := range []string{
		strings.Repeat("/..%2f", 100_000), strings.Repeat("/%25252525252525e", 10_000), "/" + strings.Repeat("%25", 200_000),
		"/a%3fb%23c%00d;e/ f/g./%5ch%25%35%63" + strings.Repeat(";/%5c.", 100),
	} {
		u, err := url.ParseRequestURI(path)
		require.NoError(t, err)
		urls, _ := pathsOf(&http.Request{URL: u}, pathForm{doubt: decodes})
		assert.LessOrEqual(t, len(urls), 3*(maxPaths+1))
		m := table.Find(&http.Request{Method: "POST", Host: "a.example", URL: u})
		assert.False(t, m.Exact)
	}
}

func TestCheckMethod(t *testing.T) {
	for method, want := range map[string]string{
		"":       `"": want a method such as POST`,
		"GE T":   `"GE T": want a method such as POST`,
		"*":      `"*" matches no request: want no method, for all of them`,
		"delete": `"delete" matches no request: want DELETE`,
		"ALL":    `"ALL" matches no request: want no method, for all of them`,
		"Any":    `"Any" matches no request: want no method, for all of them`,

		"PUT|PATCH": `"PUT|PATCH" matches no request: want each method by itself`,
	} {
		assert.EqualError(t, CheckMethod(method), want)
	}
	for _, method := range []string{"GET", "PROPFIND", "m-search"} {
		assert.NoError(t, CheckMethod(method))
	}
}

func TestIsToken(t *testing.T) {
	for s, want := range map[string]bool{
		"": false, "X-Api-Key": true, "!#$%&'*+-.^_`|~09azAZ": true,
		"a b": false, "a:b": false, "é": false, "a\x00": false, "[": false, "{": false, "@": false,
	} {
		assert.Equal(t, want, IsToken(s), "%q", s)
	}
}
