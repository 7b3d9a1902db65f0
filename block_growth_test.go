package ratelimit_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// Exactly as many violations as After says begin a block. Its end is the Retry-After.
func TestBlockAfterExactlySoManyViolations(t *testing.T) {
	for _, n := range []int64{1, 2, 5, 100} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				block := ratelimit.Block{After: ratelimit.Per(n, time.Hour), For: 2 * time.Hour, Max: 2 * time.Hour}
				cfg := ratelimit.Config{Rules: []ratelimit.Rule{blocking(block)}}
				last := lastDenial(&cfg)
				l := newLimiter(t, cfg)
				h := l.Handler(ok)
				require.Equal(t, 200, serve(h, with()).Code)
				for range n - 1 {
					require.Equal(t, 429, serve(h, with()).Code)
					require.Equal(t, ratelimit.ReasonLimit, last.Reason)
				}
				assert.Empty(t, l.Blocked())
				w := serve(h, with())
				assert.Equal(t, 429, w.Code)
				assert.Equal(t, blockedDecision(2*time.Hour), *last)
				assert.Equal(t, []string{"7200"}, w.Header()["Retry-After"])
				want := ratelimit.Blocked{Rule: "p", Key: client(), Until: time.Now().Add(2 * time.Hour), Times: 1}
				assert.Equal(t, []ratelimit.Blocked{want}, l.Blocked())

				time.Sleep(2*time.Hour - 1)
				assert.Equal(t, 429, serve(h, with()).Code, "a nanosecond too early")
				assert.Equal(t, 200, serve(h, request("192.0.2.2:1")).Code, "another client")
				time.Sleep(time.Nanosecond)
				assert.Equal(t, 200, serve(h, with()).Code, "at the time that Retry-After said")
				assert.Empty(t, l.Blocked())
			})
		})
	}
}

func TestFewerViolationsThanAfterNeverBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		block := ratelimit.Block{After: ratelimit.MustParse("3 per 3 minutes")[0]}
		l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{blocking(block)}})
		for range 100 {
			d, err := l.Take(t.Context(), "p", client(), tooMany)
			require.NoError(t, err)
			require.Equal(t, ratelimit.ReasonExceedsBurst, d.Reason)
			time.Sleep(time.Minute)
		}
	})
}

func TestBlockLengths(t *testing.T) {
	const s, m, h = time.Second, time.Minute, time.Hour
	for _, tc := range []struct {
		name   string
		block  ratelimit.Block
		pauses []time.Duration // after the end of each block
		want   []time.Duration
	}{
		{
			name: "doubled up to an hour, or Max", block: ratelimit.Block{},
			pauses: []time.Duration{0, 0, 0, 0, 0, 0, 0, 0}, want: []time.Duration{m, 2 * m, 4 * m, 8 * m, 16 * m, 32 * m, h, h},
		},
		{
			name: "Max equals For", block: ratelimit.Block{For: h, Max: h},
			pauses: []time.Duration{0, 0, 0}, want: []time.Duration{h, h, h},
		},
		{
			name: "Max is a doubling of For", block: ratelimit.Block{For: s, Max: 4 * s},
			pauses: []time.Duration{0, 0, 0, 0}, want: []time.Duration{s, 2 * s, 4 * s, 4 * s},
		},
		{
			name: "just before a block is forgotten", block: ratelimit.Block{Forget: h},
			pauses: []time.Duration{h - m, h}, want: []time.Duration{m, 2 * m},
		},
		{
			name: "a block is forgotten", block: ratelimit.Block{Forget: h},
			pauses: []time.Duration{h, h, h}, want: []time.Duration{m, m, m},
		},
		{
			name: "one block of three is forgotten", block: ratelimit.Block{Forget: h},
			pauses: []time.Duration{0, 0, h, 0}, want: []time.Duration{m, 2 * m, 4 * m, 4 * m},
		},
		{
			name: "two blocks of three are forgotten", block: ratelimit.Block{Forget: h},
			pauses: []time.Duration{0, 0, 2 * h, 0}, want: []time.Duration{m, 2 * m, 4 * m, 2 * m},
		},
		{
			name: "only as many blocks are remembered as lead to Max", block: ratelimit.Block{Max: 2 * m, Forget: h},
			pauses: []time.Duration{0, 0, 0, 0, h, h}, want: []time.Duration{m, 2 * m, 2 * m, 2 * m, 2 * m, m},
		},
		{
			name: "blocks longer than Forget", block: ratelimit.Block{For: h, Max: 8 * h, Forget: m},
			pauses: []time.Duration{0, 0, m, 0}, want: []time.Duration{h, 2 * h, 4 * h, 4 * h},
		},
		{
			name: "times that are not whole milliseconds", block: ratelimit.Block{For: s + 1, Max: 5*s + 7, Forget: m + 3},
			pauses: []time.Duration{0, 0, 0, 0},
			want:   []time.Duration{1001 * time.Millisecond, 2002 * time.Millisecond, 4004 * time.Millisecond, 5001 * time.Millisecond},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tc.block.After = ratelimit.Per(3, time.Hour)
				l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{blocking(tc.block)}})
				for i, want := range tc.want {
					got := violateUntilBlocked(t, l)
					require.Equal(t, want, got, "block %d", i+1)
					time.Sleep(got + time.Microsecond + tc.pauses[i])
				}
			})
		})
	}
}

