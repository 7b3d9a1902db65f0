package ratelimit_test

import (
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// toldWaits returns the Retry-After of n denials, and checks that no other field says less or more.
func toldWaits(t *testing.T, h http.Handler, n int) []int {
	t.Helper()
	told := make([]int, n)
	for i := range told {
		w := serve(h, request(fmt.Sprintf("192.0.2.%d:1", 1+i%200)))
		require.NotEqual(t, 200, w.Code)
		var err error
		told[i], err = strconv.Atoi(w.Header().Get("Retry-After"))
		require.NoError(t, err)
		assert.Contains(t, w.Body.String(), fmt.Sprintf("Retry after %d second", told[i]))
		if level := w.Header().Get("RateLimit"); level != "" {
			assert.Contains(t, level, fmt.Sprintf(";r=0;t=%d", told[i]))
		}
	}
	return told
}

// Clients that share a bucket are told to wait a token longer than the client before. Clients with
// buckets of their own are told the least wait, however often they ask.
func TestClientsOfOneBucketAreToldDifferentWaits(t *testing.T) {
	none := func(*http.Request) string { return "" }
	alice := func(*http.Request) string { return "alice" }
	for _, tc := range []struct {
		name string
		key  ratelimit.Keyer
		want []int
	}{
		{"Global", ratelimit.Global("all"), []int{6, 12, 18, 24, 30, 36, 42, 48, 54, 60, 66, 72, 78, 84, 90, 96, 102, 6, 12}},
		{"no key", ratelimit.ByUser(none), []int{6, 12, 18, 24, 30, 36, 42, 48, 54, 60, 66, 72, 78, 84, 90, 96, 102, 6, 12}},
		{"Global after others", ratelimit.FirstOf(ratelimit.ByUser(none), ratelimit.Global("strangers")), []int{6, 12, 18}},
		{"a joined key", ratelimit.AllOf(ratelimit.Global("a"), ratelimit.Global("b")), []int{6, 12, 18}},
		{"one user", ratelimit.ByUser(alice), []int{6, 6, 6}},
		{"a user before Global", ratelimit.FirstOf(ratelimit.ByUser(alice), ratelimit.Global("all")), []int{6, 6, 6}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rule("r", "10 per minute")
				r.Key = tc.key
				var least []time.Duration
				l := newLimiter(t, ratelimit.Config{
					Rules: []ratelimit.Rule{r},
					Hooks: ratelimit.Hooks{
						Denied: func(_ *http.Request, d ratelimit.Decision) { least = append(least, d.RetryAfter) },
						Decided: func(_ *http.Request, d ratelimit.Decision, rules iter.Seq[ratelimit.Decision]) {
							for each := range rules {
								least = append(least, max(d.RetryAfter, each.RetryAfter))
							}
						},
					},
				})
				h := l.Handler(ok)
				for range 10 {
					require.Equal(t, 200, serve(h, with()).Code)
				}
				assert.Equal(t, tc.want, toldWaits(t, h, len(tc.want)))
				for _, wait := range least[10:] {
					assert.Equal(t, 6*time.Second, wait, "hooks are told the least wait")
				}
			})
		})
	}
}

// Every other way in which clients share a wait.
func TestOtherSharedWaitsAreSpread(t *testing.T) {
	for _, tc := range []struct {
		name  string
		cfg   func() ratelimit.Config
		first int // requests that are allowed
		want  []int
	}{
		{"keys without room", func() ratelimit.Config {
			return ratelimit.Config{
				Store: ratelimit.NewMemoryStore(ratelimit.MemoryConfig{MaxKeys: 1}),
				Rules: []ratelimit.Rule{rule("r", "1 per 10 seconds")},
			}
		}, 2, []int{10, 20, 30}},
		{"instances of one store", func() ratelimit.Config {
			r := rule("r", "1 per 5 seconds")
			r.Key = ratelimit.Global("all")
			return ratelimit.Config{
				Store: newMortal(), OnStoreFailure: ratelimit.FailOpen, Instances: 3, Rules: []ratelimit.Rule{r}, Hooks: unreported(),
			}
		}, 1, []int{5, 20, 35}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newLimiter(t, tc.cfg()).Handler(ok)
				for i := range tc.first {
					require.Equal(t, 200, serve(h, request(fmt.Sprintf("192.0.2.%d:1", 250+i))).Code)
				}
				assert.Equal(t, tc.want, toldWaits(t, h, len(tc.want)))
			})
		})
	}
	t.Run("the store is away", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newMortal()
			s.Dead.Store(true)
			h := newLimiter(t, ratelimit.Config{
				Store: s, OnStoreFailure: ratelimit.FailClosed, Rules: []ratelimit.Rule{rule("r", "1 per minute")}, Hooks: unreported(),
			}).Handler(ok)
			told := map[int]int{}
			for _, wait := range toldWaits(t, h, 300) {
				told[wait]++
			}
			assert.Equal(t, map[int]int{1: 100, 2: 100, 3: 100}, told)
		})
	})
	t.Run("denied by a handler", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := rule("r", "1 per 10 seconds")
			r.Key = ratelimit.Global("all")
			l := newLimiter(t, ratelimit.Config{})
			_ = l.With(r)
			all := ratelimit.ValueKey("global", "all")
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if d, err := l.Take(r.Context(), "r", all, 1); err == nil && !d.Allowed {
					l.Deny(w, r, d)
				}
			})
			require.Equal(t, 200, serve(h, with()).Code)
			assert.Equal(t, []int{10, 20, 30}, toldWaits(t, h, 3))
		})
	})
}

// Three hundred clients come at once and wait as they are told. Each is served when it returns
// for the first time, and the service is not idle meanwhile.
func TestObedientClientsAreServedWhenTheyComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rule("r", "10 per second")
		r.Key = ratelimit.Global("all")
		h := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{r}}).Handler(ok)
		began := time.Now()
		var mu sync.Mutex
		tries := map[int]int{}
		var clients sync.WaitGroup
		for range 300 {
			clients.Go(func() {
				for n := 1; ; n++ {
					w := serve(h, with())
					if w.Code == 200 {
						mu.Lock()
						tries[n]++
						mu.Unlock()
						return
					}
					secs, err := strconv.Atoi(w.Header().Get("Retry-After"))
					if !assert.NoError(t, err) {
						return
					}
					time.Sleep(time.Duration(secs) * time.Second)
				}
			})
		}
		clients.Wait()
		assert.Equal(t, map[int]int{1: 10, 2: 290}, tries)
		assert.Equal(t, 29*time.Second, time.Since(began), "290 tokens at 10 per second")
	})
}
