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
)

// bothStores runs a test in Redis and in memory.
func bothStores(t *testing.T, test func(t *testing.T, store ratelimit.Store)) {
	t.Run("memory", func(t *testing.T) { test(t, ratelimit.NewMemoryStore(ratelimit.MemoryConfig{})) })
	t.Run("redis", func(t *testing.T) {
		noLeaks(t)
		store, err := redisstore.New(redistest.Start(t).Client(), redisstore.Config{})
		require.NoError(t, err)
		test(t, store)
	})
}

func nameLimit(t testing.TB, index int, text string) *ratelimit.NamedLimit {
	t.Helper()
	l, err := ratelimit.NameLimit("r", index, ratelimit.MustParse(text)[0])
	require.NoError(t, err)
	return l
}

// takeOne takes a token of user in each of limits.
func takeOne(store ratelimit.Store, user string, limits ...*ratelimit.NamedLimit) (allowed bool, err error) {
	ops := make([]ratelimit.Op, len(limits))
	for i, l := range limits {
		ops[i] = ratelimit.Op{Limit: l, Key: ratelimit.UserKey(user), Cost: 1}
	}
	err = store.Apply(context.Background(), ops)
	allowed = err == nil
	for i := range ops {
		allowed = allowed && ops[i].Result.Allowed
	}
	return allowed, err
}

func left(t testing.TB, store ratelimit.Store, user string, l *ratelimit.NamedLimit) int64 {
	t.Helper()
	ops := []ratelimit.Op{{Kind: ratelimit.OpPeek, Limit: l, Key: ratelimit.UserKey(user), Cost: 1}}
	require.NoError(t, store.Apply(t.Context(), ops))
	return ops[0].Result.Remaining
}

