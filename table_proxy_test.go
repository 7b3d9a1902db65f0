package ratelimit_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// A server behind a proxy sees no more requests than the limit allows, in any form of the target.
func TestTargetsBehindAProxyAreLimited(t *testing.T) {
	var logins atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(http.ResponseWriter, *http.Request) { logins.Add(1) })
	backend := httptest.NewServer(mux)
	defer backend.Close()
	to, err := url.Parse(backend.URL)
	require.NoError(t, err)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }}
	notLogin := func(r *http.Request) bool { return r.URL.Path != "/login" }
	three := global("login", "3 per day")
	skipping := three
	skipping.Skip = notLogin
	for name, cfg := range map[string]ratelimit.Config{
		"a route":          {Routes: map[string][]ratelimit.Rule{"POST /login": {three}}},
		"a Skip":           {Rules: []ratelimit.Rule{skipping}},
		"a function":       {Rules: []ratelimit.Rule{three}, Exempt: notLogin},
		"an exempt prefix": {Rules: []ratelimit.Rule{three}, ExemptRoutes: []string{"/static/"}},
	} {
		front := httptest.NewServer(newLimiter(t, cfg).Handler(proxy))
		logins.Store(0)
		for _, target := range []string{
			"/login", "http://a.example/login", "x:http://a.example/login", "x:/login", "x://y/login",
			"http:http://a.example/static/../login",
		} {
			for range 5 {
				sendTarget(t, front.Listener.Addr().String(), target)
			}
		}
		front.Close()
		assert.EqualValues(t, 3, logins.Load(), name)
	}
}

// sendTarget sends a POST with a target as it is, which the client of net/http would not do.
func sendTarget(t *testing.T, addr, target string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", target)
	require.NoError(t, err)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
}
