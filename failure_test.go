package ratelimit_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

func failing(name, limits string, policy ratelimit.FailurePolicy) ratelimit.Rule {
	r := rule(name, limits)
	r.OnStoreFailure = policy
	return r
}

// deadLimiter returns a Limiter whose store has never worked.
func deadLimiter(t testing.TB, cfg ratelimit.Config) *ratelimit.Limiter {
	t.Helper()
	cfg.Store, cfg.OnError = failingStore{errors.New("a secret")}, func(context.Context, error) {}
	if cfg.OnStoreFailure == 0 {
		cfg.OnStoreFailure = ratelimit.FailOpen
	}
	return newLimiter(t, cfg)
}

// Promise 13: of rules that choose differently, the closed ones win, then those in memory.
func TestFailurePolicyByRule(t *testing.T) {
	const open, closed, memory = ratelimit.FailOpen, ratelimit.FailClosed, ratelimit.UseMemory
	for _, tc := range []struct {
		name     string
		policies []ratelimit.FailurePolicy // of rules of 1, 2, 3, ... per hour
		global   ratelimit.FailurePolicy
		want     []int
		decided  string // by which rule, at first
	}{
		{"all open", []ratelimit.FailurePolicy{open, open}, closed, []int{200, 200, 200}, ""},
		{"one closed", []ratelimit.FailurePolicy{open, memory, closed}, open, []int{503, 503, 503}, ""},
		{"one in memory", []ratelimit.FailurePolicy{open, memory, open}, open, []int{200, 200, 429}, "r2"},
		{"two in memory", []ratelimit.FailurePolicy{open, memory, memory}, closed, []int{200, 200, 429}, "r2"},
		{"inherited open", []ratelimit.FailurePolicy{0, 0}, open, []int{200, 200, 200}, ""},
		{"inherited closed", []ratelimit.FailurePolicy{open, 0}, closed, []int{503, 503, 503}, ""},
		{"inherited memory", []ratelimit.FailurePolicy{open, 0}, memory, []int{200, 200, 429}, "r2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var rules []ratelimit.Rule
			for i, policy := range tc.policies {
				n := string(rune('1' + i))
				rules = append(rules, failing("r"+n, n+" per hour", policy))
			}
			var decided []ratelimit.Decision
			h := deadLimiter(t, ratelimit.Config{Rules: rules, OnStoreFailure: tc.global}).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				d, _ := ratelimit.DecisionFrom(r.Context())
				decided = append(decided, d)
			}))
			var got []int
			for range tc.want {
				w := serve(h, request("192.0.2.1:1"))
				got = append(got, w.Code)
				checkFailedResponse(t, w)
			}
			assert.Equal(t, tc.want, got)
			if len(decided) > 0 {
				assert.Equal(t, tc.decided, decided[0].Rule)
				assert.True(t, decided[0].StoreFailed)
				assert.Equal(t, tc.decided != "", decided[0].Local)
			}
		})
	}
}

// checkFailedResponse checks that w tells nothing of the failure, nor of rules that did not decide.
func checkFailedResponse(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	all := w.Body.String()
	for name, values := range w.Header() {
		all += name + strings.Join(values, "\n")
	}
	assert.NotContains(t, all, "secret")
	assert.NotContains(t, all, `"r1"`)
	if w.Code == http.StatusServiceUnavailable {
		assert.Equal(t, "1", w.Header().Get("Retry-After"))
		assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		assert.NotContains(t, all, "Ratelimit")
	}
}

// All of the rules in memory are charged, or none is; those that are open or closed never are.
func TestFailureIsAllOrNothing(t *testing.T) {
	l := deadLimiter(t, ratelimit.Config{
		Rules: []ratelimit.Rule{failing("small", "1 per hour", ratelimit.UseMemory), failing("large", "9 per hour", ratelimit.UseMemory)},
		Routes: map[string][]ratelimit.Rule{
			"/closed": {failing("closed", "9 per hour", ratelimit.FailClosed)},
			"/open":   {failing("open", "9 per hour", ratelimit.FailOpen)},
		},
	})
	h := l.Handler(ok)
	left := func(rule string) int64 {
		d, err := l.Peek(t.Context(), rule, ratelimit.ByRemoteIP().KeyOf(netip.MustParseAddr("192.0.2.1")))
		require.Error(t, err)
		require.True(t, d.Local)
		return d.Remaining
	}
	at := func(path string) *http.Request {
		r := request("192.0.2.1:1")
		r.URL.Path = path
		return r
	}
	require.Equal(t, http.StatusServiceUnavailable, serve(h, at("/closed")).Code)
	assert.EqualValues(t, 9, left("large"), "closed")
	require.Equal(t, http.StatusOK, serve(h, at("/open")).Code)
	assert.EqualValues(t, 8, left("large"))
	require.Equal(t, http.StatusTooManyRequests, serve(h, at("/")).Code)
	assert.EqualValues(t, 8, left("large"), "refused by the other")
}

