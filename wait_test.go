package ratelimit_test

import (
	"cmp"
	"context"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

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
				assert.Equal(t, 200, serve(h, request("192.0.2.1:1")).Code)
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
			})
			synctest.Wait() // until it is held
		}
		w := serve(h, request("192.0.2.1:1"))
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

func TestMaxWaitShowsTheLimitItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, ratelimit.Config{Headers: ratelimit.XHeaders, Rules: []ratelimit.Rule{patient("r", "3 per minute", 40*time.Second)}})
		h := l.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			d, ok := ratelimit.DecisionFrom(r.Context())
			assert.True(t, ok)
			assert.Equal(t, ratelimit.PerMinute(3).WithBurst(0), d.Limit.WithBurst(d.Limit.Burst))
			assert.True(t, d.Allowed)
		}))
		for _, left := range []string{"2", "1", "0", "0"} { // the last is held
			w := serve(h, request("192.0.2.1:1"))
			assert.Equal(t, []string{left}, w.Header()["X-Ratelimit-Remaining"])
			assert.Equal(t, []string{"3"}, w.Header()["X-Ratelimit-Limit"])
		}
		all, err := l.Explain(request("192.0.2.1:1"))
		require.NoError(t, err)
		assert.Equal(t, int64(3), all[0].Limit.Burst)
		assert.Zero(t, all[0].Result.Remaining)
	})
}

func TestMaxWaitGivesUp(t *testing.T) {
	newHandler := func(t *testing.T, waiting int) (*ratelimit.Limiter, http.Handler) {
		r := patient("r", "1 per second", 10*time.Second)
		r.MaxWaiting = waiting
		l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{r}})
		h := l.Handler(ok)
		require.Equal(t, 200, serve(h, request("192.0.2.1:1")).Code)
		return l, h
	}
	t.Run("when the client leaves", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l, h := newHandler(t, 0)
			ctx, leave := context.WithCancel(t.Context())
			done := make(chan int)
			go func() { done <- serve(h, request("192.0.2.1:1").WithContext(ctx)).Code }()
			synctest.Wait()
			leave()
			assert.Equal(t, 429, <-done)
			begin := time.Now()
			assert.Equal(t, 200, serve(h, request("192.0.2.1:1")).Code)
			assert.Equal(t, time.Second, time.Since(begin), "the tokens of the one who left are back")
			assert.Zero(t, remaining(t, l, "r"))
		})
	})
	t.Run("at once where the deadline is nearer", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, h := newHandler(t, 0)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second-1)
			defer cancel()
			begin := time.Now()
			w := serve(h, request("192.0.2.1:1").WithContext(ctx))
			assert.Equal(t, 429, w.Code)
			assert.Equal(t, "1", w.Header().Get("Retry-After"))
			assert.Zero(t, time.Since(begin))
			enough, cancelEnough := context.WithTimeout(t.Context(), time.Second+1)
			defer cancelEnough()
			assert.Equal(t, 200, serve(h, request("192.0.2.1:1").WithContext(enough)).Code)
		})
	})
	t.Run("at once where too many wait", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, h := newHandler(t, 2)
			var all sync.WaitGroup
			for range 2 {
				all.Go(func() { assert.Equal(t, 200, serve(h, request("192.0.2.1:1")).Code) })
			}
			synctest.Wait()
			begin := time.Now()
			assert.Equal(t, 429, serve(h, request("192.0.2.1:1")).Code)
			assert.Zero(t, time.Since(begin))
			all.Wait()
			assert.Equal(t, 2*time.Second, time.Since(begin))
			assert.Equal(t, 200, serve(h, request("192.0.2.1:1")).Code)
			assert.Equal(t, 3*time.Second, time.Since(begin), "who was refused has given its place back")
		})
	})
}

// A client comes and leaves again and again while it stands in line, so that all that it holds in the end
// would go on at once. They do not: who comes after one who has left finds no room before the others.
func TestMaxWaitIsNoBurstForThoseWhoLeave(t *testing.T) {
	for _, limit := range []string{"1 per second", "3 per second burst 1", "7 per 3 seconds burst 2"} {
		t.Run(limit, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				came := &arrivals{start: time.Now()}
				h := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{patient("r", limit, 10*time.Second)}}).Handler(came)
				var all sync.WaitGroup
				var leave []context.CancelFunc
				join := func() {
					ctx, cancel := context.WithCancel(t.Context())
					leave = append(leave, cancel)
					all.Go(func() { serve(h, request("192.0.2.1:1").WithContext(ctx)) })
					synctest.Wait()
				}
				for range 50 {
					join()
				}
				for i := range 45 {
					time.Sleep(77 * time.Millisecond)
					leave[i]()
					synctest.Wait()
					join()
				}
				all.Wait()
				l := ratelimit.MustParse(limit)[0]
				checkPace(t, l, came.at)
			})
		})
	}
}

