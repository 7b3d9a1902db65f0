package ratelimit_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// atOnce is a rule without limits.
func atOnce(name string, n int) ratelimit.Rule {
	return ratelimit.Rule{Name: name, InFlight: n, Key: ratelimit.ByRemoteIP()}
}

// lasting is a handler that takes as long as the request says.
var lasting = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	d, _ := time.ParseDuration(r.Header.Get("Lasts"))
	time.Sleep(d)
	w.WriteHeader(http.StatusOK)
})

// background serves a request by h in a goroutine that goes on until it is answered. It returns when
// the handler is asleep, in a bubble of synctest.
func background(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	go h.ServeHTTP(w, r)
	synctest.Wait()
	return w
}

// pass lets time go by in a bubble of synctest, and what happens at its end happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func requireNoneHeld(t *testing.T, l *ratelimit.Limiter) {
	t.Helper()
	permits, holders := l.PermitsHeld()
	require.Zero(t, permits)
	require.Zero(t, holders, "who holds nothing must be forgotten")
}

func TestInFlightForEachKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var denied []ratelimit.Decision
		l := newLimiter(t, ratelimit.Config{
			Rules:    []ratelimit.Rule{atOnce("exports", 2)},
			OnDenied: func(_ *http.Request, d ratelimit.Decision) { denied = append(denied, d) },
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
		assert.Equal(t, `{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Too Many Requests","status":429,`+
			`"detail":"Too many requests at once. Retry after 1 second."}`+"\n", w.Body.String())
		key, _ := ratelimit.ByRemoteIP().Key(request("192.0.2.1:1"))
		assert.Equal(t, []ratelimit.Decision{{Reason: ratelimit.ReasonInFlight, Rule: "exports", Key: key, RetryAfter: time.Second}}, denied)
		assert.Equal(t, 200, serve(h, request("192.0.2.2:1")).Code, "another key")
		pass(11 * time.Second)
		assert.Equal(t, 200, serve(h, request("192.0.2.1:1")).Code, "one of the two has ended")
		pass(10 * time.Second)
		requireNoneHeld(t, l)
	})
}