// Each instance enforces its part, and says so.
func TestInstances(t *testing.T) {
	for _, tc := range []struct {
		limits    string
		instances int
		want      string // what one instance enforces
		burst     int
	}{
		{"100 per minute", 0, "100 per minute", 100},
		{"100 per minute", 1, "100 per minute", 100},
		{"100 per minute", 4, "25 per minute", 25},
		{"100 per minute burst 7", 4, "25 per minute burst 1", 1},
		{"100 per minute", 3, "100 per 3 minutes burst 33", 33},
		{"1 per minute", 3, "1 per 3 minutes", 1},
		{"2 per minute", 1_000_000, "2 per 1000000 minutes burst 1", 1},
		{"1 per year", 1000, "1 per 100 years", 1},
	} {
		t.Run(tc.want, func(t *testing.T) {
			l := deadLimiter(t, ratelimit.Config{
				Rules: []ratelimit.Rule{rule("r", tc.limits)}, OnStoreFailure: ratelimit.UseMemory, Instances: tc.instances,
			})
			for n := range tc.burst {
				d, err := l.Take(t.Context(), "r", ratelimit.UserKey("a"), 1)
				require.Error(t, err)
				require.True(t, d.Allowed, "take %d", n)
				require.True(t, d.Local)
				limits := ratelimit.Limits{d.Limit.WithBurst(d.Limit.Burst)}
				require.Equal(t, tc.want, limits.String())
			}
			d, _ := l.Take(t.Context(), "r", ratelimit.UserKey("a"), 1)
			require.False(t, d.Allowed)
			assert.Equal(t, ratelimit.ReasonLimit, d.Reason)
		})
	}
}

// All instances together admit no more than the limit, and each token is one of somebody's.
func TestInstancesTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const instances = 4
		var fleet [instances]*ratelimit.Limiter
		for i := range fleet {
			fleet[i] = deadLimiter(t, ratelimit.Config{
				Rules: []ratelimit.Rule{rule("r", "100 per minute")}, OnStoreFailure: ratelimit.UseMemory, Instances: instances,
			})
		}
		admitted := 0
		for range 3 * 60 * 10 {
			for _, l := range fleet {
				if d, _ := l.Take(t.Context(), "r", ratelimit.UserKey("a"), 1); d.Allowed {
					admitted++
				}
			}
			time.Sleep(100 * time.Millisecond)
		}
		assert.LessOrEqual(t, admitted, 100+3*100)
		assert.GreaterOrEqual(t, admitted, 100+3*100-instances)
	})
}

// The header fields of a request that was decided here are those of the part.
func TestLocalFields(t *testing.T) {
	h := deadLimiter(t, ratelimit.Config{
		Rules:     []ratelimit.Rule{failing("a", "100 per minute", ratelimit.UseMemory), failing("b", "9 per minute", ratelimit.FailOpen)},
		Instances: 4,
	}).Handler(ok)
	w := serve(h, request("192.0.2.1:1"))
	assert.Equal(t, `"a";q=25;w=60`, w.Header().Get("Ratelimit-Policy"))
	assert.Equal(t, `"a";r=24;t=58`, w.Header().Get("Ratelimit"))
}

// A store that says that what it was asked is not valid, when it is, has failed.
func TestStoreThatFindsFault(t *testing.T) {
	for policy, want := range map[ratelimit.FailurePolicy]int{ratelimit.FailOpen: 200, ratelimit.FailClosed: 503, ratelimit.UseMemory: 200} {
		l := newLimiter(t, ratelimit.Config{
			Rules: []ratelimit.Rule{rule("r", "1 per hour")}, OnStoreFailure: policy, OnError: func(context.Context, error) {},
			Store: failingStore{ratelimit.ErrInvalidOp},
		})
		assert.Equal(t, want, serve(l.Handler(ok), request("192.0.2.1:1")).Code)
		d, err := l.Take(t.Context(), "r", ratelimit.UserKey("a"), 1)
		require.ErrorContains(t, err, "invalid op")
		assert.True(t, d.StoreFailed)
		assert.Equal(t, policy != ratelimit.FailClosed, d.Allowed)
		d, err = l.Take(t.Context(), "r", ratelimit.UserKey("a"), -1)
		require.ErrorIs(t, err, ratelimit.ErrInvalidOp)
		assert.Zero(t, d)
	}
}

