package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestQuickstart(t *testing.T) {
	handler, err := newHandler()
	require.NoError(t, err)
	server := httptest.NewServer(handler)
	defer server.Close()
	do := func(method, path, user string) *http.Response {
		req, err := http.NewRequest(method, server.URL+path, nil)
		require.NoError(t, err)
		if user != "" {
			req.SetBasicAuth(user, "secret")
		}
		resp, err := server.Client().Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return resp
	}
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
