package redisstore_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/login"
	"github.com/ratelimit-go/ratelimit/redisstore"
	"github.com/ratelimit-go/ratelimit/redisstore/internal/redistest"
)

// instances returns n limiters of one service, with a client each, on one server.
func instances(t *testing.T, n int, cfg ratelimit.Config) []*ratelimit.Limiter {
	server := redistest.Start(t)
	all := make([]*ratelimit.Limiter, n)
	for i := range all {
		c := cfg
		c.Store, c.StoreTimeout, c.OnStoreFailure = newStore(t, server.Client(), redisstore.Config{}), 5*time.Second, ratelimit.FailClosed
		l, err := ratelimit.New(c)
		require.NoError(t, err)
		all[i] = l
	}
	return all
}

// request returns the status of a request of user to h.
func request(h http.Handler, user string) int {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("User", user)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

var byUser = ratelimit.ByUser(func(r *http.Request) string { return r.Header.Get("User") })

// Of 200 failed attempts at once, at two instances, only as many as the limit reach the handler.
func TestCountOnlyInRedis(t *testing.T) {
	var reached atomic.Int64
	var handlers []http.Handler
	for _, l := range instances(t, 2, ratelimit.Config{Rules: []ratelimit.Rule{{
		Name: "failures", Limits: ratelimit.MustParse("5 per hour"), Key: byUser, CountOnly: ratelimit.Failures,
	}}}) {
		handlers = append(handlers, l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("User") == "honest" {
				w.WriteHeader(http.StatusOK)
				return
			}
			reached.Add(1)
			w.WriteHeader(http.StatusUnauthorized)
		})))
	}
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() { request(handlers[i%2], "attacker") })
	}
	for i := range 20 {
		assert.Equal(t, http.StatusOK, request(handlers[i%2], "honest"), "successes are refunded")
	}
	all.Wait()
	assert.Equal(t, int64(5), reached.Load())
}

func TestSetCostInRedis(t *testing.T) {
	ls := instances(t, 2, ratelimit.Config{Rules: []ratelimit.Rule{{
		Name: "rows", Limits: ratelimit.MustParse("100 per day; 1000 per 30 days"), Key: byUser,
	}}})
	cost, peak := int64(0), int64(0)
	h := ls[0].Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		assert.NoError(t, ratelimit.SetCost(r.Context(), "rows", max(cost, peak)))
		assert.NoError(t, ratelimit.SetCost(r.Context(), "rows", cost))
	}))
	left := func() int64 {
		d, err := ls[1].Peek(t.Context(), "rows", ratelimit.UserKey("a"))
		require.NoError(t, err)
		return d.Remaining
	}
	for _, tc := range []struct{ cost, peak, left int64 }{{0, 0, 99}, {1, 0, 98}, {40, 0, 58}, {0, 1000, 57}, {2, 500, 55}, {1000, 0, 0}} {
		cost, peak = tc.cost, tc.peak
		require.Equal(t, http.StatusOK, request(h, "a"))
		assert.Equal(t, tc.left, left(), "a cost of %d", tc.cost)
	}
	assert.Equal(t, http.StatusTooManyRequests, request(h, "a"))
}

// Requests at two instances wait in one queue.
func TestMaxWaitInRedis(t *testing.T) {
	t.Parallel()
	const each = 100 * time.Millisecond
	ls := instances(t, 2, ratelimit.Config{Rules: []ratelimit.Rule{{
		Name: "queue", Limits: ratelimit.Limits{{Count: 1, Period: each}}, Key: byUser, MaxWait: 6 * each,
	}}})
	var mu sync.Mutex
	var at []time.Duration
	start := time.Now()
	h := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		at = append(at, time.Since(start))
	})
	var all sync.WaitGroup
	var denied atomic.Int64
	for i := range 20 {
		all.Go(func() {
			if request(ls[i%2].Handler(h), "a") == http.StatusTooManyRequests {
				denied.Add(1)
			}
		})
	}
	all.Wait()
	assert.GreaterOrEqual(t, len(at), 7, "one at once and six in the queue")
	assert.Equal(t, int64(20-len(at)), denied.Load())
	for i, d := range at {
		assert.GreaterOrEqual(t, d, time.Duration(i)*each, "no request goes on before its turn")
	}
}

func TestLoginInRedis(t *testing.T) {
	ls := instances(t, 2, ratelimit.Config{})
	var checks atomic.Int64
	var logins []http.Handler
	for _, l := range ls {
		guard, err := login.New(l, login.Config{Account: login.FormField("user"), Succeeded: ratelimit.StatusIn(200)})
		require.NoError(t, err)
		logins = append(logins, guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			checks.Add(1)
			if r.PostFormValue("password") != "secret" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			w.WriteHeader(http.StatusOK)
		})))
	}
	try := func(i int, address, password string) int {
		r := httptest.NewRequest(http.MethodPost, "/login", strings.NewReader("user=alice&password="+password))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.RemoteAddr = address + ":1"
		w := httptest.NewRecorder()
		logins[i%2].ServeHTTP(w, r)
		return w.Code
	}
	require.Equal(t, http.StatusOK, try(0, "192.0.2.1", "secret"))
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() { try(i, fmt.Sprint("198.51.100.", i), "guess") })
	}
	all.Wait()
	assert.Equal(t, int64(1+20), checks.Load())
	assert.Equal(t, http.StatusTooManyRequests, try(0, "203.0.113.1", "secret"), "an address never used before")
	assert.Equal(t, http.StatusOK, try(1, "192.0.2.1", "secret"), "an address used before, at another instance")
}
