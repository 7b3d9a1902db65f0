package outbound_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/outbound"
)

// newBudgets returns a limiter with budgets: names and limits, in pairs. They wait up to an hour.
func newBudgets(t *testing.T, budgets ...string) *ratelimit.Limiter {
	t.Helper()
	cfg := ratelimit.Config{}
	for i := 0; i < len(budgets); i += 2 {
		cfg.Budgets = append(cfg.Budgets, ratelimit.Budget{
			Name: budgets[i], Limits: ratelimit.MustParse(budgets[i+1]), MaxWait: time.Hour,
		})
	}
	l, err := ratelimit.New(cfg)
	require.NoError(t, err)
	return l
}

// Requests keep the rules of the client, in the order in which they came.
func TestOwnRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Duration
		var paths []string
		began := time.Now()
		base := roundTripper(func(r *http.Request) (*http.Response, error) {
			at, paths = append(at, time.Since(began)), append(paths, r.URL.Path)
			return (&server{handler: answer(200)}).RoundTrip(r)
		})
		l := newBudgets(t, "own", "2 per second burst 1")
		tr := newTransport(t, outbound.Config{Base: base, Rules: []outbound.Rule{{Limiter: l, Budget: "own"}}})
		var all sync.WaitGroup
		for i := range 5 {
			all.Go(func() { _, err := get(t, tr, url+strconv.Itoa(i)); assert.NoError(t, err) })
			synctest.Wait()
		}
		all.Wait()
		assert.Equal(t, []string{"/0", "/1", "/2", "/3", "/4"}, paths)
		for i := range at {
			assert.InDelta(t, float64(i)/2, at[i].Seconds(), 1e-6)
		}
		_, err := get(t, tr, "http://other.test/")
		require.NoError(t, err)
		assert.InDelta(t, 2, time.Since(began).Seconds(), 1e-6, "another host has its own tokens")
	})
}

// A budget that would make a request wait too long is named in the error, and no token is lost.
func TestOwnRulesDeny(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newBudgets(t, "wide", "100 per hour", "narrow", "1 per hour")
		tr := newTransport(t, outbound.Config{Base: &server{handler: answer(200)}, Rules: []outbound.Rule{
			{Limiter: l, Budget: "wide"}, {Limiter: l, Budget: "narrow"},
		}})
		_, err := get(t, tr, url)
		require.NoError(t, err)
		began := time.Now()
		_, err = get(t, tr, url)
		var wait *outbound.WaitError
		require.ErrorAs(t, err, &wait)
		assert.Zero(t, time.Since(began))
		assert.Equal(t, "narrow", wait.Budget)
		assert.Equal(t, began.Add(time.Hour), wait.Until)
		assert.ErrorAs(t, err, new(*ratelimit.DeniedError))
		text, err := json.Marshal(wait)
		require.NoError(t, err)
		assert.Contains(t, string(text), `"Err":"ratelimit: rule \"narrow\": denied: limit, retry after 1h0m0s"`)
		d, err := l.Peek(t.Context(), "wide", ratelimit.ValueKey("host", "http://api.test"))
		require.NoError(t, err)
		assert.EqualValues(t, 99, d.Remaining, "the token of the denied request is refunded")

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = tr.RoundTrip(request(t, nil).WithContext(ctx))
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		gone, leave := context.WithCancel(t.Context())
		leave()
		_, err = tr.RoundTrip(request(t, nil).WithContext(gone))
		assert.ErrorIs(t, err, context.Canceled)
	})
}

// A request that the server would keep waiting takes no token. A request that is sent again takes
// another token.
func TestOwnTokensAndTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newBudgets(t, "own", "100 per day")
		left := func() int64 {
			d, err := l.Peek(t.Context(), "own", ratelimit.ValueKey("host", "http://api.test"))
			require.NoError(t, err)
			return d.Remaining
		}
		s := &server{handler: inTurn(answer(429, "Retry-After", "1"), answer(200, "Retry-After", "300"), answer(200))}
		tr := newTransport(t, outbound.Config{Base: s, Rules: []outbound.Rule{{Limiter: l, Budget: "own"}}})
		_, err := get(t, tr, url)
		require.NoError(t, err)
		assert.EqualValues(t, 98, left())
		_, err = get(t, tr, url)
		require.ErrorAs(t, err, new(*outbound.WaitError))
		assert.EqualValues(t, 98, left())
	})
}

