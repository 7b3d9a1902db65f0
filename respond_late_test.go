package ratelimit_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// proxyTo returns a proxy to a server of h.
func proxyTo(t *testing.T, h http.Handler) *httputil.ReverseProxy {
	t.Helper()
	backend := httptest.NewServer(h)
	t.Cleanup(backend.Close)
	target, err := url.Parse(backend.URL)
	require.NoError(t, err)
	return httputil.NewSingleHostReverseProxy(target)
}

// fetch returns the response of a server of h to a GET.
func fetch(t *testing.T, h http.Handler) *http.Response {
	t.Helper()
	server := httptest.NewServer(h)
	defer server.Close()
	resp, err := server.Client().Get(server.URL)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp
}

// A gateway and its backend both limit. The client gets one line of each field: of both, or of the
// stricter one where there is room for one.
func TestGatewayAndBackendSendOneLine(t *testing.T) {
	limiter := func(form ratelimit.Headers, name, limits string) *ratelimit.Limiter {
		return newLimiter(t, ratelimit.Config{Headers: form, Rules: []ratelimit.Rule{rule(name, limits)}})
	}
	left := map[ratelimit.Headers]string{
		ratelimit.DraftHeaders: "RateLimit", ratelimit.Draft7Headers: "RateLimit",
		ratelimit.Draft6Headers: "RateLimit-Remaining", ratelimit.LegacyHeaders: "X-RateLimit-Remaining",
	}
	for form, field := range left {
		for _, tc := range []struct {
			name, gateway, backend string
			requests, status       int
			want                   map[ratelimit.Headers]string
		}{
			{"the backend is stricter", "9 per hour", "3 per hour", 1, 200, map[ratelimit.Headers]string{
				ratelimit.DraftHeaders:  `"gateway";r=8;t=3200, "backend";r=2;t=2400`,
				ratelimit.Draft7Headers: "limit=3, remaining=2, reset=1200", ratelimit.Draft6Headers: "2", ratelimit.LegacyHeaders: "2",
			}},
			{"the gateway is stricter", "3 per hour", "9 per hour", 1, 200, map[ratelimit.Headers]string{
				ratelimit.DraftHeaders:  `"gateway";r=2;t=2400, "backend";r=8;t=3200`,
				ratelimit.Draft7Headers: "limit=3, remaining=2, reset=1200", ratelimit.Draft6Headers: "2", ratelimit.LegacyHeaders: "2",
			}},
			{"the backend denies", "9 per hour", "1 per hour", 2, 429, map[ratelimit.Headers]string{
				ratelimit.DraftHeaders:  `"gateway";r=7;t=2800, "backend";r=0;t=3600`,
				ratelimit.Draft7Headers: "limit=1, remaining=0, reset=3600", ratelimit.Draft6Headers: "0", ratelimit.LegacyHeaders: "0",
			}},
			{"the gateway denies", "1 per hour", "9 per hour", 2, 429, map[ratelimit.Headers]string{
				ratelimit.DraftHeaders:  `"gateway";r=0;t=3600`,
				ratelimit.Draft7Headers: "limit=1, remaining=0, reset=3600", ratelimit.Draft6Headers: "0", ratelimit.LegacyHeaders: "0",
			}},
		} {
			for place, around := range map[string]func(*ratelimit.Limiter, http.Handler) http.Handler{
				"Handler":   func(l *ratelimit.Limiter, h http.Handler) http.Handler { return l.Handler(h) },
				"decorator": func(l *ratelimit.Limiter, h http.Handler) http.Handler { return l.With(rule("gateway", tc.gateway))(h) },
				"MergeHeaders": func(_ *ratelimit.Limiter, h http.Handler) http.Handler {
					mux := http.NewServeMux()
					mux.Handle("/", h)
					l := newLimiter(t, ratelimit.Config{
						Headers: form, MergeHeaders: true, Rules: []ratelimit.Rule{rule("gateway", tc.gateway)},
					})
					return l.Handler(mux)
				},
			} {
				t.Run(string(form)+", "+tc.name+", "+place, func(t *testing.T) {
					gateway := limiter(form, "gateway", tc.gateway)
					if place == "decorator" {
						gateway = newLimiter(t, ratelimit.Config{Headers: form})
					}
					frozen := time.Now()
					backend := newLimiter(t, ratelimit.Config{
						Headers: form, Rules: []ratelimit.Rule{rule("backend", tc.backend)}, Clock: func() time.Time { return frozen },
					})
					h := around(gateway, proxyTo(t, backend.Handler(ok)))
					var resp *http.Response
					for range tc.requests {
						resp = fetch(t, h)
					}
					assert.Equal(t, tc.status, resp.StatusCode)
					for name, lines := range resp.Header {
						assert.Len(t, lines, 1, name)
					}
					assert.Equal(t, tc.want[form], resp.Header.Get(field))
				})
			}
		}
	}
}

