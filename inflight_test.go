package ratelimit_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// atOnce is a rule without limits.
func atOnce(name string, n int) ratelimit.Rule {
	return ratelimit.Rule{Name: name, InFlight: n}
}

// lasting is a handler that takes as long as the request says.
var lasting = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	d, _ := time.ParseDuration(r.Header.Get("Lasts"))
	time.Sleep(d)
	w.WriteHeader(http.StatusOK)
})

// background serves a request by h in a goroutine, in a bubble of synctest. It returns when the
// handler is asleep.
func background(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	go h.ServeHTTP(w, r)
	synctest.Wait()
	return w
}

// pass lets time go by in a bubble of synctest, and waits for what happens at its end.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// requireNoneHeld fails if a request of l is in flight, or a key is remembered.
func requireNoneHeld(t *testing.T, l *ratelimit.Limiter) {
	t.Helper()
	permits, holders := l.PermitsHeld()
	require.Zero(t, permits)
	require.Zero(t, holders, "a key without requests must be forgotten")
}

func TestInFlightForEachKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var denied []ratelimit.Decision
		l := newLimiter(t, ratelimit.Config{
			Rules: []ratelimit.Rule{atOnce("exports", 2)},
			Hooks: ratelimit.Hooks{Denied: func(_ *http.Request, d ratelimit.Decision) { denied = append(denied, d) }},
		})
		h := l.Handler(lasting)
		background(h, request("192.0.2.1:1", "Lasts", "10s"))
		background(h, request("192.0.2.1:1", "Lasts", "20s"))
		w := serve(h, request("192.0.2.1:1"))
		assert.Equal(t, 429, w.Code)
		assert.Equal(t, http.Header{
			"Retry-After": {"1"}, "Cache-Control": {"no-store"}, "Content-Type": {"application/problem+json"},
			"X-Content-Type-Options": {"nosniff"},
		}, w.Header())
		assert.Equal(t, `{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Too Many Requests",`+
			`"status":429,"detail":"Too many requests at once. Retry after 1 second."}`+"\n", w.Body.String())
		key := client()
		assert.Equal(t, []ratelimit.Decision{{
			Reason: ratelimit.ReasonInFlight, Rule: "exports", Mode: ratelimit.Enforce, Key: key,
			RetryAfter: time.Second,
		}}, denied)
		assert.Equal(t, 200, serve(h, request("192.0.2.2:1")).Code, "another key")
		pass(11 * time.Second)
		assert.Equal(t, 200, serve(h, request("192.0.2.1:1")).Code, "one of the two has ended")
		pass(10 * time.Second)
		requireNoneHeld(t, l)
	})
}

// The status is 503 if all clients share the key.
func TestInFlightOfAllClients(t *testing.T) {
	tenant := ratelimit.ByHeader("Tenant")
	for name, tc := range map[string]struct {
		key  ratelimit.Keyer
		want int
	}{
		"global":              {ratelimit.Global("all"), 503},
		"pattern":             {ratelimit.ByPattern(), 503},
		"global and pattern":  {ratelimit.AllOf(ratelimit.Global("all"), ratelimit.ByPattern()), 503},
		"pattern and tenant":  {ratelimit.AllOf(ratelimit.ByPattern(), tenant), 429},
		"tenant, else global": {ratelimit.FirstOf(tenant, ratelimit.Global("others")), 429},
		"tenant":              {tenant, 429},
		"a function":          {ratelimit.KeyFunc(func(*http.Request) (ratelimit.Key, error) { return ratelimit.UserKey("x"), nil }), 429},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLimiter(t, ratelimit.Config{})
				mux := http.NewServeMux()
				mux.Handle("GET /", l.With(ratelimit.Rule{Name: "r", InFlight: 1, Key: tc.key})(lasting))
				background(mux, request("192.0.2.1:1", "Tenant", "a", "Lasts", "1s"))
				w := serve(mux, request("192.0.2.1:1", "Tenant", "a"))
				assert.Equal(t, tc.want, w.Code)
				assert.Equal(t, "1", w.Header().Get("Retry-After"))
				if tc.want == 503 {
					assert.Contains(t, w.Body.String(), "#temporary-reduced-capacity")
				}
				pass(time.Second)
				assert.Equal(t, 200, serve(mux, request("192.0.2.1:1", "Tenant", "a")).Code)
				requireNoneHeld(t, l)
			})
		})
	}
}

