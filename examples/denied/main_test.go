package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDenied(t *testing.T) {
	var logs bytes.Buffer
	handler, err := newHandler(&logs)
	require.NoError(t, err)
	server := httptest.NewServer(handler)
	ask := func(accept string) (*http.Response, string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		require.NoError(t, err)
		r.Header.Set("Accept", accept)
		resp, err := server.Client().Do(r)
		require.NoError(t, err)
		defer func() { require.NoError(t, resp.Body.Close()) }()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp, string(body)
	}
	for range 5 {
		resp, _ := ask("*/*")
		require.Equal(t, http.StatusOK, resp.StatusCode)
	}
	resp, body := ask("application/json")
	assert.Equal(t, http.StatusTooManyRequests, resp.StatusCode)
	assert.Equal(t, "12", resp.Header.Get("Retry-After"))
	assert.JSONEq(t, `{"error": {"code": "slow_down", "rule": "per-client", "retry_in": 12}}`, body)
	resp, body = ask("text/html,*/*;q=0.8")
	assert.Equal(t, "text/html; charset=utf-8", resp.Header.Get("Content-Type"))
	assert.Equal(t, "<h1>Slow down</h1><p>Try again in 12 seconds.</p>\n", body)
	server.Close() // waits for the handlers, which write to logs
	assert.Equal(t, 1, strings.Count(logs.String(), "msg=denied rule=per-client key=addr:127.0.0.1 retry_after=12s"), logs.String())
}
