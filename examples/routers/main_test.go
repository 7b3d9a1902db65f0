package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler/extension"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// sender starts a service and returns a function that sends requests to it.
func sender(t *testing.T, router string) func(method, path, body string) (int, string) {
	handler, err := demos[router].handler()
	require.NoError(t, err)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return func(method, path, body string) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/json")
		resp, err := server.Client().Do(r)
		require.NoError(t, err)
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return resp.StatusCode, string(text)
	}
}

func TestGorilla(t *testing.T) {
	send := sender(t, "gorilla")
	allowed := func(n int, prefix string) (ok int) {
		for i := range n {
			if status, _ := send("GET", prefix+fmt.Sprint(i), ""); status == http.StatusOK {
				ok++
			}
		}
		return ok
	}
	_, body := send("GET", "/items/7", "")
	assert.Equal(t, "/items/{id:[0-9]+} 7\n", body)
	assert.Equal(t, 9, allowed(12, "/items/"), "one budget for all paths of a route")
	assert.Equal(t, 10, allowed(12, "/users/"), "each route has a budget of its own")
	assert.Zero(t, allowed(12, "/nowhere/"), "10 of them took a token of the limiter around the router")
	status, _ := send("GET", "/users/1", "")
	assert.Equal(t, http.StatusTooManyRequests, status)
}

func TestHuma(t *testing.T) {
	send := sender(t, "huma")
	for range 6 {
		status, body := send("GET", "/items/7", "")
		assert.Equal(t, http.StatusOK, status)
		assert.Contains(t, body, `"id":7`)
		assert.Contains(t, body, `"remaining":`)
	}
	for range 3 {
		status, _ := send("GET", "/items/0", "")
		assert.Equal(t, http.StatusNotFound, status)
	}
	status, body := send("GET", "/items/0", "")
	assert.Equal(t, http.StatusTooManyRequests, status)
	assert.Contains(t, body, `"violated-policies":["missing"]`)
}

func query(first int) string { return fmt.Sprintf(`{"query": "{ items(first: %d) { name } }"}`, first) }

func TestComplexityIsTheCost(t *testing.T) {
	send := sender(t, "gqlgen")
	for _, tc := range []struct {
		first int
		want  string
	}{
		{90, `"data":`}, {90, `"data":`}, // 180 of 200 are taken
		{90, "RATE_LIMITED"}, // and one more, because the request was allowed
		{10, `"data":`},      // there were 19
		{99, "RATE_LIMITED"},
	} {
		status, body := send("POST", "/graphql", query(tc.first))
		assert.Equal(t, http.StatusOK, status)
		assert.Contains(t, body, tc.want, tc.first)
	}
	for range 20 {
		send("POST", "/graphql", query(1))
	}
	status, body := send("POST", "/graphql", query(1))
	assert.Equal(t, http.StatusTooManyRequests, status)
	assert.Contains(t, body, "violated-policies")
}

// Queries that run at the same time share the budget: all were allowed before the first is charged.
func TestComplexityOfQueriesAtTheSameTime(t *testing.T) {
	limiter, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{
		{Name: "complexity", Limits: ratelimit.MustParse("200 per minute")},
	}})
	require.NoError(t, err)
	served := 0
	var serve func(n int) http.HandlerFunc
	serve = func(n int) http.HandlerFunc {
		return func(_ http.ResponseWriter, r *http.Request) {
			if n > 1 {
				limiter.Handler(serve(n-1)).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/graphql", nil))
			}
			op := &graphql.OperationContext{}
			op.Stats.SetExtension("ComplexityLimit", &extension.ComplexityStats{Complexity: 60})
			charger{limiter}.charge(graphql.WithOperationContext(r.Context(), op), func(context.Context) graphql.ResponseHandler {
				served++
				return nil
			})
		}
	}
	limiter.Handler(serve(10)).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/graphql", nil))
	assert.Equal(t, 3, served, "of 60 each, 200 in all")
}

// A response with status 200 and errors in its body counts as a failure.
func TestErrorsWithStatus200Count(t *testing.T) {
	send := sender(t, "gqlgen")
	for range 5 {
		status, body := send("POST", "/graphql", query(101))
		assert.Equal(t, http.StatusOK, status)
		assert.Contains(t, body, "want 0 to 100")
	}
	status, body := send("POST", "/graphql", query(1))
	assert.Equal(t, http.StatusTooManyRequests, status)
	assert.Contains(t, body, `"violated-policies":["errors"]`)
}

func TestHonestQueriesAreNoFailures(t *testing.T) {
	send := sender(t, "gqlgen")
	for range 20 {
		status, body := send("POST", "/graphql", query(2))
		assert.Equal(t, http.StatusOK, status)
		assert.NotContains(t, body, "errors")
	}
}
