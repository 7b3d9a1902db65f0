package outbound_test

import (
	"cmp"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/testsize"
	"github.com/ratelimit-go/ratelimit/outbound"
)

// push has n goroutines send requests for the given time, and returns how many were allowed.
func push(t *testing.T, s *server, cfg outbound.Config, n int, run time.Duration) int {
	t.Helper()
	cfg.Base = s
	cfg.MaxWait = 24 * time.Hour
	tr := newTransport(t, cfg)
	end := time.Now().Add(run)
	if s.until.IsZero() {
		s.until = end
	}
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			for time.Now().Before(end) {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://api.test/", nil)
				require.NoError(t, err)
				_, err = tr.RoundTrip(r)
				assert.NoError(t, err)
			}
		})
	}
	all.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.statuses[200]
}

// library returns a function that makes a server with this library.
func library(t *testing.T, limits string, form ratelimit.Headers) func() http.Handler {
	return func() http.Handler {
		l, err := ratelimit.New(ratelimit.Config{Headers: form, Rules: []ratelimit.Rule{{
			Name: "a", Limits: ratelimit.MustParse(limits), Key: ratelimit.Global("all"),
		}}})
		require.NoError(t, err)
		return l.Handler(answer(200))
	}
}

// Many goroutines use what a server allows, and are never denied, for any form of the fields and
// any way to count.
func TestPace(t *testing.T) {
	fixed := func(fields func(http.Header, *window, int, time.Duration)) func() http.Handler {
		return func() http.Handler { return &window{limit: 100, window: time.Minute, fields: fields} }
	}
	aligned := func(fields func(http.Header, *window, int, time.Duration)) func() http.Handler {
		return func() http.Handler { return &window{limit: 100, window: time.Minute, aligned: true, fields: fields} }
	}
	sliding := func(limit int, fields func(http.Header, *window, int, time.Duration)) func() http.Handler {
		return func() http.Handler {
			return &window{limit: limit, window: time.Minute, aligned: true, sliding: true, fields: fields}
		}
	}
	full := func(round func(time.Duration) string) func() http.Handler {
		return func() http.Handler { return &filling{limit: 100, window: time.Minute, round: round} }
	}
	for _, tc := range []struct {
		name    string
		handler func() http.Handler
		rate    float64 // how many the server allows per minute
		burst   float64 // and how many besides
		share   float64 // to use at least; 0 means 95 %
	}{
		{"fixed window, seconds since 1970 rounded up", fixed(legacy(math.Ceil)), 100, 0, 0},
		{"fixed window, seconds since 1970 rounded down", fixed(legacy(math.Floor)), 100, 0, 0},
		{"fixed window, GitHub", fixed(gitHub), 100, 0, 0},
		{"fixed window, draft 6", fixed(draft6), 100, 0, 0},
		{"fixed window, draft 7", fixed(draft7), 100, 0, 0},
		{"fixed window, draft 8", fixed(draft8), 100, 0, 0},
		{"fixed window, durations", fixed(durations), 100, 0, 0},
		{"aligned window, seconds since 1970 rounded up", aligned(legacy(math.Ceil)), 100, 100, 0},
		{"aligned window, seconds since 1970 rounded down", aligned(legacy(math.Floor)), 100, 100, 0},
		{"aligned window, draft 6", aligned(draft6), 100, 100, 0},
		{"sliding window, seconds since 1970 rounded down", sliding(100, legacy(math.Floor)), 100, 0, 0},
		{"sliding window, seconds since 1970 rounded up", sliding(100, legacy(math.Ceil)), 100, 0, 0},
		{"large sliding window", sliding(1000, legacy(math.Floor)), 1000, 0, 0},
		{"bucket, draft 8", library(t, "100 per minute", ratelimit.DraftHeaders), 100, 100, 0},
		{"bucket with a small burst, draft 8", library(t, "100 per minute burst 5", ratelimit.DraftHeaders), 100, 5, 0},
		{"two buckets, draft 8", library(t, "3 per second; 100 per minute", ratelimit.DraftHeaders), 100, 100, 0},
		{"fast bucket, draft 8", library(t, "20 per second", ratelimit.DraftHeaders), 1200, 20, 0},
		{"fixed window, seconds rounded down", fixed(downDelta), 100, 0, 0},
		{"bucket, draft 7", library(t, "100 per minute", ratelimit.Draft7Headers), 100, 100, 0.98},
		// The fields have no window, so the client finds it out.
		{"bucket, draft 6", library(t, "100 per minute", ratelimit.Draft6Headers), 100, 100, 0.98},
		{"bucket, seconds since 1970", library(t, "100 per minute", ratelimit.LegacyHeaders), 100, 100, 0.98},
		{"short bucket, draft 6", library(t, "40 per 5 seconds", ratelimit.Draft6Headers), 480, 40, 0.98},
		{"short bucket, seconds since 1970", library(t, "40 per 5 seconds", ratelimit.LegacyHeaders), 480, 40, 0.98},
		{"small bucket, draft 6", library(t, "100 per minute burst 10", ratelimit.Draft6Headers), 100, 10, 0.95},
		{"small bucket, seconds since 1970", library(t, "100 per minute burst 10", ratelimit.LegacyHeaders), 100, 10, 0.95},
		{"long bucket, draft 6", library(t, "600 per hour", ratelimit.Draft6Headers), 10, 600, 0.98},
		// The fields name the limit that is nearest to its end.
		{"two buckets, draft 7", library(t, "10 per second; 200 per minute", ratelimit.Draft7Headers), 200, 200, 0},
		{"two buckets, seconds since 1970", library(t, "10 per second; 200 per minute", ratelimit.LegacyHeaders), 200, 200, 0},
		{"bucket that tells when it is full, rounded up", full(up), 100, 100, 0.98},
		{"bucket that tells when it is full, rounded down", full(down), 100, 100, 0.98},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(17*time.Second + 123456*time.Microsecond)
				s := &server{handler: tc.handler(), latency: time.Millisecond, jitter: 20 * time.Millisecond}
				minutes := testsize.Of(10, 5)
				got := push(t, s, outbound.Config{}, 20, time.Duration(minutes)*time.Minute)
				allowed := tc.burst + tc.rate*float64(minutes)
				t.Logf("%d of %.0f, %d denied", got, allowed, s.late)
				assert.Zero(t, s.late, "denials after the first answer")
				assert.GreaterOrEqual(t, float64(got), cmp.Or(tc.share, 0.95)*allowed)
			})
		})
	}
}