// Who leaves a line with others behind is given back what other limits have taken.
func TestMaxWaitGivesBackOtherLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{patient("line", "1 per second", 10*time.Second), rule("plain", "10 per hour")}})
		h := l.Handler(ok)
		ctx, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for _, ctx := range []context.Context{t.Context(), ctx, t.Context()} {
			all.Go(func() { serve(h, request("192.0.2.1:1").WithContext(ctx)) })
			synctest.Wait()
		}
		require.Equal(t, int64(7), remaining(t, l, "plain"))
		leave()
		synctest.Wait()
		assert.Equal(t, int64(8), remaining(t, l, "plain"))
		began := time.Now()
		serve(h, request("192.0.2.1:1"))
		assert.Equal(t, 3*time.Second, time.Since(began), "behind the other one")
		all.Wait()
	})
}

// checkPace checks that in any time no more have come than the burst and what flowed in.
func checkPace(t *testing.T, l ratelimit.Limit, at []time.Duration) {
	t.Helper()
	require.NotEmpty(t, at)
	burst := cmp.Or(l.Burst, l.Count)
	for i := range at {
		for j := i; j < len(at); j++ {
			flowed := int64(at[j]-at[i]+2) * l.Count / int64(l.Period) // a wait is rounded by less than 2 ns
			require.LessOrEqual(t, int64(j-i+1), burst+flowed, "from %v to %v", at[i], at[j])
		}
	}
}

// A limit without MaxWait beside one with it refuses at once, and nothing is charged.
func TestMaxWaitBesideALimitThatRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{patient("patient", "1 per second", time.Minute), rule("strict", "1 per hour")}})
		h := l.Handler(ok)
		assert.Equal(t, 200, serve(h, request("192.0.2.1:1")).Code)
		begin := time.Now()
		w := serve(h, request("192.0.2.1:1"))
		assert.Equal(t, 429, w.Code)
		assert.Equal(t, "3600", w.Header().Get("Retry-After"))
		assert.Zero(t, time.Since(begin))
		time.Sleep(time.Second)
		assert.Equal(t, int64(1), remaining(t, l, "patient"))
	})
}

func TestTakeNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{patient("r", "2 per minute", time.Hour)}})
		begin, key := time.Now(), ratelimit.UserKey("a")
		take := func(cost int64) ratelimit.Decision {
			d, err := l.Take(t.Context(), "r", key, cost)
			require.NoError(t, err)
			return d
		}
		assert.True(t, take(2).Allowed)
		for range 3 {
			d := take(1)
			assert.False(t, d.Allowed)
			assert.Equal(t, ratelimit.ReasonLimit, d.Reason)
			assert.Equal(t, 30*time.Second, d.RetryAfter)
			peek, err := l.Peek(t.Context(), "r", key)
			require.NoError(t, err)
			assert.Equal(t, 30*time.Second, peek.RetryAfter)
			assert.False(t, peek.Allowed)
		}
		assert.Zero(t, time.Since(begin))
		time.Sleep(30 * time.Second)
		assert.True(t, take(1).Allowed)
	})
}

// Each request is released when the bucket of the limit itself has its tokens, in the order in
// which requests came, and one for which that is too late is refused.
func TestMaxWaitIsExact(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rnd := rand.New(rand.NewPCG(seed, 3))
				limit := ratelimit.Limit{Count: 1 + rnd.Int64N(9), Period: time.Duration(1 + rnd.Int64N(int64(7*time.Second))), Burst: 1 + rnd.Int64N(4)}
				wait := limit.Period/time.Duration(limit.Count) + time.Millisecond + time.Duration(rnd.Int64N(int64(10*time.Second)))
				r := ratelimit.Rule{Name: "r", Limits: ratelimit.Limits{limit}, Key: ratelimit.ByRemoteIP(), MaxWait: wait, MaxWaiting: 1000}
				h := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{r}}).Handler(ok)
				line := waitingLine{limit: limit, debt: new(big.Rat), last: time.Now()}
				var all sync.WaitGroup
				for i := range 200 {
					held, admitted := line.come(time.Now(), wait)
					all.Go(func() {
						begin := time.Now()
						w, took := serve(h, request("192.0.2.1:1")), time.Since(begin)
						if !admitted {
							assert.Equal(t, 429, w.Code, "request %d", i)
							assert.Zero(t, took)
							return
						}
						assert.Equal(t, 200, w.Code, "request %d", i)
						assert.True(t, took == held || held > 0 && took == held+1, "request %d was held for %v: want %v", i, took, held)
					})
					synctest.Wait()
					time.Sleep(time.Duration(rnd.Int64N(int64(limit.Period) / limit.Count * 5 / 4)))
				}
				all.Wait()
			})
		})
	}
}

