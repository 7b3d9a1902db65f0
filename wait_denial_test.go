package ratelimit_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/storefake"
	"github.com/ratelimit-go/ratelimit/store"
)

// comeOneByOne sends n requests one after another. It returns when each is answered or held.
func comeOneByOne(h http.Handler, n int) {
	for range n {
		go serve(h, with())
		synctest.Wait()
	}
}

// Only requests that a rule holds count for its MaxWaiting, and the limit that holds is the limit
// that denies.
func TestMaxWaitingCountsOnlyHeldRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		roomy := patient("roomy", "1000 per second", time.Second)
		roomy.Key, roomy.MaxWaiting = ratelimit.Global("all"), 1
		tight := patient("tight", "1 per second", 10*time.Second)
		tight.MaxWaiting = 3
		var denied []ratelimit.Decision
		l := newLimiter(t, ratelimit.Config{
			Rules: []ratelimit.Rule{roomy, tight},
			Hooks: ratelimit.Hooks{Denied: func(_ *http.Request, d ratelimit.Decision) { denied = append(denied, d) }},
		})
		h := l.Handler(ok)
		comeOneByOne(h, 4)
		assert.Empty(t, denied)
		w := serve(h, with())
		assert.Equal(t, []ratelimit.Decision{{
			Reason: ratelimit.ReasonLimit, Rule: "tight", Mode: ratelimit.Enforce,
			Limit: ratelimit.Limit{Count: 1, Period: time.Second, Burst: 1},
			Key:   client(), RetryAfter: 4 * time.Second, ResetAfter: 4 * time.Second,
		}}, denied)
		assert.Equal(t, 429, w.Code)
		assert.Equal(t, []string{"4"}, w.Header()["Retry-After"])
		assert.Equal(t, []string{`"roomy";r=996;t=1, "tight";r=0;t=4`}, w.Header()["Ratelimit"])
		assert.Equal(t, []string{`"roomy";q=1000;w=1, "tight";q=1;w=1`}, w.Header()["Ratelimit-Policy"])
		assert.Contains(t, w.Body.String(), `"violated-policies":["tight"]`)
		time.Sleep(time.Minute)
	})
}

// A call that takes nothing does not wait behind others. A request always takes a token, so one
// whose Cost is 0 waits for its turn.
func TestOnlyACallThatTakesNothingIsNotHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := patient("r", "1 per second", 10*time.Second)
		r.Cost = func(r *http.Request) int64 { return int64(strings.Count(r.URL.RawQuery, "x")) }
		l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{r}})
		dear := with()
		dear.URL.RawQuery = "xxxxx"
		go serve(l.Handler(ok), dear)
		synctest.Wait()
		began := time.Now()
		require.NoError(t, l.Wait(t.Context(), "r", client(), 0))
		assert.Zero(t, time.Since(began))
		assert.Equal(t, 200, serve(l.Handler(ok), with()).Code)
		assert.Equal(t, 5*time.Second, time.Since(began))
	})
}

// If a request costs more in the end than the bucket has, the bucket is empty, and no emptier with
// a MaxWait.
func TestFinalCostSparesTheQueue(t *testing.T) {
	for _, wait := range []time.Duration{0, 10 * time.Second} {
		for _, by := range []string{"ResponseCost", "SetCost"} {
			for _, elsewhere := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, MaxWait %v, store elsewhere %t", by, wait, elsewhere), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						r := rule("r", "1 per second burst 3")
						r.MaxWait = wait
						if by == "ResponseCost" {
							r.ResponseCost = func(ratelimit.Response) int64 { return 1000 }
						}
						cfg := ratelimit.Config{Rules: []ratelimit.Rule{r}, OnStoreFailure: ratelimit.FailClosed}
						if elsewhere {
							cfg.Store = newMortal()
						}
						l := newLimiter(t, cfg)
						serve(l.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
							if by == "SetCost" {
								assert.NoError(t, ratelimit.SetCost(r.Context(), "r", 1000))
								assert.NoError(t, ratelimit.SetCost(r.Context(), "r", 1000), "and again")
							}
						})), with())
						d, err := l.Peek(t.Context(), "r", client())
						require.NoError(t, err)
						assert.Equal(t, []time.Duration{time.Second, 3 * time.Second}, []time.Duration{d.RetryAfter, d.ResetAfter})
					})
				})
			}
		}
	}
}

// Results that a store wrote before it failed hold no request: with FailOpen, it goes on at once.
func TestMaxWaitWhileTheStoreFails(t *testing.T) {
	for _, tc := range []struct {
		name   string
		answer bool // before it fails
	}{
		{"no answer", false},
		{"an answer that came too late", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				memory, failing := ratelimit.NewMemoryStore(ratelimit.MemoryConfig{}), false
				l := newLimiter(t, ratelimit.Config{
					OnStoreFailure: ratelimit.FailOpen, Hooks: unreported(),
					Rules: []ratelimit.Rule{patient("r", "1 per second", 10*time.Second)},
					Store: storefake.Func(func(ctx context.Context, ops []store.Op) error {
						if failing && !tc.answer {
							return context.DeadlineExceeded
						}
						if err := memory.Apply(ctx, ops); err != nil || !failing {
							return err
						}
						return context.DeadlineExceeded
					}),
				})
				for range 3 {
					require.Equal(t, 200, serve(l.Handler(ok), with()).Code)
				}
				failing = true
				ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
				defer cancel()
				began := time.Now()
				assert.Equal(t, 200, serve(l.Handler(ok), with().WithContext(ctx)).Code)
				assert.Zero(t, time.Since(began))
				d, err := l.Take(t.Context(), "r", ratelimit.UserKey("a"), 1)
				require.NoError(t, err)
				require.Error(t, d.StoreErr)
				assert.True(t, d.Allowed)
				require.NoError(t, l.Wait(ctx, "r", client(), 5))
				assert.Zero(t, time.Since(began))
			})
		})
	}
}