// Without a reset in the fields, only answers tell that more is left. Hardly a request is denied,
// and slow answers do not keep the client far below the limit.
func TestWithoutReset(t *testing.T) {
	const ms = time.Millisecond
	remaining := func(h http.Header, used, size int) {
		h.Set("X-RateLimit-Limit", strconv.Itoa(size))
		h.Set("X-RateLimit-Remaining", strconv.Itoa(size-used))
	}
	shopify := func(h http.Header, used, size int) {
		h.Set("X-Shopify-Shop-Api-Call-Limit", fmt.Sprintf("%d/%d", used, size))
	}
	for _, tc := range []struct {
		size, rate      int
		latency, jitter time.Duration // of each way
		fields          func(h http.Header, used, size int)
		share           float64 // to use at least
	}{
		{40, 2, ms, 20 * ms, remaining, 0.95},
		{40, 2, ms, 20 * ms, shopify, 0.95},
		{40, 2, 400 * ms, 100 * ms, shopify, 0.95},
		{20, 10, 100 * ms, 25 * ms, remaining, 0.9},
		{20, 10, 400 * ms, 100 * ms, remaining, 0.75},
		{100, 10, 400 * ms, 100 * ms, remaining, 0.85},
		{1000, 500, 100 * ms, 25 * ms, remaining, 0.9},
	} {
		t.Run(fmt.Sprintf("%d and %d per second, %v", tc.size, tc.rate, tc.latency), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &leaking{size: tc.size, rate: tc.rate, fields: tc.fields}
				s := &server{handler: h, latency: tc.latency, jitter: tc.jitter}
				got := push(t, s, outbound.Config{}, 200, 2*time.Minute)
				allowed := tc.size + tc.rate*120
				t.Logf("%d of %d, %d denied", got, allowed, s.late)
				assert.LessOrEqual(t, s.late, got/50)
				assert.GreaterOrEqual(t, float64(got), tc.share*float64(allowed))
			})
		})
	}
}