// A waitingLine is a bucket in rational numbers whose tokens may be taken before they are there.
type waitingLine struct {
	limit ratelimit.Limit
	debt  *big.Rat // tokens
	last  time.Time
}

// come returns for how long one who comes now is to be held, rounded up, and whether that is
// at most patience, cut to whole tokens.
func (l *waitingLine) come(now time.Time, patience time.Duration) (time.Duration, bool) {
	rate := big.NewRat(l.limit.Count, int64(l.limit.Period))
	whole := func(n int64) *big.Rat { return new(big.Rat).SetInt64(n) }
	l.debt.Sub(l.debt, new(big.Rat).Mul(rate, whole(int64(now.Sub(l.last)))))
	if l.last = now; l.debt.Sign() < 0 {
		l.debt.SetInt64(0)
	}
	room := new(big.Rat).Mul(rate, whole(int64(patience)))
	room = whole(new(big.Int).Div(room.Num(), room.Denom()).Int64())
	over := new(big.Rat).Add(l.debt, whole(1))
	over.Sub(over, whole(l.limit.Burst))
	if over.Cmp(room) > 0 {
		return 0, false
	}
	l.debt.Add(l.debt, whole(1))
	if over.Sign() <= 0 {
		return 0, true
	}
	over.Quo(over, rate)
	ns := new(big.Int).Add(over.Num(), new(big.Int).Sub(over.Denom(), big.NewInt(1)))
	return time.Duration(ns.Div(ns, over.Denom()).Int64()), true
}

// What a store has put into results before it failed holds nobody: with FailOpen a request goes on at once.
func TestMaxWaitWithoutStore(t *testing.T) {
	for _, tc := range []struct {
		name   string
		answer bool // before it fails
	}{{"no answer", false}, {"an answer that came too late", true}} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				memory, failing := ratelimit.NewMemoryStore(ratelimit.MemoryConfig{}), false
				l := newLimiter(t, ratelimit.Config{
					OnStoreFailure: ratelimit.FailOpen, OnError: func(context.Context, error) {},
					Rules: []ratelimit.Rule{patient("r", "1 per second", 10*time.Second)},
					Store: storeFunc(func(ctx context.Context, ops []ratelimit.Op) error {
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
					require.Equal(t, 200, serve(l.Handler(ok), request("192.0.2.1:1")).Code)
				}
				failing = true
				ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
				defer cancel()
				began := time.Now()
				assert.Equal(t, 200, serve(l.Handler(ok), request("192.0.2.1:1").WithContext(ctx)).Code)
				assert.Zero(t, time.Since(began))
				d, err := l.Take(t.Context(), "r", ratelimit.UserKey("a"), 1)
				require.Error(t, err)
				assert.True(t, d.Allowed)
			})
		})
	}
}

// A MaxWait that holds nobody is a mistake.
func TestMaxWaitThatHoldsNobody(t *testing.T) {
	const prime = 4_294_967_291 // so that it cannot be reduced
	for _, tc := range []struct {
		name   string
		limits ratelimit.Limits
		wait   time.Duration
		want   string // "" if somebody is held
	}{
		{"the time of a token", ratelimit.MustParse("7 per minute"), 8571428572, ""},
		{"a nanosecond less", ratelimit.MustParse("7 per minute"), 8571428571, "8.571428571s is less than a token takes to come, so that no request is held: want at least 8.571428572s"},
		{"one of two limits", ratelimit.MustParse("1 per hour; 1 per second"), 2 * time.Second, ""},
		{"neither of two limits", ratelimit.MustParse("1 per hour; 1 per minute"), 2 * time.Second, "2s is less than a token takes to come, so that no request is held: want at least 1m0s"},
		{"no limits", nil, time.Second, "1s without Limits, so that no request is held: want Limits too"},
		{"more than can be counted", ratelimit.Limits{{Count: prime, Period: time.Microsecond}}, time.Hour, "1h0m0s: a bucket with what flows in meanwhile takes more than 100 years to fill: want a smaller burst"},
		{"more than 100 years", ratelimit.MustParse("1 per hour burst 876000"), time.Hour, "1h0m0s: a bucket with what flows in meanwhile takes more than 100 years to fill: want a smaller burst"},
		{"unlimited", ratelimit.Limits{ratelimit.Unlimited()}, time.Second, ""},
	} {
		r := ratelimit.Rule{Name: "r", Limits: tc.limits, Key: ratelimit.ByRemoteIP(), MaxWait: tc.wait, InFlight: 1}
		_, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{r}})
		if tc.want == "" {
			require.NoError(t, err, tc.name)
			continue
		}
		require.EqualError(t, err, "ratelimit: Rules[0].MaxWait: "+tc.want, tc.name)
		r.LimitsFor = func(*http.Request) ratelimit.Limits { return nil }
		_, err = ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{r}})
		require.NoError(t, err, "%s, but who knows of other limits", tc.name)
	}
}
