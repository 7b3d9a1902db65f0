package ratelimit_test

import (
	"cmp"
	"context"
	"fmt"
	"math/big"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// A client joins and leaves the queue again and again, so that all its requests would go on at once
// in the end. They do not: a request behind a request that has left finds no room before the
// others.
func TestMaxWaitIsNoBurstForClientsThatLeave(t *testing.T) {
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
					all.Go(func() { serve(h, with().WithContext(ctx)) })
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
				checkPace(t, ratelimit.MustParse(limit)[0], came.at)
			})
		})
	}
}

// checkPace checks that in any time at most the burst has come, and the tokens that flowed in.
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

// Each request goes on when the bucket of the limit itself has its tokens, in the order in which
// requests came. A request for which that is too late is denied.
func TestMaxWaitIsExact(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rnd := rand.New(rand.NewPCG(seed, 3))
				limit := ratelimit.Limit{
					Count: 1 + rnd.Int64N(9), Period: time.Duration(1 + rnd.Int64N(int64(7*time.Second))), Burst: 1 + rnd.Int64N(4),
				}
				wait := limit.Period/time.Duration(limit.Count) + time.Millisecond + time.Duration(rnd.Int64N(int64(10*time.Second)))
				r := ratelimit.Rule{
					Name: "r", Limits: ratelimit.Limits{limit}, Key: ratelimit.ByClientIP(), MaxWait: wait, MaxWaiting: 1000,
				}
				h := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{r}}).Handler(ok)
				queue := rationalQueue{limit: limit, debt: new(big.Rat), last: time.Now()}
				var all sync.WaitGroup
				for i := range 200 {
					held, allowed := queue.come(time.Now(), wait)
					all.Go(func() {
						begin := time.Now()
						w, took := serve(h, with()), time.Since(begin)
						if !allowed {
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

// A rationalQueue is a bucket in rational numbers whose tokens may be taken before they are there.
type rationalQueue struct {
	limit ratelimit.Limit
	debt  *big.Rat // tokens
	last  time.Time
}

// come returns for how long a request that comes now is to be held, rounded up, and whether that is
// at most patience, cut to whole tokens.
func (q *rationalQueue) come(now time.Time, patience time.Duration) (time.Duration, bool) {
	rate := big.NewRat(q.limit.Count, int64(q.limit.Period))
	whole := func(n int64) *big.Rat { return new(big.Rat).SetInt64(n) }
	q.debt.Sub(q.debt, new(big.Rat).Mul(rate, whole(int64(now.Sub(q.last)))))
	if q.last = now; q.debt.Sign() < 0 {
		q.debt.SetInt64(0)
	}
	room := new(big.Rat).Mul(rate, whole(int64(patience)))
	room = whole(new(big.Int).Div(room.Num(), room.Denom()).Int64())
	over := new(big.Rat).Add(q.debt, whole(1))
	over.Sub(over, whole(q.limit.Burst))
	if over.Cmp(room) > 0 {
		return 0, false
	}
	q.debt.Add(q.debt, whole(1))
	if over.Sign() <= 0 {
		return 0, true
	}
	over.Quo(over, rate)
	ns := new(big.Int).Add(over.Num(), new(big.Int).Sub(over.Denom(), big.NewInt(1)))
	return time.Duration(ns.Div(ns, over.Denom()).Int64()), true
}
