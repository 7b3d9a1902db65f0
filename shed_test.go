package ratelimit_test

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// byHeader is a priority that anybody can choose, which is good for tests only.
func byHeader(r *http.Request) ratelimit.Priority {
	p, _ := strconv.Atoi(r.Header.Get("Priority"))
	return ratelimit.Priority(p)
}

func newShedder(t testing.TB, cfg ratelimit.ShedConfig) *ratelimit.Shedder {
	t.Helper()
	s, err := ratelimit.NewShedder(cfg)
	require.NoError(t, err)
	return s
}

func prioritized(p ratelimit.Priority, headers ...string) *http.Request {
	r := request("192.0.2.1:1", headers...)
	r.Header.Set("Priority", strconv.Itoa(int(p)))
	return r
}

func TestShedsByPriority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShedder(t, ratelimit.ShedConfig{MaxInFlight: 8, Priority: byHeader})
		h := s.Handler(lasting)
		for range 5 {
			background(h, prioritized(ratelimit.Sheddable, "Lasts", "1m"))
		}
		assert.Equal(t, http.StatusServiceUnavailable, serve(h, prioritized(ratelimit.Sheddable)).Code, "three quarters of the limit, rounded down")
		assert.Equal(t, http.StatusServiceUnavailable, serve(h, prioritized(-100)).Code, "below the lowest")
		background(h, prioritized(ratelimit.Normal, "Lasts", "1m"))
		background(h, prioritized(ratelimit.Normal, "Lasts", "1m"))
		assert.Equal(t, http.StatusServiceUnavailable, serve(h, prioritized(ratelimit.Normal)).Code, "the limit")
		background(h, prioritized(ratelimit.Critical, "Lasts", "1m"))
		assert.Equal(t, http.StatusServiceUnavailable, serve(h, prioritized(ratelimit.Critical)).Code, "the hard maximum")
		assert.Equal(t, http.StatusServiceUnavailable, serve(h, prioritized(100)).Code, "above the highest")
		assert.Equal(t, ratelimit.ShedStats{Limit: 7, InFlight: 8, Shed: map[ratelimit.Priority]int64{
			ratelimit.Sheddable: 2, ratelimit.Normal: 1, ratelimit.Critical: 2,
		}}, s.Stats())
		pass(time.Minute)
		assert.Zero(t, s.Stats().InFlight)
		assert.Equal(t, http.StatusOK, serve(h, prioritized(ratelimit.Sheddable)).Code)
	})
}

func TestPriorityNames(t *testing.T) {
	var zero ratelimit.Priority
	assert.Equal(t, "normal", zero.String())
	assert.Equal(t, "sheddable", ratelimit.Sheddable.String())
	assert.Equal(t, "critical", ratelimit.Priority(100).String())
}

// Even a limit of one admits requests of every priority, when nothing is in flight.
func TestShedderNeverLocksUp(t *testing.T) {
	s := newShedder(t, ratelimit.ShedConfig{MaxInFlight: 1, MinInFlight: 1, TargetLatency: 1, Priority: byHeader})
	for p := ratelimit.Sheddable; p <= ratelimit.Critical; p++ {
		assert.Equal(t, http.StatusOK, serve(s.Handler(ok), prioritized(p)).Code)
	}
}

// A full shedder, whatever it is asked by.
func fullShedder(t *testing.T, cfg ratelimit.ShedConfig, next http.Handler) http.Handler {
	t.Helper()
	cfg.MaxInFlight = 1
	s := newShedder(t, cfg)
	release, entered := make(chan struct{}), make(chan struct{})
	block := s.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(entered); <-release }))
	go block.ServeHTTP(httptest.NewRecorder(), request("192.0.2.9:1"))
	<-entered
	t.Cleanup(func() { close(release) })
	return s.Handler(next)
}

