package ratelimit_test

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/testsize"
)

// patient returns a rule that holds requests for up to wait.
func patient(name, limits string, wait time.Duration) ratelimit.Rule {
	r := rule(name, limits)
	r.MaxWait = wait
	return r
}

// arrivals notes when requests reach a handler.
type arrivals struct {
	mu    sync.Mutex
	start time.Time
	at    []time.Duration
}

func (a *arrivals) ServeHTTP(http.ResponseWriter, *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at = append(a.at, time.Since(a.start))
}

func TestMaxWaitHoldsRequestsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		came := &arrivals{start: time.Now()}
		h := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{patient("r", "1 per second", 3*time.Second)}}).Handler(came)
		var order []int
		var mu sync.Mutex
		var all sync.WaitGroup
		for i := range 4 {
			all.Go(func() {
				assert.Equal(t, 200, serve(h, with()).Code)
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
			})
			synctest.Wait() // until it is held
		}
		w := serve(h, with())
		assert.Equal(t, 429, w.Code)
		assert.Equal(t, http.Header{
			"Ratelimit-Policy": {`"r";q=1;w=1`}, "Ratelimit": {`"r";r=0;t=1`},
			"Retry-After": {"1"}, "Cache-Control": {"no-store"}, "Content-Type": {"application/problem+json"},
			"X-Content-Type-Options": {"nosniff"},
		}, w.Header())
		all.Wait()
		assert.Equal(t, []time.Duration{0, time.Second, 2 * time.Second, 3 * time.Second}, came.at)
		assert.Equal(t, []int{0, 1, 2, 3}, order)
		assert.Equal(t, 200, serve(h, request("192.0.2.2:1")).Code, "another client")
	})
}

// All instances together hold requests in the order in which they came.
func TestMaxWaitHoldsRequestsOfAllInstancesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		came, shared := &arrivals{start: time.Now()}, newMortal()
		var fleet [3]http.Handler
		for i := range fleet {
			fleet[i] = newLimiter(t, ratelimit.Config{
				Store: shared, OnStoreFailure: ratelimit.FailClosed, Hooks: unreported(),
				Rules: []ratelimit.Rule{patient("r", "1 per second", 5*time.Second)},
			}).Handler(came)
		}
		var order []int
		var mu sync.Mutex
		var all sync.WaitGroup
		for i := range 6 {
			all.Go(func() {
				assert.Equal(t, 200, serve(fleet[i%3], with()).Code)
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
			})
			synctest.Wait()
		}
		assert.Equal(t, []int{429, 429, 429}, []int{
			serve(fleet[0], with()).Code, serve(fleet[1], with()).Code,
			serve(fleet[2], with()).Code,
		})
		all.Wait()
		assert.Equal(t, []int{0, 1, 2, 3, 4, 5}, order)
		assert.Equal(t, []time.Duration{0, time.Second, 2 * time.Second, 3 * time.Second, 4 * time.Second, 5 * time.Second}, came.at)
	})
}

func TestMaxWaitShowsTheLimitItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, ratelimit.Config{
			Headers: ratelimit.LegacyHeaders, Rules: []ratelimit.Rule{patient("r", "3 per minute", 40*time.Second)},
		})
		h := l.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			d, ok := ratelimit.DecisionFrom(r.Context())
			assert.True(t, ok)
			assert.Equal(t, ratelimit.Limit{Count: 3, Period: time.Minute, Burst: 3}, d.Limit)
			assert.True(t, d.Allowed)
		}))
		for _, left := range []string{"2", "1", "0", "0"} { // the last is held
			w := serve(h, with())
			assert.Equal(t, []string{left}, w.Header()["X-Ratelimit-Remaining"])
			assert.Equal(t, []string{"3"}, w.Header()["X-Ratelimit-Limit"])
		}
		all := l.Explain(with())
		require.Len(t, all, 1)
		assert.Equal(t, int64(3), all[0].Limit.Burst)
		assert.Zero(t, all[0].Remaining)
	})
}