// 503 where nobody is at fault alone.
func TestInFlightOfEverybody(t *testing.T) {
	tenant := ratelimit.ByHeader("Tenant")
	for name, tc := range map[string]struct {
		key  ratelimit.Keyer
		want int
	}{
		"constant":                {ratelimit.Constant("all"), 503},
		"pattern":                 {ratelimit.ByPattern(), 503},
		"constant and pattern":    {ratelimit.Combine(ratelimit.Constant("all"), ratelimit.ByPattern()), 503},
		"pattern and tenant":      {ratelimit.Combine(ratelimit.ByPattern(), tenant), 429},
		"tenant, else everybody":  {ratelimit.FirstOf(tenant, ratelimit.Constant("others")), 429},
		"tenant":                  {tenant, 429},
		"a function for everyone": {ratelimit.KeyFunc(func(*http.Request) (ratelimit.Key, error) { return ratelimit.UserKey("x"), nil }), 429},
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

// The wait is what it takes, at the rate of late, until a place is free.
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

// What is refused for its tokens takes no time, and is no measure of how long requests take.
func TestInFlightRetryAfterRefusals(t *testing.T) {
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

// A refused request costs nothing anywhere: no token if there is no place, and no place if there is no token.
func TestInFlightAndLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		both := rule("both", "4 per hour")
		both.InFlight = 1
		var l *ratelimit.Limiter
		var heldWhenDenied []int
		l = newLimiter(t, ratelimit.Config{
			Rules: []ratelimit.Rule{rule("outer", "10 per hour")},
			OnDenied: func(*http.Request, ratelimit.Decision) {
				permits, _ := l.PermitsHeld()
				heldWhenDenied = append(heldWhenDenied, permits)
			},
		})
		h := l.Handler(l.With(both)(lasting))
		left := func(name string) int64 {
			key, _ := ratelimit.ByRemoteIP().Key(request("192.0.2.1:1"))
			d, err := l.Peek(context.Background(), name, key)
			require.NoError(t, err)
			return d.Remaining
		}
		background(h, request("192.0.2.1:1", "Lasts", "1s"))
		for range 5 {
			w := serve(h, request("192.0.2.1:1"))
			assert.Equal(t, 429, w.Code)
			assert.NotContains(t, w.Header().Get("RateLimit"), "both")
		}
		assert.Equal(t, []int64{9, 3}, []int64{left("outer"), left("both")})
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

// Several rules: a place of each, or of none.
func TestInFlightAllOrNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		total := ratelimit.Rule{Name: "total", InFlight: 2, Key: ratelimit.Constant("all")}
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

// A request that is held for its tokens is in flight, and no more once it has given up.
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

// However a request ends, its place is free.
func TestInFlightIsReleased(t *testing.T) {
	aborts := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	goexit := func(http.ResponseWriter, *http.Request) { runtime.Goexit() }
	both := rule("both", "1 per hour")
	both.InFlight = 1
	watched := rule("watched", "1 per hour")
	watched.Mode = ratelimit.Observe
	charged := rule("charged", "5 per hour")
	charged.Charge = func(ratelimit.Response) int64 { runtime.Goexit(); return 0 }
	for name, tc := range map[string]struct {
		cfg     ratelimit.Config
		handler http.HandlerFunc
	}{
		"return":         {ratelimit.Config{}, func(http.ResponseWriter, *http.Request) {}},
		"panic":          {ratelimit.Config{}, func(http.ResponseWriter, *http.Request) { panic("x") }},
		"nil panic":      {ratelimit.Config{}, func(http.ResponseWriter, *http.Request) { panic(nil) }}, //nolint:govet // on purpose
		"abort":          {ratelimit.Config{}, aborts},
		"goexit":         {ratelimit.Config{}, goexit},
		"denied panics":  {ratelimit.Config{Rules: []ratelimit.Rule{both}, Denied: func(http.ResponseWriter, *http.Request, ratelimit.Decision) { panic("x") }}, lasting},
		"denied ends":    {ratelimit.Config{Rules: []ratelimit.Rule{both}, OnDenied: func(*http.Request, ratelimit.Decision) { runtime.Goexit() }}, lasting},
		"observed ends":  {ratelimit.Config{Rules: []ratelimit.Rule{watched}, OnObserved: func(*http.Request, ratelimit.Decision) { runtime.Goexit() }}, lasting},
		"charging ends":  {ratelimit.Config{Rules: []ratelimit.Rule{charged}}, lasting},
		"panic, charged": {ratelimit.Config{Rules: []ratelimit.Rule{charged}}, aborts},
	} {
		t.Run(name, func(t *testing.T) {
			tc.cfg.Rules = append(tc.cfg.Rules, atOnce("first", 1), ratelimit.Rule{Name: "total", InFlight: 1, Key: ratelimit.Constant("all")})
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

// A connection that was taken over is in flight until the handler returns; and a client that has
// gone is in flight as long as its handler.
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

// A rule may be replaced, or removed, while its requests are in flight.
func TestInFlightReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		with := func(n ...int) ratelimit.Config {
			cfg := ratelimit.Config{}
			for i, n := range n {
				cfg.Rules = append(cfg.Rules, atOnce("r"+strconv.Itoa(i), n))
			}
			return cfg
		}
		l := newLimiter(t, with(3))
		h := l.Handler(lasting)
		code := func() int { return serve(h, request("192.0.2.1:1")).Code }
		for i := range 3 {
			background(h, request("192.0.2.1:1", "Lasts", strconv.Itoa(i+1)+"s"))
		}
		assert.Equal(t, 429, code())
		require.NoError(t, l.Replace(with(2)))
		assert.Equal(t, 429, code())
		pass(time.Second)
		assert.Equal(t, 429, code(), "two are still in flight")
		require.NoError(t, l.Replace(with()))
		assert.Equal(t, 200, code(), "no rule")
		require.NoError(t, l.Replace(with(2, 1)))
		assert.Equal(t, 429, code(), "the two were not forgotten")
		pass(time.Second)
		assert.Equal(t, 200, code())
		require.NoError(t, l.Replace(with(0+1)))
		assert.Equal(t, 429, code())
		pass(time.Second)
		assert.Equal(t, 200, code())
		requireNoneHeld(t, l)
	})
}

// Behind the same decorator twice, a request is in flight once; two rules are two.
func TestInFlightNested(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, other := newLimiter(t, ratelimit.Config{}), newLimiter(t, ratelimit.Config{})
		one, two, theirs := l.With(atOnce("one", 1)), l.With(atOnce("two", 1)), other.With(atOnce("one", 1))
		h := one(two(theirs(one(two(lasting)))))
		background(h, request("192.0.2.1:1", "Lasts", "1s"))
		permits, _ := l.PermitsHeld()
		assert.Equal(t, 2, permits)
		assert.Equal(t, 429, serve(two(lasting), request("192.0.2.1:1")).Code)
		assert.Equal(t, 429, serve(theirs(lasting), request("192.0.2.1:1")).Code)
		pass(time.Second)
		assert.Equal(t, 200, serve(h, request("192.0.2.1:1")).Code)
		requireNoneHeld(t, l)
		requireNoneHeld(t, other)
	})
}

// Rules that are off or only observe, and questions, take no place.
func TestInFlightModes(t *testing.T) {
	for mode, want := range map[ratelimit.Mode]int{ratelimit.Enforce: 429, ratelimit.Observe: 200, ratelimit.Off: 200} {
		synctest.Test(t, func(t *testing.T) {
			r := atOnce("r", 1)
			r.Mode = mode
			l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{r}})
			h := l.Handler(lasting)
			background(h, request("192.0.2.1:1", "Lasts", "1s"))
			assert.Equal(t, want, serve(h, request("192.0.2.1:1")).Code, mode)
			_, err := l.Explain(request("192.0.2.1:1"))
			require.NoError(t, err)
			require.NoError(t, l.SetMode("r", ratelimit.Off))
			assert.Equal(t, 200, serve(h, request("192.0.2.1:1")).Code, mode)
			d, err := l.Take(t.Context(), "r", ratelimit.UserKey("a"), 1)
			require.NoError(t, err)
			assert.Equal(t, ratelimit.Decision{Allowed: true}, d, "a rule without limits")
			pass(time.Second)
			requireNoneHeld(t, l)
		})
	}
}

func TestInFlightMistakes(t *testing.T) {
	for n, want := range map[int]string{-1: "Rules[0].InFlight: -1", 1_000_001: "want 1 to 1000000", 0: "Rules[0].Limits: no limits"} {
		_, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{atOnce("r", n)}})
		require.ErrorContains(t, err, want)
	}
	_, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{{Name: "r", InFlight: 1, Key: ratelimit.ByRemoteIP(), Limits: ratelimit.Limits{{}}}}})
	require.ErrorContains(t, err, "Rules[0].Limits")
}
