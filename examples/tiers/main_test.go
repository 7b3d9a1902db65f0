package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTiers(t *testing.T) {
	handler, err := newHandler()
	require.NoError(t, err)
	server := httptest.NewServer(handler)
	defer server.Close()
	ask := func(method, path, user string) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, nil)
		require.NoError(t, err)
		r.Header.Set("X-User", user)
		resp, err := server.Client().Do(r)
		require.NoError(t, err)
		defer func() { require.NoError(t, resp.Body.Close()) }()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(body)
	}
	for range 10 {
		code, _ := ask("GET", "/api/items", "")
		require.Equal(t, http.StatusOK, code)
	}
	code, _ := ask("GET", "/api/items", "")
	assert.Equal(t, http.StatusTooManyRequests, code, "request 11 of the address")
	code, _ = ask("GET", "/api/items", "mallory")
	assert.Equal(t, http.StatusTooManyRequests, code, "an unknown user counts by address")
	_, body := ask("GET", "/api/items", "bob")
	assert.Equal(t, "items for user:bob, 9 requests left\n", body)
	for range 60 {
		code, _ = ask("GET", "/api/items", "alice")
		require.Equal(t, http.StatusOK, code)
	}
	code, _ = ask("GET", "/api/items", "alice")
	assert.Equal(t, http.StatusTooManyRequests, code)
	code, _ = ask("DELETE", "/support/limits/alice", "")
	assert.Equal(t, http.StatusNoContent, code)
	code, _ = ask("GET", "/api/items", "alice")
	assert.Equal(t, http.StatusOK, code, "after the reset")
}