// F8: what a response says is what one answer of the store said, and waiting for as long as
// it says suffices.
func TestF08MixedTimeSources(t *testing.T) {
	noLeaks(t)
	i := newInstance(t, redistest.Start(t).Client(), "5 per second burst 3", ratelimit.Config{
		StoreTimeout: 10 * time.Second,
		Denied:       func(w http.ResponseWriter, _ *http.Request, d ratelimit.Decision) { compareFields(t, w.Header(), d) },
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
	assert.LessOrEqual(t, i.store.calls.Load(), int64(20), "at most one call for each decision")
	waits := 0
	for range 12 {
		if d := i.take("a"); !d.Allowed {
			waits++
			time.Sleep(d.RetryAfter)
			assert.True(t, i.take("a").Allowed, "after the wait of %v that was told", d.RetryAfter)
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

// panics is a hook by which the client panics.
type panics struct{ inFlight }

func (*panics) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(context.Context, redis.Cmder) error { panic("in the client") }
}

// F17: a panic in the client or in a function of the user's is that request's only.
func TestF17PanicInKeyOrStore(t *testing.T) {
	noLeaks(t)
	server := redistest.Start(t)
	client := server.Client()
	client.AddHook(&panics{})
	i := newInstance(t, client, "", ratelimit.Config{})
	h := i.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	for range 20 {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		assert.Equal(t, http.StatusTeapot, w.Code)
	}
	assert.EqualValues(t, 5, i.store.calls.Load(), "a store that panics is one that fails")
	assert.Equal(t, map[ratelimit.FailureReason]int{ratelimit.FailurePanic: 5}, i.failures())

	bad := newInstance(t, server.Client(), "", ratelimit.Config{Rules: []ratelimit.Rule{{
		Name: "r", Limits: ratelimit.MustParse("100 per hour"),
		Key:  ratelimit.ByUser(func(*http.Request) string { panic("in the key") }),
		Cost: func(*http.Request) int64 { panic("in the cost") },
	}}})
	h = bad.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	assert.Equal(t, http.StatusTeapot, w.Code)
	assert.EqualValues(t, 2, bad.errs.Load(), "both are reported")
}

// F18: of several limits all are charged or none, however many ask at a time.
func TestF18PartialConsume(t *testing.T) {
	bothStores(t, func(t *testing.T, store ratelimit.Store) {
		wide, narrow := nameLimit(t, 0, "1 per day burst 100"), nameLimit(t, 1, "1 per day burst 60")
		var admitted atomic.Int64
		var all sync.WaitGroup
		for range 32 {
			all.Go(func() {
				for range 5 {
					allowed, err := takeOne(store, "a", wide, narrow)
					assert.NoError(t, err)
					if allowed {
						admitted.Add(1)
					}
				}
			})
		}
		all.Wait()
		assert.EqualValues(t, 60, admitted.Load())
		assert.EqualValues(t, 40, left(t, store, "a", wide), "what was refused by one is charged to none")
		assert.EqualValues(t, 0, left(t, store, "a", narrow))
	})
}

// F23: instances of two configurations share a key, as while a new one is rolled out. The
// new limit applies at once where it is known, and what was spent stays spent.
func TestF23LimitChangedWhileKeysLive(t *testing.T) {
	const most = 10
	for _, change := range []struct {
		name, before, after string
		spent, then         int // by the old limit, and by the new one until it refuses
	}{
		{"lower", "10 per day", "5 per day", 4, 1},
		{"lower than what was spent", "10 per day", "5 per day", 7, 0},
		{"higher", "5 per day", "10 per day", 4, 6},
		{"slower", "10 per hour", "10 per day", 4, 6},
		{"faster", "10 per day", "10 per hour", 4, 6},
	} {
		t.Run(change.name, func(t *testing.T) {
			bothStores(t, func(t *testing.T, store ratelimit.Store) {
				before, after := nameLimit(t, 0, change.before), nameLimit(t, 0, change.after)
				take := func(l *ratelimit.NamedLimit, n int) (admitted int) {
					for range n {
						allowed, err := takeOne(store, "a", l)
						require.NoError(t, err)
						if allowed {
							admitted++
						}
					}
					return admitted
				}
				spent, then := take(before, change.spent), take(after, 2*most)
				t.Logf("%q admitted %d and then %q admitted %d", change.before, spent, change.after, then)
				assert.Equal(t, change.spent, spent)
				assert.Equal(t, change.then, then)
				if then > 0 { // what a lower limit has no room for is not remembered
					assert.LessOrEqual(t, spent+then+take(before, 2*most), most, "a free burst")
				}
			})
		})
	}
}

// F24: state that another version wrote, and this one cannot read, is an empty bucket and not
// a full one; and no longer than a bucket takes to fill.
func TestF24TwoScriptVersions(t *testing.T) {
	noLeaks(t)
	server := redistest.Start(t)
	i := newInstance(t, server.Client(), "10 per minute", ratelimit.Config{StoreTimeout: 10 * time.Second})
	client := server.Client()
	for n, state := range []string{"", "x", "\xff\x00\x00", string(make([]byte, 25)), string(make([]byte, 4096)), "\xff" + string(make([]byte, 24)), "9999999999999"} {
		user := fmt.Sprint("user", n)
		before := client.Keys(t.Context(), "*").Val()
		require.True(t, i.take(user).Allowed)
		for _, key := range client.Keys(t.Context(), "*").Val() {
			if !slices.Contains(before, key) {
				require.NoError(t, client.Set(t.Context(), key, state, time.Hour).Err())
			}
		}
		d, err := i.Take(t.Context(), "r", ratelimit.UserKey(user), 1)
		require.NoError(t, err, "%q", state)
		assert.False(t, d.Allowed, "%q", state)
		assert.LessOrEqual(t, d.RetryAfter, 6*time.Second, "%q: an empty bucket", state)
		assert.LessOrEqual(t, d.ResetAfter, time.Minute, "%q", state)
	}
}

// F26: whoever does not stop asking costs the server nothing until the wait is over, and not
// a moment longer.
func TestF26HotLoopOfRefusals(t *testing.T) {
	noLeaks(t)
	server := redistest.Start(t)
	i := newInstance(t, server.Client(), "1 per second burst 5", ratelimit.Config{StoreTimeout: 10 * time.Second})
	assert.EqualValues(t, 5, i.drain(t, "a"))
	scripts := func() int { c := server.Calls(); return c["eval"] + c["evalsha"] }
	before, asked := scripts(), i.store.calls.Load()
	const refusals = 5000
	begin := time.Now()
	refused := 0
	var d ratelimit.Decision
	for range refusals {
		if d = i.take("a"); !d.Allowed {
			refused++
		}
	}
	took, trips := time.Since(begin), scripts()-before
	t.Logf("%d requests in %v: %d refused, %d trips to the server", refusals, took, refused, trips)
	// One token comes each second: an admission, and the refusal after it.
	assert.LessOrEqual(t, trips, 2*int(took/time.Second+1))
	assert.EqualValues(t, trips, i.store.calls.Load()-asked)
	time.Sleep(d.RetryAfter)
	assert.True(t, i.take("a").Allowed, "the wait is over")
	require.NoError(t, i.Reset(t.Context(), "r", ratelimit.UserKey("a")))
	assert.True(t, i.take("a").Allowed, "what is known of refusals must not outlive a reset")
}
