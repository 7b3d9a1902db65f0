package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDecorators(t *testing.T) {
	handler, err := newHandler()
	require.NoError(t, err)
	server := httptest.NewServer(handler)
	defer server.Close()
	allowed := func(n int, method, path string) int {
		ok := 0
		for range n {
			r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, nil)
			require.NoError(t, err)
			resp, err := server.Client().Do(r)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			if resp.StatusCode == http.StatusOK {
				ok++
			}
		}
		return ok
	}
	assert.Equal(t, 6, allowed(6, "GET", "/items"))
	assert.Equal(t, 4, allowed(10, "GET", "/search"), "the budget is shared with /items")
	assert.Equal(t, 2, allowed(10, "POST", "/reports"))
	assert.Equal(t, 18, allowed(20, "GET", "/"), "30 minus 12, because denied requests cost nothing")
}