// oneServed returns a limiter with a queue, and its handler, which has served one request.
func oneServed(t *testing.T, waiting int) (*ratelimit.Limiter, http.Handler) {
	t.Helper()
	r := patient("r", "1 per second", 10*time.Second)
	r.MaxWaiting = waiting
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{r}})
	h := l.Handler(ok)
	require.Equal(t, 200, serve(h, with()).Code)
	return l, h
}

func TestMaxWaitEndsWhenTheClientLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, h := oneServed(t, 0)
		ctx, leave := context.WithCancel(t.Context())
		done := make(chan int)
		go func() { done <- serve(h, with().WithContext(ctx)).Code }()
		synctest.Wait()
		leave()
		assert.Equal(t, 429, <-done)
		begin := time.Now()
		assert.Equal(t, 200, serve(h, with()).Code)
		assert.Equal(t, time.Second, time.Since(begin), "the tokens of the client that left are refunded")
		assert.Zero(t, remaining(t, l, "r"))
	})
}

func TestMaxWaitBeyondTheDeadlineIsDeniedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, h := oneServed(t, 0)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second-1)
		defer cancel()
		begin := time.Now()
		w := serve(h, with().WithContext(ctx))
		assert.Equal(t, 429, w.Code)
		assert.Equal(t, "1", w.Header().Get("Retry-After"))
		assert.Zero(t, time.Since(begin))
		enough, cancelEnough := context.WithTimeout(t.Context(), time.Second+1)
		defer cancelEnough()
		assert.Equal(t, 200, serve(h, with().WithContext(enough)).Code)
		assert.Equal(t, time.Second, time.Since(begin))
	})
}

func TestRequestsBeyondMaxWaitingAreDeniedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, h := oneServed(t, 2)
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() { assert.Equal(t, 200, serve(h, with()).Code) })
		}
		synctest.Wait()
		begin := time.Now()
		assert.Equal(t, 429, serve(h, with()).Code)
		assert.Zero(t, time.Since(begin))
		all.Wait()
		assert.Equal(t, 2*time.Second, time.Since(begin))
		assert.Equal(t, 200, serve(h, with()).Code)
		assert.Equal(t, 3*time.Second, time.Since(begin), "the tokens of the denied request are refunded")
	})
}

// A process holds MaxWaiting requests of a key, and ten times as many of all keys.
func TestMaxWaitingOfAKeyAndOfAll(t *testing.T) {
	for _, tc := range []struct {
		name             string
		set, ofAKey, all int
	}{
		{"default", 0, 1000, 10_000},
		{"3", 3, 3, 30},
		{"1", 1, 1, 10},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := patient("r", "1 per second", time.Hour)
				r.Key, r.MaxWaiting = ratelimit.ByUser(field("User")), tc.set
				h := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{r}}).Handler(ok)
				// comes sends n requests of a user, and returns how many were not denied at once.
				comes := func(user string, n int) int {
					var denied atomic.Int64
					for range n {
						go func() {
							if serve(h, with("User", user)).Code == 429 {
								denied.Add(1)
							}
						}()
					}
					synctest.Wait()
					return n - int(denied.Load())
				}
				assert.Equal(t, 1+tc.ofAKey, comes("0", 2+tc.ofAKey), "one goes on")
				for i := 1; i < 9; i++ {
					assert.Equal(t, 1+tc.ofAKey, comes(strconv.Itoa(i), 2+tc.ofAKey), "another user has as many places")
				}
				assert.Equal(t, 1+tc.all-9*tc.ofAKey, comes("9", 2+tc.ofAKey))
				assert.Equal(t, 1, comes("10", 3), "no place is left")
				pass(time.Second)
				assert.Equal(t, 1, comes("10", 1))
				pass(time.Hour)
			})
		})
	}
}

