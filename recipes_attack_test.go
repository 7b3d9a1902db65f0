package ratelimit_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/clientip"
	"github.com/ratelimit-go/ratelimit/internal/testsize"
)

// newRecipe returns what the recipes need. The field User says who is signed in.
func newRecipe(t *testing.T, items http.HandlerFunc) *recipe {
	c := &recipe{
		limiter: newLimiter(t, ratelimit.Config{}), mux: http.NewServeMux(), items: items,
		userOf: field("User"),
		partnerOf: func(r *http.Request) string {
			return map[string]string{"right a": "a", "right b": "b", "right c": "c", "right d": "d"}[r.Header.Get("X-Api-Key")]
		},
	}
	c.networkRecipe()
	return c
}

// ask returns the status of a request of an address.
func ask(h http.Handler, method, path, addr string, headers ...string) int {
	r := request(net.JoinHostPort(addr, "1"), headers...)
	r.Method, r.URL.Path = method, path
	return serve(h, r).Code
}

// An answerTally counts answers by status.
type answerTally struct {
	mu    sync.Mutex
	codes map[int]int
}

func (a *answerTally) add(code int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.codes == nil {
		a.codes = map[int]int{}
	}
	a.codes[code]++
}

func TestProxyRecipeTellsClientsApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := new(recipe)
		require.NoError(t, c.proxyRecipe())
		h := c.limiter.Handler(ok)
		for i := range 100 { // the client forges another entry each time
			forged := fmt.Sprintf("198.51.100.%d, 192.0.2.1", i)
			assert.Equal(t, 200, ask(h, "GET", "/", "10.0.0.1", "X-Forwarded-For", forged))
		}
		assert.Equal(t, 429, ask(h, "GET", "/", "10.0.0.2", "X-Forwarded-For", "192.0.2.1"), "by another proxy")
		assert.Equal(t, 200, ask(h, "GET", "/", "10.0.0.1", "X-Forwarded-For", "192.0.2.2"))
		assert.Equal(t, 200, ask(h, "GET", "/", "203.0.113.1", "X-Forwarded-For", "192.0.2.1"), "not by a proxy")
	})
}

// One stranger, or one network of strangers, does not deny the others. What it sends in two minutes
// would use up what all strangers may send together.
func TestScrapingRecipeAgainstOneStranger(t *testing.T) {
	for name, tc := range map[string]struct {
		attacker func(i int) string
		pause    time.Duration
		burst    int // requests that the attacker gets at once
		rate     int // and per minute after that
	}{
		"one address":      {func(int) string { return "192.0.2.1" }, 500 * time.Millisecond, 10, 10},
		"an IPv4 network":  {func(i int) string { return fmt.Sprintf("192.0.2.%d", i%256) }, 50 * time.Millisecond, 30, 30},
		"an IPv6 /48":      {func(i int) string { return fmt.Sprintf("2001:db8:1:%x::1", i) }, 50 * time.Millisecond, 30, 30},
		"a signed-in user": {func(i int) string { return fmt.Sprintf("198.51.%d.1", i%256) }, 50 * time.Millisecond, 60, 60},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newRecipe(t, ok)
				c.scrapingRecipe()
				var user []string
				if name == "a signed-in user" {
					user = []string{"User", "scraper"}
				}
				minutes := testsize.Of(6, 2)
				end, got := time.Now().Add(time.Duration(minutes)*time.Minute), 0
				go func() {
					for i := 0; time.Now().Before(end); i++ {
						if ask(c.mux, "GET", "/api/users", tc.attacker(i), user...) == 200 {
							got++
						}
						time.Sleep(tc.pause)
					}
				}()
				for i := range 60 * minutes {
					time.Sleep(time.Second)
					assert.Equal(t, 200, ask(c.mux, "GET", "/api/users", fmt.Sprintf("203.0.%d.7", i%60)), "stranger %d", i)
				}
				synctest.Wait()
				most := tc.burst + minutes*tc.rate
				assert.LessOrEqual(t, got, most)
				assert.Greater(t, got, most-15)
			})
		})
	}
}