// Behind a mux a limiter does not see that the handler is a proxy. It tells once what to write.
func TestGatewayAroundAMuxIsToldToMerge(t *testing.T) {
	for merge, want := range map[bool]int{false: 1, true: 0} {
		var reported []string
		gateway := newLimiter(t, ratelimit.Config{
			MergeHeaders: merge, Rules: []ratelimit.Rule{rule("gateway", "9 per hour")},
			Hooks: ratelimit.Hooks{Error: func(_ context.Context, err error) { reported = append(reported, err.Error()) }},
		})
		mux := http.NewServeMux()
		mux.Handle("/", proxyTo(t, newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("backend", "9 per hour")}}).Handler(ok)))
		h := gateway.Handler(mux)
		for range 3 {
			fetch(t, h)
		}
		require.Len(t, reported, want)
		for _, text := range reported {
			assert.Contains(t, text, "write MergeHeaders: true in the Config")
		}
	}
}

// Fields of another library, which adds them to the header, are merged too.
func TestInnerLimiterOfAnotherLibrary(t *testing.T) {
	other := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Add("X-RateLimit-Limit", "10")
		w.Header().Add("X-RateLimit-Remaining", "3")
		w.Header().Add("X-RateLimit-Reset", "1700000000")
		_, _ = io.WriteString(w, "hello")
	})
	l := newLimiter(t, ratelimit.Config{
		Headers: ratelimit.LegacyHeaders, MergeHeaders: true, Rules: []ratelimit.Rule{rule("r", "5 per hour")},
	})
	h := l.Handler(other)
	for _, want := range []string{"3", "3", "2"} {
		resp := fetch(t, h)
		assert.Equal(t, []string{want}, resp.Header["X-Ratelimit-Remaining"])
		assert.Len(t, resp.Header["X-Ratelimit-Limit"], 1)
		assert.Len(t, resp.Header["X-Ratelimit-Reset"], 1)
	}
}

// A proxy clears the header after an informational response, with the fields of the gateway.
func TestFieldsSurviveEarlyHints(t *testing.T) {
	hinting := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusOK)
	})
	limiting := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("backend", "3 per hour")}}).Handler(hinting)
	for name, tc := range map[string]struct {
		backend http.Handler
		want    string
	}{
		"a backend that limits": {limiting, `"gateway";q=9;w=3600, "backend";q=3;w=3600`},
		"a backend without":     {hinting, `"gateway";q=9;w=3600`},
	} {
		t.Run(name, func(t *testing.T) {
			gateway := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("gateway", "9 per hour")}})
			server := httptest.NewServer(gateway.Handler(proxyTo(t, tc.backend)))
			defer server.Close()
			hints := 0
			trace := &httptrace.ClientTrace{Got1xxResponse: func(int, textproto.MIMEHeader) error { hints++; return nil }}
			r, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodGet, server.URL, nil)
			require.NoError(t, err)
			resp, err := server.Client().Do(r)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			assert.Equal(t, 1, hints)
			assert.Equal(t, []string{tc.want}, resp.Header["Ratelimit-Policy"])
			assert.Len(t, resp.Header["Ratelimit"], 1)
		})
	}
}

