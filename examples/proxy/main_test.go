package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/clientip"
)

// ask sends a request through the proxy, and returns the status and the body.
func ask(t *testing.T, proxy, forwarded string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, proxy, nil)
	require.NoError(t, err)
	if forwarded != "" {
		r.Header.Set("X-Forwarded-For", forwarded)
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer func() { require.NoError(t, resp.Body.Close()) }()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(body)
}

// start runs the service and the proxy, and returns the URL of the proxy.
func start(t *testing.T, proxies clientip.Proxies) string {
	t.Helper()
	service, err := newService(proxies)
	require.NoError(t, err)
	behind := httptest.NewServer(service)
	t.Cleanup(behind.Close)
	to, err := url.Parse(behind.URL)
	require.NoError(t, err)
	front := httptest.NewServer(newProxy(to))
	t.Cleanup(front.Close)
	return front.URL
}

func TestForgedAddressesAreNotBelieved(t *testing.T) {
	proxy := start(t, clientip.TrustedHops(1))
	for i := range 12 {
		code, body := ask(t, proxy, fmt.Sprintf("203.0.113.%d", i))
		if i < 10 {
			require.Equal(t, http.StatusOK, code)
			require.Equal(t, fmt.Sprintf("addr:127.0.0.1 has %d left\n", 9-i), body)
		} else {
			require.Equal(t, http.StatusTooManyRequests, code)
		}
	}
}

// Here the client is a trusted proxy too, so each client behind it has a bucket of its own.
func TestClientsBehindProxiesAreApart(t *testing.T) {
	proxy := start(t, clientip.TrustedProxies("127.0.0.1"))
	for i := range 3 {
		code, body := ask(t, proxy, "203.0.113.7")
		require.Equal(t, http.StatusOK, code)
		assert.Equal(t, fmt.Sprintf("addr:203.0.113.7 has %d left\n", 9-i), body)
	}
	_, body := ask(t, proxy, "198.51.100.66, 203.0.113.8")
	assert.Equal(t, "addr:203.0.113.8 has 9 left\n", body, "the address before it is the claim of the client")
}