// Partners that send too much, or too slowly, do not cost the calls of another partner.
func TestWebhooksRecipeAgainstFloods(t *testing.T) {
	for _, tc := range []struct {
		name  string
		keys  []string      // of the flooding partners
		each  time.Duration // between two calls of each of them
		takes time.Duration // each of their calls
	}{
		{"a quarter too much", []string{"right a", "right b", "right d"}, 40 * time.Millisecond, 50 * time.Millisecond},
		{"five times too much", []string{"right a", "right b", "right d"}, 10 * time.Millisecond, 50 * time.Millisecond},
		{"slow calls", []string{"right a", "right b"}, 40 * time.Millisecond, 10 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var working, most atomic.Int64
				c := newRecipe(t, func(_ http.ResponseWriter, r *http.Request) {
					n := working.Add(1)
					defer working.Add(-1)
					most.Store(max(most.Load(), n))
					d, _ := time.ParseDuration(r.Header.Get("Lasts"))
					time.Sleep(d)
				})
				c.webhooksRecipe()
				seconds := testsize.Of(60, 20)
				end := time.Now().Add(time.Duration(seconds) * time.Second)
				for _, key := range tc.keys {
					go func() {
						for time.Now().Before(end) {
							go ask(c.mux, "POST", "/webhooks", "192.0.2.1", "X-Api-Key", key, "Lasts", tc.takes.String())
							time.Sleep(tc.each)
						}
					}()
				}
				var honest answerTally
				for range 2 * seconds {
					go func() {
						honest.add(ask(c.mux, "POST", "/webhooks", "192.0.2.1", "X-Api-Key", "right c", "Lasts", "50ms"))
					}()
					time.Sleep(500 * time.Millisecond)
				}
				pass(time.Minute)
				assert.Equal(t, map[int]int{200: 2 * seconds}, honest.codes)
				assert.LessOrEqual(t, most.Load(), int64(41))
				requireNoneHeld(t, c.limiter)
			})
		})
	}
}

// API keys that are not right reach no handler and get no bucket.
func TestWebhooksRecipeAgainstInventedKeys(t *testing.T) {
	memory := ratelimit.NewMemoryStore(ratelimit.MemoryConfig{})
	c := newRecipe(t, func(http.ResponseWriter, *http.Request) { t.Error("reached") })
	c.limiter = newLimiter(t, ratelimit.Config{Store: memory})
	c.webhooksRecipe()
	for i := range 1000 {
		require.Equal(t, 403, ask(c.mux, "POST", "/webhooks", "192.0.2.1", "X-Api-Key", strconv.Itoa(i)))
	}
	assert.Equal(t, 403, ask(c.mux, "POST", "/webhooks", "192.0.2.1"))
	assert.Zero(t, memory.Stats().Keys)
}

// A network in which each address stays below the block gets no more misses than the network may.
// It probes 2000 times every six seconds, or 200 times in the smaller size. Ten may miss.
func TestProbingRecipeAgainstANetwork(t *testing.T) {
	probes := testsize.Of(2000, 200)
	for name, addr := range map[string]func(i int) string{
		"IPv6 /48": func(i int) string { return fmt.Sprintf("2001:db8:1:%x::1", i) },
		"IPv4 /24": func(i int) string { return fmt.Sprintf("192.0.2.%d", i%256) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				misses := 0
				c := newRecipe(t, func(w http.ResponseWriter, _ *http.Request) {
					misses++
					w.WriteHeader(http.StatusNotFound)
				})
				c.probingRecipe()
				for range 9 {
					for i := range probes {
						ask(c.mux, "GET", "/admin/"+strconv.Itoa(i), addr(i))
					}
					time.Sleep(6 * time.Second)
				}
				assert.Equal(t, 100+80, misses, "100 at once, and 80 in 48 seconds")
				assert.Equal(t, 404, ask(c.mux, "GET", "/admin/", "203.0.113.7"), "another network")
			})
		})
	}
}