// What was taken in local memory is given back there, and never to the store.
func TestLocalChargesAreSettledLocally(t *testing.T) {
	store := newMortal()
	l := newLimiter(t, ratelimit.Config{
		Store: store, OnStoreFailure: ratelimit.UseMemory, OnError: func(context.Context, error) {},
		Rules: []ratelimit.Rule{{
			Name: "failures", Limits: ratelimit.MustParse("3 per hour"), Key: ratelimit.ByRemoteIP(), Charge: ratelimit.ChargeFailures,
		}, rule("all", "100 per hour")},
	})
	key := ratelimit.ByRemoteIP().KeyOf(netip.MustParseAddr("192.0.2.1"))
	serve(l.Handler(http.NotFoundHandler()), request("192.0.2.1:1"))
	store.dead.Store(true)
	revived := l.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { store.dead.Store(false) }))
	require.Equal(t, http.StatusOK, serve(revived, request("192.0.2.1:1")).Code)
	d, err := l.Peek(t.Context(), "failures", key)
	require.NoError(t, err)
	assert.EqualValues(t, 2, d.Remaining, "in the store")
	store.dead.Store(true)
	d, err = l.Peek(t.Context(), "failures", key)
	require.Error(t, err)
	assert.EqualValues(t, 3, d.Remaining, "in local memory")
	d, err = l.Peek(t.Context(), "all", key)
	require.Error(t, err)
	assert.EqualValues(t, 99, d.Remaining, "in local memory")
}

// Nor does it say anything of the store that other limits should suffer for.
func TestStoreThatFindsFaultIsNotDown(t *testing.T) {
	asked := 0
	l := newLimiter(t, ratelimit.Config{
		Rules: []ratelimit.Rule{rule("r", "1 per hour")}, OnStoreFailure: ratelimit.FailOpen, OnError: func(context.Context, error) {},
		Store: storeFunc(func(context.Context, []ratelimit.Op) error { asked++; return ratelimit.ErrInvalidOp }),
	})
	for range 20 {
		serve(l.Handler(ok), request("192.0.2.1:1"))
	}
	assert.Equal(t, 20, asked)
	assert.Equal(t, ratelimit.StoreUp, l.Stats().Store)
}

// A request whose rules were decided in both places is given back in both.
func TestChargesAreSettledWhereTheyWereMade(t *testing.T) {
	store, calls := ratelimit.NewMemoryStore(ratelimit.MemoryConfig{}), 0
	observed := rule("observed", "9 per hour")
	observed.Mode = ratelimit.Observe
	l := newLimiter(t, ratelimit.Config{
		Rules: []ratelimit.Rule{observed, rule("enforced", "9 per hour")}, OnStoreFailure: ratelimit.UseMemory, OnError: func(context.Context, error) {},
		Store: storeFunc(func(ctx context.Context, ops []ratelimit.Op) error {
			if calls++; calls == 1 {
				return errors.New("once")
			}
			return store.Apply(ctx, ops)
		}),
	})
	refuse := rule("refuse", "1 per hour")
	refuse.Cost = func(*http.Request) int64 { return 2 }
	inner := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{refuse}}).Handler(ok)
	var local, there ratelimit.Decision
	key := ratelimit.ByRemoteIP().KeyOf(netip.MustParseAddr("192.0.2.1"))
	h := l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d, ok := ratelimit.DecisionFrom(r.Context())
		require.True(t, ok)
		local = d
		there, _ = l.Peek(r.Context(), "observed", key)
		inner.ServeHTTP(w, r)
	}))
	require.Equal(t, http.StatusTooManyRequests, serve(h, request("192.0.2.1:1")).Code)
	assert.Equal(t, []any{true, "enforced", int64(8)}, []any{local.Local, local.Rule, local.Remaining})
	assert.EqualValues(t, 8, there.Remaining)
	there, err := l.Peek(t.Context(), "observed", key)
	require.NoError(t, err)
	assert.EqualValues(t, 9, there.Remaining, "given back to the store")
	there, err = l.Peek(t.Context(), "enforced", key)
	require.NoError(t, err)
	assert.EqualValues(t, 9, there.Remaining, "not taken from the store")
	calls = 0
	there, err = l.Peek(t.Context(), "enforced", key)
	require.Error(t, err)
	assert.Equal(t, []any{true, int64(9)}, []any{there.Local, there.Remaining}, "given back here")
}

// What was taken from the store is not given back to local memory, which never had it.
func TestStoreChargesAreNotSettledLocally(t *testing.T) {
	store := newMortal()
	failures := rule("failures", "3 per hour")
	failures.Charge = ratelimit.ChargeFailures
	l := newLimiter(t, ratelimit.Config{
		Store: store, OnStoreFailure: ratelimit.UseMemory, OnError: func(context.Context, error) {}, Rules: []ratelimit.Rule{failures},
	})
	store.dead.Store(true)
	serve(l.Handler(http.NotFoundHandler()), request("192.0.2.1:1"))
	store.dead.Store(false)
	dies := l.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { store.dead.Store(true) }))
	require.Equal(t, http.StatusOK, serve(dies, request("192.0.2.1:1")).Code)
	d, err := l.Peek(t.Context(), "failures", ratelimit.ByRemoteIP().KeyOf(netip.MustParseAddr("192.0.2.1")))
	require.Error(t, err)
	assert.EqualValues(t, 2, d.Remaining)
}
