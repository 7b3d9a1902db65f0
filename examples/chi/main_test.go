package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestChi(t *testing.T) {
	handler, err := newHandler()
	require.NoError(t, err)
	server := httptest.NewServer(handler)
	defer server.Close()
	allowed := func(n int, method, path string) int {
		ok := 0
		for i := range n {
			r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path+fmt.Sprint(i), nil)
			if method == http.MethodPost {
				r, err = http.NewRequestWithContext(t.Context(), method, server.URL+path, nil)
			}
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
	assert.Equal(t, 10, allowed(12, "GET", "/items/"), "one budget for all paths of a route")
	assert.Equal(t, 10, allowed(12, "GET", "/users/"), "each route has a budget of its own")
	assert.Equal(t, 2, allowed(2, "POST", "/login"))
	assert.Equal(t, 1, allowed(2, "POST", "/password"), "the routes of a group share a budget")
}
