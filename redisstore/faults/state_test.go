package faults

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/redisstore"
	"github.com/ratelimit-go/ratelimit/redisstore/internal/redistest"
	"github.com/ratelimit-go/ratelimit/store"
)

// bothStores runs a test in memory and in Redis.
func bothStores(t *testing.T, test func(t *testing.T, s store.Store)) {
	t.Run("memory", func(t *testing.T) { test(t, ratelimit.NewMemoryStore(ratelimit.MemoryConfig{})) })
	t.Run("redis", func(t *testing.T) {
		noLeaks(t)
		s, err := redisstore.New(redistest.Start(t).Client(), redisstore.Config{})
		require.NoError(t, err)
		test(t, s)
	})
}

func nameLimit(t testing.TB, index int, text string) *store.Limit {
	t.Helper()
	n := ratelimit.MustParse(text)[0]
	l, err := store.NewLimit("r", index, n.Count, n.Period, n.Burst)
	require.NoError(t, err)
	return l
}

// takeOne takes a token of user under each of limits.
func takeOne(s store.Store, user string, limits ...*store.Limit) (allowed bool, err error) {
	ops := make([]store.Op, len(limits))
	for i, l := range limits {
		ops[i] = store.Op{Limit: l, Key: ratelimit.UserKey(user), Cost: 1}
	}
	err = s.Apply(context.Background(), ops)
	allowed = err == nil
	for i := range ops {
		allowed = allowed && ops[i].Result.Allowed
	}
	return allowed, err
}

func left(t testing.TB, s store.Store, user string, l *store.Limit) int64 {
	t.Helper()
	ops := []store.Op{{Kind: store.Peek, Limit: l, Key: ratelimit.UserKey(user), Cost: 1}}
	require.NoError(t, s.Apply(t.Context(), ops))
	return ops[0].Result.Remaining
}

// The fields of a response agree with the decision, which is one answer of the store. After the
// RetryAfter of a denial the request is allowed.
func TestFieldsAgreeWithTheDecision(t *testing.T) {
	t.Parallel()
	i := newInstance(t, redistest.Start(t).Client(), "5 per second burst 3", ratelimit.Config{
		StoreTimeout: 10 * time.Second,
		DenyHandler: func(w http.ResponseWriter, _ *http.Request, d ratelimit.Decision) {
			compareFields(t, w.Header(), d)
		},
	})
	h := i.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d, ok := ratelimit.DecisionFrom(r.Context())
		assert.True(t, ok)
		compareFields(t, w.Header(), d)
	}))
	for n := range 20 {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
		if n%5 == 4 {
			time.Sleep(100 * time.Millisecond)
		}
	}
	assert.LessOrEqual(t, i.store.calls.Load(), int64(20), "at most one call per decision")
	waits := 0
	for range 12 {
		if d := i.take("a"); !d.Allowed {
			waits++
			time.Sleep(d.RetryAfter)
			assert.True(t, i.take("a").Allowed, "after a RetryAfter of %v", d.RetryAfter)
		}
	}
	t.Logf("%d waits, each sufficed", waits)
	assert.Positive(t, waits)
}

func compareFields(t *testing.T, h http.Header, d ratelimit.Decision) {
	assert.Contains(t, h.Get("RateLimit"), fmt.Sprintf(";r=%d", d.Remaining))
	if !d.Allowed {
		assert.Equal(t, fmt.Sprint(int64((d.RetryAfter+time.Second-1)/time.Second)), h.Get("Retry-After"))
	}
}

// panics is a hook that panics in the client.
type panics struct{ inFlight }

func (*panics) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(context.Context, redis.Cmder) error { panic("in the client") }
}

// A panic in the client, or in a function of the Config, affects only that request.
func TestPanics(t *testing.T) {
	noLeaks(t)
	server := redistest.Start(t)
	client := server.Client()
	client.AddHook(&panics{})
	i := newInstance(t, client, "", ratelimit.Config{})
	teapot := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	h := i.Handler(teapot)
	for range 20 {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		assert.Equal(t, http.StatusTeapot, w.Code)
	}
	assert.EqualValues(t, 5, i.store.calls.Load(), "a panic counts as a failure of the store")
	assert.Equal(t, map[store.Reason]int{store.ReasonPanic: 5}, i.failures())

	bad := newInstance(t, server.Client(), "", ratelimit.Config{Rules: []ratelimit.Rule{{
		Name: "r", Limits: ratelimit.MustParse("100 per hour"),
		Key:  ratelimit.ByUser(func(*http.Request) string { panic("in the key") }),
		Cost: func(*http.Request) int64 { panic("in the cost") },
	}}})
	h = bad.Handler(teapot)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	assert.Equal(t, http.StatusTeapot, w.Code)
	assert.EqualValues(t, 2, bad.errs.Load(), "both are reported")
}

