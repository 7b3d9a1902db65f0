package ratelimit_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// comeOneByOne has n requests come one after another, and returns when all that are not held are answered.
func comeOneByOne(h http.Handler, n int) {
	for range n {
		go serve(h, request("192.0.2.1:1"))
		synctest.Wait()
	}
}

// Only those whom a rule holds count for its MaxWaiting, and the refusal is that of the limit that holds.
func TestMaxWaitingCountsOnlyTheHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		roomy := patient("roomy", "1000 per second", time.Second)
		roomy.Key, roomy.MaxWaiting = ratelimit.Constant("all"), 1
		tight := patient("tight", "1 per second", 10*time.Second)
		tight.MaxWaiting = 3
		var denied []ratelimit.Decision
		l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{roomy, tight}, OnDenied: func(_ *http.Request, d ratelimit.Decision) { denied = append(denied, d) }})
		h := l.Handler(ok)
		comeOneByOne(h, 4)
		assert.Empty(t, denied)
		w := serve(h, request("192.0.2.1:1"))
		assert.Equal(t, []ratelimit.Decision{{
			Reason: ratelimit.ReasonLimit, Rule: "tight", Limit: ratelimit.PerSecond(1).WithBurst(1), Key: theClient(t),
			RetryAfter: 4 * time.Second, ResetAfter: 4 * time.Second,
		}}, withBurst(denied))
		assert.Equal(t, 429, w.Code)
		assert.Equal(t, []string{"4"}, w.Header()["Retry-After"])
		assert.Equal(t, []string{`"roomy";r=996;t=1, "tight";r=0;t=4`}, w.Header()["Ratelimit"])
		assert.Equal(t, []string{`"roomy";q=1000;w=1, "tight";q=1;w=1`}, w.Header()["Ratelimit-Policy"])
		assert.Contains(t, w.Body.String(), `"violated-policies":["tight"]`)
		time.Sleep(time.Minute)
	})
}

// withBurst fills in bursts that are the count.
func withBurst(ds []ratelimit.Decision) []ratelimit.Decision {
	for i := range ds {
		ds[i].Limit = ds[i].Limit.WithBurst(ds[i].Limit.Burst)
	}
	return ds
}

// A request that costs nothing waits behind nobody.
func TestFreeRequestIsNotHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := patient("r", "1 per second", 10*time.Second)
		r.Cost = func(r *http.Request) int64 { return int64(strings.Count(r.URL.RawQuery, "x")) }
		h := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{r}}).Handler(ok)
		dear, free := request("192.0.2.1:1"), request("192.0.2.1:1")
		dear.URL.RawQuery = "xxxxx"
		go serve(h, dear)
		synctest.Wait()
		began := time.Now()
		assert.Equal(t, 200, serve(h, free).Code)
		assert.Zero(t, time.Since(began))
		time.Sleep(time.Minute)
	})
}

// Take never waits, so what only those who wait may have is never there.
func TestTakeOfMoreThanTheBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{patient("r", "3 per second; 100 per day", 10*time.Second)}})
		for cost, want := range map[int64]ratelimit.Reason{3: ratelimit.ReasonNone, 4: ratelimit.ReasonNever, 33: ratelimit.ReasonNever, 34: ratelimit.ReasonNever} {
			key := ratelimit.UserKey(strings.Repeat("a", int(cost)))
			d, err := l.Take(t.Context(), "r", key, cost)
			require.NoError(t, err)
			assert.Equal(t, want, d.Reason, "cost %d", cost)
			assert.Equal(t, want == ratelimit.ReasonNone, d.Allowed)
			assert.Zero(t, d.RetryAfter)
		}
	})
}

// What a Charge or SetCost finds too little of leaves the bucket empty, and no emptier for MaxWait.
func TestChargeSparesTheLine(t *testing.T) {
	for _, wait := range []time.Duration{0, 10 * time.Second} {
		for _, by := range []string{"Charge", "SetCost"} {
			for _, store := range []ratelimit.Store{nil, newTripStore()} {
				synctest.Test(t, func(t *testing.T) {
					r := rule("r", "1 per second burst 3")
					r.MaxWait = wait
					if by == "Charge" {
						r.Charge = func(ratelimit.Response) int64 { return 1000 }
					}
					if store != nil {
						store = newTripStore() // whose clock is the bubble's
					}
					l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{r}, Store: store, OnStoreFailure: ratelimit.FailClosed})
					serve(l.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
						if by == "SetCost" {
							assert.NoError(t, ratelimit.SetCost(r.Context(), "r", 1000))
							assert.NoError(t, ratelimit.SetCost(r.Context(), "r", 1000), "and again")
						}
					})), request("192.0.2.1:1"))
					d, err := l.Peek(t.Context(), "r", theClient(t))
					require.NoError(t, err)
					assert.Equal(t, []time.Duration{time.Second, 3 * time.Second}, []time.Duration{d.RetryAfter, d.ResetAfter}, "%s, MaxWait %v", by, wait)
				})
			}
		}
	}
}