// A server has a higher limit than before. The limit that it no longer names is forgotten.
func TestLimitThatRises(t *testing.T) {
	windows := func(w *window) func() (http.Handler, func()) {
		return func() (http.Handler, func()) {
			w.limit, w.window = 20, 10*time.Second
			return w, func() { w.mu.Lock(); w.limit = 200; w.mu.Unlock() }
		}
	}
	buckets := func(form ratelimit.Headers) func() (http.Handler, func()) {
		return func() (http.Handler, func()) {
			rule := ratelimit.Rule{
				Name: "a", Limits: ratelimit.MustParse("20 per 10 seconds"), Key: ratelimit.Global("all"),
			}
			l, err := ratelimit.New(ratelimit.Config{Headers: form, Rules: []ratelimit.Rule{rule}})
			require.NoError(t, err)
			rule.Limits = ratelimit.MustParse("200 per 10 seconds")
			return l.Handler(answer(200)), func() { assert.NoError(t, l.SetRules(rule)) }
		}
	}
	for name, server := range map[string]func() (http.Handler, func()){
		"window, draft 6":            windows(&window{fields: draft6}),
		"window, seconds":            windows(&window{fields: downDelta}),
		"sliding window":             windows(&window{aligned: true, sliding: true, fields: legacy(math.Floor)}),
		"bucket, draft 8":            buckets(ratelimit.DraftHeaders),
		"bucket, draft 7":            buckets(ratelimit.Draft7Headers),
		"bucket, draft 6":            buckets(ratelimit.Draft6Headers),
		"bucket, seconds since 1970": buckets(ratelimit.LegacyHeaders),
	} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { testLimitThatRises(t, server) }) })
	}
}

func testLimitThatRises(t *testing.T, newServer func() (http.Handler, func())) {
	h, raise := newServer()
	s := &server{handler: h, latency: time.Millisecond, jitter: 20 * time.Millisecond}
	var all sync.WaitGroup
	all.Go(func() {
		time.Sleep(time.Minute)
		raise()
	})
	got := push(t, s, outbound.Config{}, 20, 6*time.Minute)
	all.Wait()
	t.Logf("%d, %d denied", got, s.late)
	assert.GreaterOrEqual(t, got, 2_000, "of 4,800 in the last four minutes; the old limit allows 720")
}

// A client that stays below the limits is not slowed down by resets.
func TestResetsDoNotSlowDown(t *testing.T) {
	for name, fields := range map[string]func(http.Header, *window, int, time.Duration){
		"draft 6": draft6, "draft 8": draft8, "seconds since 1970": legacy(math.Ceil), "durations": durations,
		"tokens": func(h http.Header, _ *window, _ int, _ time.Duration) {
			h.Set("x-ratelimit-remaining-tokens", "1000")
			h.Set("x-ratelimit-reset-tokens", "12ms")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &server{handler: &window{limit: 10_000, window: time.Second, fields: fields}, latency: 50 * time.Millisecond}
				got := push(t, s, outbound.Config{}, 20, 20*time.Second)
				assert.GreaterOrEqual(t, got, 3900, "of 20 requests every 100 ms")
			})
		})
	}
}

// Two processes share a quota and do not know of each other. Denials are few, because each process
// sees how much more is used than it uses itself.
func TestTwoProcesses(t *testing.T) {
	windows := func(w *window) func() http.Handler {
		w.limit, w.window = 100, time.Minute
		return func() http.Handler { return w }
	}
	for _, tc := range []struct {
		name    string
		handler func() http.Handler
		share   float64 // of the quota, to use at least
		denied  int     // at most, of 1,000
	}{
		{"draft 8", windows(&window{fields: draft8}), 0.95, 30},
		{"seconds since 1970", windows(&window{fields: legacy(math.Ceil)}), 0.95, 30},
		// Each denial is told a long wait.
		{"sliding window", windows(&window{aligned: true, sliding: true, fields: legacy(math.Floor)}), 0.5, 30},
		{"bucket", library(t, "100 per minute", ratelimit.DraftHeaders), 1, 75},
		{"bucket, seconds since 1970", library(t, "100 per minute", ratelimit.LegacyHeaders), 0.95, 30},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const run = 10 * time.Minute
				s := &server{handler: tc.handler(), latency: time.Millisecond, jitter: 20 * time.Millisecond, until: time.Now().Add(run)}
				var all sync.WaitGroup
				for range 2 {
					all.Go(func() { push(t, s, outbound.Config{}, 10, run) })
				}
				all.Wait()
				t.Logf("%v", s.statuses)
				assert.GreaterOrEqual(t, s.statuses[200], int(tc.share*1000))
				assert.LessOrEqual(t, s.statuses[429], tc.denied)
			})
		})
	}
}