// Retry-After is the time until a request ends, at the present rate of ends.
func TestInFlightRetryAfter(t *testing.T) {
	for _, tc := range []struct {
		lasts string // each request until now
		n     int
		want  string
	}{
		{"100ms", 1, "1"},
		{"20s", 1, "20"},
		{"20s", 4, "5"},
		{"21s", 4, "6"},
		{"1h", 1, "60"},
		{"1h", 90, "40"},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{atOnce("r", tc.n)}})
			h := l.Handler(lasting)
			for range 10 {
				serve(h, request("192.0.2.2:1", "Lasts", tc.lasts))
			}
			for range tc.n {
				background(h, request("192.0.2.1:1", "Lasts", "1s"))
			}
			assert.Equal(t, tc.want, serve(h, request("192.0.2.1:1")).Header().Get("Retry-After"), "%+v", tc)
			pass(time.Second)
			requireNoneHeld(t, l)
		})
	}
}

// Requests that are denied for their tokens do not shorten Retry-After.
func TestInFlightRetryAfterDenials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		both := rule("both", "5 per hour")
		both.InFlight = 1
		l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{both}})
		h := l.Handler(lasting)
		for range 5 {
			assert.Equal(t, 200, serve(h, request("192.0.2.1:1", "Lasts", "20s")).Code)
		}
		for range 20 {
			assert.Equal(t, 429, serve(h, request("192.0.2.1:1")).Code)
		}
		background(h, request("192.0.2.2:1", "Lasts", "1s"))
		assert.Equal(t, "20", serve(h, request("192.0.2.2:1")).Header().Get("Retry-After"))
		pass(time.Second)
		requireNoneHeld(t, l)
	})
}

// A request that is denied for its tokens is not in flight. A request that is denied because too
// many are in flight takes no tokens.
func TestInFlightAndLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		both := rule("both", "4 per hour")
		both.InFlight = 1
		var l *ratelimit.Limiter
		var heldWhenDenied []int
		l = newLimiter(t, ratelimit.Config{
			Rules: []ratelimit.Rule{rule("outer", "10 per hour")},
			Hooks: ratelimit.Hooks{Denied: func(*http.Request, ratelimit.Decision) {
				permits, _ := l.PermitsHeld()
				heldWhenDenied = append(heldWhenDenied, permits)
			}},
		})
		h := l.Handler(l.With(both)(lasting))
		background(h, request("192.0.2.1:1", "Lasts", "1s"))
		for range 5 {
			w := serve(h, request("192.0.2.1:1"))
			assert.Equal(t, 429, w.Code)
			assert.NotContains(t, w.Header().Get("RateLimit"), "both")
		}
		assert.Equal(t, []int64{9, 3}, []int64{remaining(t, l, "outer"), remaining(t, l, "both")})
		pass(time.Second)
		codes := []int{}
		for range 5 {
			codes = append(codes, serve(h, request("192.0.2.1:1")).Code)
		}
		assert.Equal(t, []int{200, 200, 200, 429, 429}, codes)
		assert.Equal(t, []int{1, 1, 1, 1, 1, 0, 0}, heldWhenDenied)
		requireNoneHeld(t, l)
	})
}

// A request counts under all of its rules, or under none.
func TestInFlightAllOrNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		total := ratelimit.Rule{Name: "total", InFlight: 2, Key: ratelimit.Global("all")}
		l := newLimiter(t, ratelimit.Config{
			Rules:  []ratelimit.Rule{total},
			Routes: map[string][]ratelimit.Rule{"/": {atOnce("client", 1)}},
		})
		h := l.Handler(lasting)
		background(h, request("192.0.2.1:1", "Lasts", "9s"))
		for range 5 {
			assert.Equal(t, 429, serve(h, request("192.0.2.1:1")).Code)
		}
		background(h, request("192.0.2.2:1", "Lasts", "9s"))
		for range 5 {
			assert.Equal(t, 503, serve(h, request("192.0.2.3:1")).Code)
		}
		pass(9 * time.Second)
		for i := range 5 {
			assert.Equal(t, 200, serve(h, request("192.0.2.3:1")).Code, i)
		}
		requireNoneHeld(t, l)
	})
}