// blockAnswers answers POST with 401 and GET with 200. It panics for PUT.
var blockAnswers = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodPost:
		w.WriteHeader(http.StatusUnauthorized)
	case http.MethodPut:
		panic(http.ErrAbortHandler)
	default:
		w.WriteHeader(http.StatusOK)
	}
})

func TestResponsesAreViolationsIfWhenSaysSo(t *testing.T) {
	failed := func(res ratelimit.Response) bool { return res.Status == 401 || res.Panicked }
	panics := func(ratelimit.Response) bool { panic("when") }
	for _, tc := range []struct {
		name     string
		when     func(ratelimit.Response) bool
		methods  string
		blocked  bool
		reported []string // errors
	}{
		{name: "two failures", when: failed, methods: "POST POST"},
		{name: "three failures", when: failed, methods: "POST POST POST", blocked: true},
		{name: "successes between failures", when: failed, methods: "GET POST GET POST GET GET GET"},
		{name: "a handler that panics", when: failed, methods: "PUT POST PUT", blocked: true},
		{name: "no When", when: nil, methods: "POST POST POST POST"},
		{
			name: "a When that panics", when: panics, methods: "POST POST POST POST",
			reported: slices.Repeat([]string{`ratelimit: rule "p": When: panic: when`}, 5),
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rule("p", "100 per hour")
				r.Block = &ratelimit.Block{After: ratelimit.Per(3, time.Hour), When: tc.when}
				var told []ratelimit.Blocked
				var reported []string
				l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{r}, Hooks: ratelimit.Hooks{
					Error:   func(_ context.Context, err error) { reported = append(reported, err.Error()) },
					Blocked: func(_ context.Context, b ratelimit.Blocked) { told = append(told, b) },
				}})
				h := l.Handler(blockAnswers)
				for _, method := range strings.Fields(tc.methods) {
					r := with()
					r.Method = method
					func() {
						defer func() { _ = recover() }()
						assert.NotEqual(t, 429, serve(h, r).Code)
					}()
				}
				assert.Equal(t, tc.blocked, serve(h, with()).Code == 429)
				assert.Equal(t, told, l.Blocked())
				assert.Equal(t, tc.blocked, len(told) == 1)
				assert.Equal(t, tc.reported, reported)
			})
		})
	}
}

// Responses to requests that were in flight when their key was blocked are no violations.
func TestResponsesDuringABlockAreNoViolations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rule("p", "100 per hour")
		r.Block = &ratelimit.Block{After: ratelimit.Per(3, time.Hour), When: ratelimit.StatusIn(404)}
		l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{r}})
		answer := make(chan struct{})
		h := l.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			<-answer
			w.WriteHeader(http.StatusNotFound)
		}))
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() { assert.Equal(t, 404, serve(h, with()).Code) })
		}
		synctest.Wait()
		close(answer)
		all.Wait()
		require.Len(t, l.Blocked(), 1)
		time.Sleep(time.Minute)
		for range 3 {
			assert.Empty(t, l.Blocked())
			require.Equal(t, 404, serve(h, with()).Code)
		}
		require.Len(t, l.Blocked(), 1)
	})
}

func TestMistakesInABlock(t *testing.T) {
	t.Parallel()
	always := func(ratelimit.Response) bool { return true }
	for _, tc := range []struct {
		block ratelimit.Block
		want  string
	}{
		{ratelimit.Block{After: ratelimit.Per(-1, time.Hour)}, "After: count -1: want at least 1"},
		{
			ratelimit.Block{After: ratelimit.MustParse("unlimited")[0]},
			"After: unlimited: want a number of violations, or the zero Limit if no number blocks",
		},
		{
			ratelimit.Block{When: always},
			"After: a When, but no number of violations that blocks: want for example Per(10, time.Minute)",
		},
		{ratelimit.Block{For: time.Millisecond}, "For: 1ms: want a second to 365 days, or 0 for the usual"},
		{ratelimit.Block{Max: 8761 * time.Hour}, "Max: 8761h0m0s: want a second to 365 days, or 0 for the usual"},
		{ratelimit.Block{Max: 30 * time.Second}, "Max: 30s: want at least For, which is 1m0s"},
		{ratelimit.Block{Forget: -1}, "Forget: -1ns: want a second to 90 days, or 0 for the usual"},
	} {
		_, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{blocking(tc.block)}})
		require.EqualError(t, err, "ratelimit: Rules[0].Block."+tc.want)
		var one *ratelimit.ConfigError
		require.ErrorAs(t, err, &one)
	}
	all := ratelimit.Block{For: -1, Max: -1, Forget: -1, When: always}
	_, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{blocking(all)}})
	for _, field := range []string{".For", ".Max", ".Forget", ".After"} {
		require.ErrorContains(t, err, "Rules[0].Block"+field, "all mistakes at once")
	}
	day := 24 * time.Hour
	widest := ratelimit.Block{After: ratelimit.Per(1, day), For: time.Second, Max: 8760 * time.Hour, Forget: 90 * day}
	newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{blocking(widest)}})
}