// Streams, connections that are taken over and files work through the ResponseWriter of a gateway.
func TestGatewayKeepsAbilities(t *testing.T) {
	gateway := newLimiter(t, ratelimit.Config{MergeHeaders: true, Rules: []ratelimit.Rule{rule("gateway", "9 per hour")}})
	t.Run("a stream", func(t *testing.T) {
		done := make(chan struct{})
		server := httptest.NewServer(gateway.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Add("RateLimit", `"inner";r=1;t=1`)
			_, _ = io.WriteString(w, "first\n")
			w.(http.Flusher).Flush()
			<-done
		})))
		defer server.Close()
		defer close(done)
		resp, err := server.Client().Get(server.URL)
		require.NoError(t, err)
		defer func() { _ = resp.Body.Close() }()
		line, err := bufio.NewReader(resp.Body).ReadString('\n')
		require.NoError(t, err)
		assert.Equal(t, "first\n", line)
		assert.Len(t, resp.Header["Ratelimit"], 1)
	})
	t.Run("an upgrade through a proxy", func(t *testing.T) {
		backend := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("backend", "3 per hour")}})
		proxy := proxyTo(t, backend.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Upgrade", "own")
			w.WriteHeader(http.StatusSwitchingProtocols)
			conn, rw, err := http.NewResponseController(w).Hijack()
			if assert.NoError(t, err) {
				_, _ = rw.WriteString("hello\n")
				_ = rw.Flush()
				_ = conn.Close()
			}
		})))
		server := httptest.NewServer(gateway.Handler(proxy))
		defer server.Close()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		require.NoError(t, err)
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", "own")
		resp, err := server.Client().Do(r)
		require.NoError(t, err)
		defer func() { _ = resp.Body.Close() }()
		assert.Equal(t, 101, resp.StatusCode)
		assert.Len(t, resp.Header["Ratelimit"], 1)
		line, err := bufio.NewReader(resp.Body).ReadString('\n')
		require.NoError(t, err)
		assert.Equal(t, "hello\n", line)
	})
	t.Run("a file", func(t *testing.T) {
		resp := fetch(t, gateway.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "a.txt", time.Time{}, strings.NewReader("content"))
		})))
		assert.Equal(t, int64(7), resp.ContentLength)
		assert.NotEmpty(t, resp.Header["Ratelimit"])
	})
	t.Run("nothing written", func(t *testing.T) {
		resp := fetch(t, gateway.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Add("RateLimit", `"inner";r=1;t=1`)
		})))
		assert.Len(t, resp.Header["Ratelimit"], 1)
	})
}

// Behind a shared cache, the fields of one client are in no response that may be stored for others.
func TestSharedCacheStoresNoFields(t *testing.T) {
	for cacheControl, told := range map[string]bool{
		"": false, "public, max-age=60": false, "private": true, "no-store": true,
	} {
		t.Run(cacheControl, func(t *testing.T) {
			next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if cacheControl != "" {
					w.Header().Set("Cache-Control", cacheControl)
				}
				_, _ = io.WriteString(w, "hello")
			})
			for _, form := range []ratelimit.Headers{
				ratelimit.DraftHeaders, ratelimit.Draft7Headers, ratelimit.Draft6Headers, ratelimit.LegacyHeaders,
			} {
				l := newLimiter(t, ratelimit.Config{Headers: form, SharedCache: true, Rules: []ratelimit.Rule{rule("r", "1 per hour")}})
				h := l.Handler(next)
				names := 0
				for name := range fetch(t, h).Header {
					if strings.Contains(strings.ToLower(name), "ratelimit") {
						names++
					}
				}
				assert.Equal(t, told, names > 0, form)
				assert.Equal(t, "3600", fetch(t, h).Header.Get("Retry-After"), "a denial is never stored")
			}
		})
	}
}