// All limits of a batch are charged or none, under load too.
func TestAllLimitsOrNone(t *testing.T) {
	bothStores(t, func(t *testing.T, s store.Store) {
		wide, narrow := nameLimit(t, 0, "1 per day burst 100"), nameLimit(t, 1, "1 per day burst 60")
		var total atomic.Int64
		var all sync.WaitGroup
		for range 32 {
			all.Go(func() {
				for range 5 {
					allowed, err := takeOne(s, "a", wide, narrow)
					assert.NoError(t, err)
					if allowed {
						total.Add(1)
					}
				}
			})
		}
		all.Wait()
		assert.EqualValues(t, 60, total.Load())
		assert.EqualValues(t, 40, left(t, s, "a", wide), "a take that one limit denies is charged to no limit")
		assert.EqualValues(t, 0, left(t, s, "a", narrow))
	})
}

// Instances with two configurations share a key, as during a rolling deployment. The new limit
// applies at once in instances that know it. Spent tokens stay spent.
func TestLimitChanges(t *testing.T) {
	const most = 10
	for _, change := range []struct {
		name, before, after string
		spent, then         int // under the old limit, and under the new limit until it denies
	}{
		{"lower", "10 per day", "5 per day", 4, 1},
		{"lower than what was spent", "10 per day", "5 per day", 7, 0},
		{"higher", "5 per day", "10 per day", 4, 6},
		{"slower", "10 per hour", "10 per day", 4, 6},
		{"faster", "10 per day", "10 per hour", 4, 6},
	} {
		t.Run(change.name, func(t *testing.T) {
			bothStores(t, func(t *testing.T, s store.Store) {
				before, after := nameLimit(t, 0, change.before), nameLimit(t, 0, change.after)
				take := func(l *store.Limit, n int) (total int) {
					for range n {
						allowed, err := takeOne(s, "a", l)
						require.NoError(t, err)
						if allowed {
							total++
						}
					}
					return total
				}
				spent, then := take(before, change.spent), take(after, 2*most)
				t.Logf("%q allowed %d and then %q allowed %d", change.before, spent, change.after, then)
				assert.Equal(t, change.spent, spent)
				assert.Equal(t, change.then, then)
				assert.LessOrEqual(t, spent+then+take(before, 2*most), most, "a free burst")
			})
		})
	}
}

// A state of another version, which this version cannot read, is an empty bucket. It fills as
// usual.
func TestStateOfAnotherVersion(t *testing.T) {
	noLeaks(t)
	server := redistest.Start(t)
	i := newInstance(t, server.Client(), "10 per minute", ratelimit.Config{StoreTimeout: 10 * time.Second})
	client := server.Client()
	for n, state := range []string{
		"", "x", "\xff\x00\x00", string(make([]byte, 25)), string(make([]byte, 4096)),
		"\xff" + string(make([]byte, 24)), "9999999999999",
	} {
		user := fmt.Sprint("user", n)
		before := client.Keys(t.Context(), "*").Val()
		require.True(t, i.take(user).Allowed)
		for _, key := range client.Keys(t.Context(), "*").Val() {
			if !slices.Contains(before, key) {
				require.NoError(t, client.Set(t.Context(), key, state, time.Hour).Err())
			}
		}
		d := i.take(user)
		require.NoError(t, d.StoreErr, "%q", state)
		assert.False(t, d.Allowed, "%q", state)
		assert.LessOrEqual(t, d.RetryAfter, 6*time.Second, "%q: an empty bucket", state)
		assert.LessOrEqual(t, d.ResetAfter, time.Minute, "%q", state)
	}
}

// A client that never stops costs the server nothing until its wait is over. Then it is allowed at
// once.
func TestHotLoopOfDenials(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	i := newInstance(t, server.Client(), "1 per second burst 5", ratelimit.Config{StoreTimeout: 10 * time.Second})
	assert.EqualValues(t, 5, i.takeAll(t, "a"))
	scripts := func() int { c := server.Calls(); return c["eval"] + c["evalsha"] }
	before, calls := scripts(), i.store.calls.Load()
	const requests = 5000
	begin := time.Now()
	denied := 0
	var d ratelimit.Decision
	for range requests {
		if d = i.take("a"); !d.Allowed {
			denied++
		}
	}
	took, trips := time.Since(begin), scripts()-before
	t.Logf("%d requests in %v: %d denied, %d trips to the server", requests, took, denied, trips)
	// Each second there is one token: a take that is allowed, and the denial after it.
	assert.LessOrEqual(t, trips, 2*int(took/time.Second+1))
	assert.EqualValues(t, trips, i.store.calls.Load()-calls)
	time.Sleep(d.RetryAfter)
	assert.True(t, i.take("a").Allowed, "the wait is over")
	require.NoError(t, i.Reset(t.Context(), "r", ratelimit.UserKey("a")))
	assert.True(t, i.take("a").Allowed, "a cached denial must not outlive a reset")
}