// Key and Cost choose what is taken. If they fail, the request still counts, and OnError is told.
func TestKeyAndCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		l := newBudgets(t, "tokens", "1000 per day")
		tr := newTransport(t, outbound.Config{
			Base:    &server{handler: answer(200)},
			OnError: func(_ context.Context, err error) { told = append(told, err.Error()) },
			Rules: []outbound.Rule{{
				Limiter: l, Budget: "tokens",
				Key: func(r *http.Request) ratelimit.Key {
					switch r.URL.Path {
					case "/panic":
						panic("no key")
					case "/zero":
						return ratelimit.Key{}
					}
					return ratelimit.ValueKey("api", "one")
				},
				Cost: func(r *http.Request) int64 { return map[string]int64{"/": 30, "/free": 0, "/bad": -1}[r.URL.Path] },
			}},
		})
		for _, path := range []string{"", "free", "bad", "panic", "zero"} {
			_, err := get(t, tr, url+path)
			require.NoError(t, err)
		}
		d, err := l.Peek(t.Context(), "tokens", ratelimit.ValueKey("api", "one"))
		require.NoError(t, err)
		assert.EqualValues(t, 969, d.Remaining)
		assert.Equal(t, []string{
			"outbound: Rules[0].Cost: -1: want 0 or more", "outbound: Rules[0].Key: panic: no key",
			"outbound: Rules[0].Key: the zero Key: want a key",
		}, told)
	})
}

// Without waiting, a budget denies at once.
func TestOwnRulesWithoutWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newBudgets(t, "own", "1 per second")
		tr := newTransport(t, outbound.Config{
			Base: &server{handler: answer(200)}, MaxWait: -1, Rules: []outbound.Rule{{Limiter: l, Budget: "own"}},
		})
		_, err := get(t, tr, url)
		require.NoError(t, err)
		_, err = get(t, tr, url)
		var wait *outbound.WaitError
		require.ErrorAs(t, err, &wait)
		assert.Equal(t, time.Now().Add(time.Second), wait.Until)
	})
}

// At most MaxWaiting requests wait for the tokens of a key. Whether the budget has a queue of its
// own makes no difference.
func TestOwnRulesBoundWhoWaits(t *testing.T) {
	for name, maxWait := range map[string]time.Duration{"a budget": 0, "a budget with a queue": time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, err := ratelimit.New(ratelimit.Config{Budgets: []ratelimit.Budget{{
					Name: "own", Limits: ratelimit.MustParse("1 per minute"), MaxWait: maxWait,
				}}})
				require.NoError(t, err)
				tr := newTransport(t, outbound.Config{
					Base: &server{handler: answer(200)}, MaxWait: time.Hour, MaxWaiting: 3,
					Rules: []outbound.Rule{{Limiter: l, Budget: "own"}},
				})
				_, err = get(t, tr, url)
				require.NoError(t, err)
				var all sync.WaitGroup
				for range 3 {
					all.Go(func() { _, err := get(t, tr, url); assert.NoError(t, err) })
				}
				synctest.Wait()
				began := time.Now()
				_, err = get(t, tr, url)
				var wait *outbound.WaitError
				require.ErrorAs(t, err, &wait)
				assert.Zero(t, time.Since(began), "at once")
				assert.Equal(t, "own", wait.Budget)
				assert.True(t, wait.Until.After(began))
				_, err = get(t, tr, "http://other.test/")
				require.NoError(t, err, "another key")
				all.Wait()
				assert.Equal(t, 3*time.Minute, time.Since(began))
			})
		})
	}
}
