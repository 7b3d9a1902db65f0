package routes

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFind(t *testing.T) {
	var table Table[string]
	_, _, found := table.Find(httptest.NewRequest(http.MethodGet, "/", nil))
	assert.False(t, found, "an empty table")
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
			v, exact, found := table.Find(httptest.NewRequest(tc.method, tc.target, nil))
			assert.Equal(t, tc.pattern != "", found)
			if found {
				assert.Equal(t, "value of "+tc.pattern, v)
				assert.Equal(t, tc.exact, exact)
			}
		})
	}
}

func TestMistakesInPatterns(t *testing.T) {
	var table Table[int]
	require.NoError(t, table.Add("/a/{x}", 1))
	for pattern, want := range map[string]string{
		"":        "pattern",
		"/{":      `bad wildcard segment`,
		"/a/{y}":  `pattern "/a/{y}" conflicts with pattern "/a/{x}"`,
		"post /x": `method "post" matches no request: want POST`,
	} {
		err := table.Add(pattern, 2)
		require.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), "registered at")
	}
}

func TestCheckMethod(t *testing.T) {
	for method, want := range map[string]string{
		"":       `"": want a method such as POST`,
		"GE T":   `"GE T": want a method such as POST`,
		"delete": `"delete" matches no request: want DELETE`,
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