func TestShedResponse(t *testing.T) {
	h := fullShedder(t, ratelimit.ShedConfig{}, ok)
	for range 100 {
		w := serve(h, request("192.0.2.1:1"))
		secs, err := strconv.Atoi(w.Header().Get("Retry-After"))
		require.NoError(t, err)
		require.True(t, 1 <= secs && secs <= 3, "Retry-After: %d", secs)
		plural := "s"
		if secs == 1 {
			plural = ""
		}
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
		require.JSONEq(t, `{"type":"https://iana.org/assignments/http-problem-types#temporary-reduced-capacity",`+
			`"title":"Service Unavailable","status":503,`+
			`"detail":"The service is short of capacity. Retry after `+strconv.Itoa(secs)+` second`+plural+`."}`, w.Body.String())
	}
	w := serve(h, request("192.0.2.1:1", "Accept", "text/html"))
	assert.Equal(t, "text/plain; charset=utf-8", w.Header().Get("Content-Type"))
	assert.Contains(t, w.Body.String(), "The service is short of capacity. Retry after ")
	head := request("192.0.2.1:1")
	head.Method = http.MethodHead
	w = serve(h, head)
	assert.Zero(t, w.Body.Len())
	assert.NotEmpty(t, w.Header().Get("Content-Length"))
}

func TestShedHooks(t *testing.T) {
	var seen []ratelimit.Decision
	var reported []error
	h := fullShedder(t, ratelimit.ShedConfig{
		OnDenied: func(_ *http.Request, d ratelimit.Decision) { seen = append(seen, d); panic("in OnDenied") },
		OnError:  func(_ context.Context, err error) { reported = append(reported, err) },
		Priority: func(*http.Request) ratelimit.Priority { panic("in Priority") },
		Denied: func(w http.ResponseWriter, _ *http.Request, d ratelimit.Decision) {
			seen = append(seen, d)
			w.WriteHeader(http.StatusTeapot)
		},
	}, ok)
	reported = nil // by the request that fills it
	w := serve(h, request("192.0.2.1:1"))
	assert.Equal(t, http.StatusTeapot, w.Code)
	require.Len(t, seen, 2)
	assert.Equal(t, seen[0], seen[1])
	assert.Equal(t, ratelimit.Decision{Reason: ratelimit.ReasonOverload, RetryAfter: seen[0].RetryAfter}, seen[0])
	assert.Equal(t, strconv.Itoa(int(seen[0].RetryAfter.Seconds())), w.Header().Get("Retry-After"))
	require.Len(t, reported, 2)
	assert.EqualError(t, reported[0], "ratelimit: Priority: panic: in Priority")
	assert.EqualError(t, reported[1], "ratelimit: OnDenied: panic: in OnDenied")
}

func TestShedExempt(t *testing.T) {
	panics := true
	h := fullShedder(t, ratelimit.ShedConfig{
		OnError: func(context.Context, error) {},
		Exempt: func(r *http.Request) bool {
			if panics && r.URL.Path == "/panic" {
				panic("in Exempt")
			}
			return r.URL.Path == "/events"
		},
	}, ok)
	assert.Equal(t, http.StatusServiceUnavailable, serve(h, httptest.NewRequest("GET", "/", nil)).Code)
	assert.Equal(t, http.StatusServiceUnavailable, serve(h, httptest.NewRequest("GET", "/panic", nil)).Code)
	assert.Equal(t, http.StatusOK, serve(h, httptest.NewRequest("GET", "/events", nil)).Code)
}

// What is shed is given back what a limiter around the shedder has taken.
func TestShedGivesBack(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("per-client", "1 per hour")}})
	h := l.Handler(fullShedder(t, ratelimit.ShedConfig{}, ok))
	for range 3 {
		assert.Equal(t, http.StatusServiceUnavailable, serve(h, request("192.0.2.1:1")).Code)
	}
}

func TestShedderPassesTheWriterOn(t *testing.T) {
	w := httptest.NewRecorder()
	newShedder(t, ratelimit.ShedConfig{MaxInFlight: 1}).Handler(http.HandlerFunc(func(got http.ResponseWriter, _ *http.Request) {
		assert.Same(t, w, got)
	})).ServeHTTP(w, request("192.0.2.1:1"))
}

func TestShedderReleasesOnce(t *testing.T) {
	for name, end := range map[string]func(){
		"return":  func() {},
		"panic":   func() { panic("at random") },
		"abort":   func() { panic(http.ErrAbortHandler) },
		"go exit": runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			s := newShedder(t, ratelimit.ShedConfig{MaxInFlight: 1, TargetLatency: time.Second})
			h := s.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				assert.Equal(t, 1, s.Stats().InFlight)
				end()
			}))
			for range 3 {
				var wg sync.WaitGroup
				wg.Go(func() {
					defer func() { _ = recover() }()
					h.ServeHTTP(httptest.NewRecorder(), request("192.0.2.1:1"))
				})
				wg.Wait()
				require.Zero(t, s.Stats().InFlight)
			}
			assert.Zero(t, s.Stats().Shed[ratelimit.Normal])
		})
	}
}