// Users that flood a rule hold as many requests as MaxWait allows. They take no place of others.
func TestFloodsTakeNoPlacesOfOthersInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := patient("r", "20 per second", 2*time.Second)
		r.Key = ratelimit.ByUser(field("User"))
		h := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{r}}).Handler(ok)
		rounds := testsize.Of(60, 20)
		for i := range 3 {
			user := "flood " + strconv.Itoa(i)
			go func() {
				for range 84 * rounds {
					go serve(h, with("User", user))
					time.Sleep(12 * time.Millisecond)
				}
			}()
		}
		var allowed atomic.Int64
		for range rounds { // each second 40 calls at once: 20 go on, 20 are held
			for range 40 {
				go func() {
					if serve(h, with("User", "honest")).Code == 200 {
						allowed.Add(1)
					}
				}()
			}
			time.Sleep(2 * time.Second)
		}
		assert.Equal(t, int64(40*rounds), allowed.Load())
		pass(time.Minute)
	})
}

// A client that leaves a queue with others behind it is refunded what other limits have taken.
func TestMaxWaitRefundsOtherLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, ratelimit.Config{
			Rules: []ratelimit.Rule{patient("queue", "1 per second", 10*time.Second), rule("plain", "10 per hour")},
		})
		h := l.Handler(ok)
		ctx, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for _, ctx := range []context.Context{t.Context(), ctx, t.Context()} {
			all.Go(func() { serve(h, with().WithContext(ctx)) })
			synctest.Wait()
		}
		require.Equal(t, int64(7), remaining(t, l, "plain"))
		leave()
		synctest.Wait()
		assert.Equal(t, int64(8), remaining(t, l, "plain"))
		began := time.Now()
		serve(h, with())
		assert.Equal(t, 3*time.Second, time.Since(began), "behind the other request")
		all.Wait()
	})
}

// MaxWait does nothing for a rule in DryRun: Hooks.DryRun is told of requests that the limit itself
// would deny, and they take only tokens that are there.
func TestMaxWaitInADryRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := patient("r", "1 per second", time.Minute)
		r.Mode = ratelimit.DryRun
		var told []ratelimit.Decision
		l := newLimiter(t, ratelimit.Config{
			Rules: []ratelimit.Rule{r},
			Hooks: ratelimit.Hooks{DryRun: func(_ *http.Request, d ratelimit.Decision) { told = append(told, d) }},
		})
		var left []int64
		h := l.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			for d := range ratelimit.Decisions(r.Context()) {
				left = append(left, d.Remaining)
			}
		}))
		begin := time.Now()
		assert.Equal(t, []int{200, 200, 200}, codes(h, with(), with(), with()))
		assert.Zero(t, time.Since(begin))
		want := ratelimit.Decision{
			Reason: ratelimit.ReasonLimit, Rule: "r", Mode: ratelimit.DryRun,
			Limit: ratelimit.Limit{Count: 1, Period: time.Second, Burst: 1},
			Key:   client(), RetryAfter: time.Second, ResetAfter: time.Second,
		}
		assert.Equal(t, []ratelimit.Decision{want, want}, told)
		assert.Equal(t, []int64{0}, left)
		time.Sleep(time.Second)
		assert.Equal(t, int64(1), remaining(t, l, "r"))
	})
}

// If a limit without MaxWait denies, a limit with MaxWait holds nothing, and nothing is charged.
func TestMaxWaitBesideALimitThatDenies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, ratelimit.Config{
			Rules: []ratelimit.Rule{patient("patient", "1 per second", time.Minute), rule("strict", "1 per hour")},
		})
		h := l.Handler(ok)
		assert.Equal(t, 200, serve(h, with()).Code)
		begin := time.Now()
		w := serve(h, with())
		assert.Equal(t, 429, w.Code)
		assert.Equal(t, "3600", w.Header().Get("Retry-After"))
		assert.Zero(t, time.Since(begin))
		time.Sleep(time.Second)
		assert.Equal(t, int64(1), remaining(t, l, "patient"))
	})
}