// Pages of other sites cannot have their readers blocked. A client that forges what a browser sends
// for such a page reaches nothing.
func TestProbingRecipeAgainstImagesOnOtherSites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reached := 0
		c := newRecipe(t, func(w http.ResponseWriter, r *http.Request) {
			reached++
			if r.URL.Path != "/admin/" {
				http.NotFound(w, r)
				return
			}
			_, _ = io.WriteString(w, "the page")
		})
		c.probingRecipe()
		get := func(path string, headers ...string) int { return ask(c.mux, "GET", path, "192.0.2.1", headers...) }
		for i := range 100 {
			for _, site := range []string{"cross-site", "same-site"} {
				for _, dest := range []string{"image", "iframe", "document"} { // without a click
					path := "/admin/" + strconv.Itoa(i)
					assert.Equal(t, 403, get(path, "Sec-Fetch-Site", site, "Sec-Fetch-Dest", dest))
				}
			}
		}
		assert.Zero(t, reached)
		assert.Equal(t, 200, get("/admin/", "Sec-Fetch-Site", "none", "Sec-Fetch-User", "?1"), "the reader types the address")
		assert.Equal(t, 200, get("/admin/", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-User", "?1"), "follows a link")
		assert.Equal(t, 200, get("/admin/", "Sec-Fetch-Site", "same-origin"), "and goes on from there")
		assert.Equal(t, 200, get("/admin/"), "with an old browser")
		for i := range 10 { // forged links are violations
			assert.Equal(t, 404, get("/admin/"+strconv.Itoa(i), "Sec-Fetch-Site", "cross-site", "Sec-Fetch-User", "?1"))
		}
		assert.Equal(t, 429, get("/admin/"))
	})
}

// Slow bodies of a few clients leave places to others, and do not lower the limit.
func TestOverloadRecipeAgainstSlowBodiesOverTCP(t *testing.T) {
	c := newRecipe(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		time.Sleep(time.Millisecond)
	})
	c.limiter = newLimiter(t, ratelimit.Config{
		ClientIP: clientip.Header("Client", clientip.TrustedProxies("127.0.0.0/8")),
		Rules:    []ratelimit.Rule{rule("per-client", "100 per minute")},
	})
	c.mux.Handle("/", c.items)
	c.overloadRecipe(t)
	assert.Positive(t, c.server.ReadTimeout)
	assert.Positive(t, c.server.WriteTimeout)
	server := httptest.NewUnstartedServer(c.server.Handler)
	server.Config.ReadTimeout, server.Config.ReadHeaderTimeout = c.server.ReadTimeout, c.server.ReadHeaderTimeout
	server.Start()
	defer server.Close()

	ctx, stop := context.WithCancel(t.Context())
	var slow sync.WaitGroup
	for i := range 460 {
		slow.Go(func() { sendSlowly(ctx, server.Listener.Addr().String(), fmt.Sprintf("192.0.2.%d", 1+i%5)) })
	}
	require.Eventually(t, func() bool { return held(c.limiter) == 100 }, 10*time.Second, 10*time.Millisecond)
	var honest answerTally
	for i := range 100 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		require.NoError(t, err)
		req.Header.Set("Client", fmt.Sprintf("198.51.100.%d", i))
		res, err := server.Client().Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		honest.add(res.StatusCode)
	}
	assert.Equal(t, map[int]int{200: 100}, honest.codes)
	stop()
	slow.Wait()
}

// sendSlowly sends a request whose body takes until ctx ends.
func sendSlowly(ctx context.Context, service, client string) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", service)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	_, err = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: a\r\nClient: %s\r\nContent-Length: 1000\r\n\r\n", client)
	for err == nil && ctx.Err() == nil {
		_, err = conn.Write([]byte("x"))
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
}