func TestShedderMistakes(t *testing.T) {
	for want, cfg := range map[string]ratelimit.ShedConfig{
		"ratelimit: MaxInFlight: 0: want 1 to 1000000": {},
		"ratelimit: MaxInFlight: -1: want 1 to 1000000\n" +
			"ratelimit: MinInFlight: -2: want a positive number, or 0 for a tenth of MaxInFlight\n" +
			"ratelimit: TargetLatency: -1s: want a positive time, or 0 for a limit that does not adapt": {
			MaxInFlight: -1, MinInFlight: -2, TargetLatency: -time.Second,
		},
		"ratelimit: MinInFlight: 5: want at most MaxInFlight, which is 4": {MaxInFlight: 4, MinInFlight: 5},
	} {
		_, err := ratelimit.NewShedder(cfg)
		require.EqualError(t, err, want)
		var one *ratelimit.ConfigError
		require.ErrorAs(t, err, &one)
	}
}

func TestShedderAllocatesNothing(t *testing.T) {
	s := newShedder(t, ratelimit.ShedConfig{
		MaxInFlight: 10, TargetLatency: time.Second,
		Priority: func(*http.Request) ratelimit.Priority { return ratelimit.Normal },
		Exempt:   func(*http.Request) bool { return false },
	})
	h, w, r := s.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})), httptest.NewRecorder(), request("192.0.2.1:1")
	assert.Zero(t, testing.AllocsPerRun(100, func() { h.ServeHTTP(w, r) }))
}

// Whatever it observes, the limit keeps its bounds, and it is lowered at most by half and at most
// once for requests that began before.
func TestAdaptiveLimitKeepsItsBounds(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	const target = 100 * time.Millisecond
	for range 100 {
		upper := 1 + rnd.IntN(1000)
		lower := 1 + rnd.IntN(upper)
		a := ratelimit.NewAdaptive(lower, upper, target)
		limit, now, cut := a.Limit(), time.Duration(0), time.Duration(-1)
		require.InDelta(t, upper, limit, 0)
		for range 5000 {
			now += time.Duration(rnd.IntN(int(20 * time.Millisecond)))
			began := max(0, now-time.Duration(rnd.ExpFloat64()*float64(target)/2))
			a = a.Observe(began, now, 1+rnd.IntN(upper))
			got := a.Limit()
			require.True(t, float64(lower) <= got && got <= float64(upper), "%v is not in %d..%d", got, lower, upper)
			if got < limit {
				require.GreaterOrEqual(t, got, limit/2)
				require.GreaterOrEqual(t, began, cut, "who began before the last cut must not cause another one")
				cut = now
			}
			limit = got
		}
	}
}

// What a window does to a limit of 50.
func TestAdaptiveLimitByWindow(t *testing.T) {
	const target = time.Second
	start := ratelimit.NewAdaptive(1, 100, target)
	for range 20 {
		start = start.Observe(0, 2*target, 100)
	}
	require.InDelta(t, 50, start.Limit(), 0, "all of them were slow")
	for name, c := range map[string]struct {
		seen, slow, peak int
		want             float64
	}{
		"quick, and in use":             {20, 0, 25, 52},
		"quick, and not in use":         {20, 0, 24, 50},
		"some are slow at all times":    {20, 1, 50, 52},
		"more are":                      {20, 2, 50, 50 * 0.95},
		"all are":                       {20, 20, 50, 25},
		"half are, but it is not used":  {20, 10, 24, 50},
		"most are, though it is unused": {20, 11, 24, 50 * (1 - 0.55/2)},
		"too few to tell":               {19, 19, 50, 50},
	} {
		t.Run(name, func(t *testing.T) {
			a := start
			for i := range c.seen {
				const now = 5 * target
				began := now - target // which is not too long
				if i < c.slow {
					began--
				}
				a = a.Observe(began, now, c.peak)
			}
			assert.InDelta(t, c.want, a.Limit(), 1e-9)
		})
	}
	early := start
	for range 100 {
		early = early.Observe(2*target, 3*target-1, 50)
	}
	assert.InDelta(t, 50, early.Limit(), 0, "a window is as long as the target")
	for range 100 {
		early = early.Observe(2*target-1, 9*target, 50)
	}
	assert.InDelta(t, 50, early.Limit(), 0, "who began before the limit was lowered tells nothing about it")
}
