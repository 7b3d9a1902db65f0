package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// start serves the API, and returns a function that sends requests. If user is not empty, the
// requests are signed in.
func start(t *testing.T) func(method, path, user string) *http.Response {
	t.Helper()
	handler, err := newHandler()
	require.NoError(t, err)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return func(method, path, user string) *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, nil)
		require.NoError(t, err)
		if user != "" {
			req.SetBasicAuth(user, "secret")
		}
		resp, err := server.Client().Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return resp
	}
}

func TestQuickstart(t *testing.T) {
	do := start(t)
	resp := do("GET", "/api/items", "")
	assert.Equal(t, 200, resp.StatusCode)
	assert.Equal(t, `"per-client";r=99;t=60`, resp.Header.Get("RateLimit"))
	for i := range 6 {
		want := http.StatusUnauthorized
		if i == 5 {
			want = http.StatusTooManyRequests
		}
		assert.Equal(t, want, do("POST", "/login?user=alice", "").StatusCode)
	}
	assert.Equal(t, 403, do("GET", "/admin/stats", "").StatusCode)
	assert.Equal(t, 200, do("GET", "/admin/stats", "admin").StatusCode)
	assert.Equal(t, 200, do("GET", "/api/items?per_page=1000", "").StatusCode)
	resp = do("GET", "/api/items?per_page=1000", "")
	assert.Equal(t, 429, resp.StatusCode)
	assert.NotEmpty(t, resp.Header.Get("Retry-After"))
}

// The page that is limited for signed-in users tells what is left under that rule, too.
func TestStatsTellOfEachRule(t *testing.T) {
	handler, err := newHandler()
	require.NoError(t, err)
	get := func(path string) string {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.SetBasicAuth("admin", "secret")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Body.String()
	}
	assert.JSONEq(t, `{"admin": 9, "per-client": 99}`, get("/admin/stats"))
	get("/api/items?per_page=800")
	assert.JSONEq(t, `{"admin": 8, "per-client": 58}`, get("/admin/stats"))
}

func TestUsageTellsTheTruth(t *testing.T) {
	do := start(t)
	for _, line := range []struct {
		method, path, user string
		want               []int
	}{
		{"GET", "/api/items", "", []int{200}},
		{"GET", "/api/items?per_page=800", "", []int{200, 200, 429}},
		{"POST", "/login?user=alice", "", []int{401, 401, 401, 401, 401, 429}},
		{"GET", "/admin/stats", "admin", []int{200}},
		{"GET", "/admin/stats", "", []int{403}},
	} {
		assert.Contains(t, usage, "http://%[1]s"+line.path)
		for i, want := range line.want {
			assert.Equal(t, want, do(line.method, line.path, line.user).StatusCode, "%s, number %d", line.path, i+1)
		}
	}
}