// A request that waits for its tokens is in flight until it leaves.
func TestInFlightOfHeldRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		both := rule("both", "1 per second")
		both.InFlight, both.MaxWait = 2, 10*time.Second
		l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{both}})
		h := l.Handler(lasting)
		assert.Equal(t, 200, serve(h, request("192.0.2.1:1")).Code)
		w := background(h, request("192.0.2.1:1"))
		ctx, hangUp := context.WithCancel(t.Context())
		background(h, request("192.0.2.1:1").WithContext(ctx))
		assert.Equal(t, 429, serve(h, request("192.0.2.1:1")).Code)
		permits, _ := l.PermitsHeld()
		assert.Equal(t, 2, permits)
		hangUp()
		synctest.Wait()
		permits, _ = l.PermitsHeld()
		assert.Equal(t, 1, permits)
		pass(time.Second)
		assert.Equal(t, 200, w.Code)
		requireNoneHeld(t, l)
	})
}

// A request is no longer in flight when its handler has ended, in any way.
func TestInFlightEnds(t *testing.T) {
	aborts := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	goexit := func(http.ResponseWriter, *http.Request) { runtime.Goexit() }
	both := rule("both", "1 per hour")
	both.InFlight = 1
	watched := rule("watched", "1 per hour")
	watched.Mode = ratelimit.DryRun
	charged := rule("charged", "5 per hour")
	charged.ResponseCost = func(ratelimit.Response) int64 { runtime.Goexit(); return 0 }
	for name, tc := range map[string]struct {
		cfg     ratelimit.Config
		handler http.HandlerFunc
	}{
		"return":    {ratelimit.Config{}, func(http.ResponseWriter, *http.Request) {}},
		"panic":     {ratelimit.Config{}, func(http.ResponseWriter, *http.Request) { panic("x") }},
		"nil panic": {ratelimit.Config{}, func(http.ResponseWriter, *http.Request) { panic(nil) }}, //nolint:govet // on purpose
		"abort":     {ratelimit.Config{}, aborts},
		"goexit":    {ratelimit.Config{}, goexit},
		"denied panics": {ratelimit.Config{
			Rules:       []ratelimit.Rule{both},
			DenyHandler: func(http.ResponseWriter, *http.Request, ratelimit.Decision) { panic("x") },
		}, lasting},
		"denied ends": {ratelimit.Config{
			Rules: []ratelimit.Rule{both},
			Hooks: ratelimit.Hooks{Denied: func(*http.Request, ratelimit.Decision) { runtime.Goexit() }},
		}, lasting},
		"observed ends": {ratelimit.Config{
			Rules: []ratelimit.Rule{watched},
			Hooks: ratelimit.Hooks{DryRun: func(*http.Request, ratelimit.Decision) { runtime.Goexit() }},
		}, lasting},
		"charging ends":  {ratelimit.Config{Rules: []ratelimit.Rule{charged}}, lasting},
		"panic, charged": {ratelimit.Config{Rules: []ratelimit.Rule{charged}}, aborts},
	} {
		t.Run(name, func(t *testing.T) {
			tc.cfg.Rules = append(tc.cfg.Rules, atOnce("first", 1),
				ratelimit.Rule{Name: "total", InFlight: 1, Key: ratelimit.Global("all")})
			l := newLimiter(t, tc.cfg)
			served := 0
			h := l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				permits, _ := l.PermitsHeld()
				assert.GreaterOrEqual(t, permits, 2)
				served++
				tc.handler(w, r)
			}))
			for range 3 {
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					defer func() { _ = recover() }()
					h.ServeHTTP(httptest.NewRecorder(), request("192.0.2.1:1"))
				}()
				<-ended
				requireNoneHeld(t, l)
			}
			assert.NotZero(t, served)
		})
	}
}

// A hijacked request is in flight until the handler returns, and so is a request of a client that
// has left.
func TestInFlightOfHijackedAndGone(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{atOnce("r", 1)}})
	entered, proceed := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hijack" {
			conn, _, err := w.(http.Hijacker).Hijack()
			assert.NoError(t, err)
			defer conn.Close()
			_, err = io.WriteString(conn, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
			assert.NoError(t, err)
		}
		entered <- struct{}{}
		<-proceed
	})))
	defer server.Close()
	get := func(ctx context.Context, path string) int {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+path, nil)
		require.NoError(t, err)
		resp, err := server.Client().Do(req)
		if err != nil {
			return 0
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	for _, path := range []string{"/hijack", "/gone"} {
		ctx, hangUp := context.WithCancel(t.Context())
		go get(ctx, path)
		<-entered
		hangUp()
		assert.Equal(t, 429, get(t.Context(), "/"), path)
		proceed <- struct{}{}
		require.Eventually(t, func() bool { permits, _ := l.PermitsHeld(); return permits == 0 }, 10*time.Second, time.Millisecond)
	}
}
