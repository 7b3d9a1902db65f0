package ratelimit_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
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

func onFailure(name, limits string, policy ratelimit.FailurePolicy) ratelimit.Rule {
	r := rule(name, limits)
	r.OnStoreFailure = policy
	return r
}

// deadLimiter returns a Limiter whose store has never worked.
func deadLimiter(t testing.TB, cfg ratelimit.Config) *ratelimit.Limiter {
	t.Helper()
	cfg.Store = storefake.Func(func(context.Context, []store.Op) error { return errors.New("a secret") })
	cfg.Hooks = unreported()
	if cfg.OnStoreFailure == "" {
		cfg.OnStoreFailure = ratelimit.FailOpen
	}
	return newLimiter(t, cfg)
}

// If rules choose differently, FailClosed wins, then UseMemory.
func TestFailurePolicyByRule(t *testing.T) {
	const open, closed, memory, none = ratelimit.FailOpen, ratelimit.FailClosed, ratelimit.UseMemory, ratelimit.FailurePolicy("")
	for _, tc := range []struct {
		name     string
		policies []ratelimit.FailurePolicy // of rules of 1, 2, 3, ... per hour
		global   ratelimit.FailurePolicy
		want     []int
		decided  string // by which rule, at first
	}{
		{"all open", []ratelimit.FailurePolicy{open, open}, closed, []int{200, 200, 200}, ""},
		{"one closed", []ratelimit.FailurePolicy{open, memory, closed}, open, []int{503, 503, 503}, ""},
		{"closed before memory", []ratelimit.FailurePolicy{closed, memory}, open, []int{503, 503, 503}, ""},
		{"closed before open", []ratelimit.FailurePolicy{closed, open}, memory, []int{503, 503, 503}, ""},
		{"one in memory", []ratelimit.FailurePolicy{open, memory, open}, open, []int{200, 200, 429}, "r2"},
		{"two in memory", []ratelimit.FailurePolicy{open, memory, memory}, closed, []int{200, 200, 429}, "r2"},
		{"inherited open", []ratelimit.FailurePolicy{none, none}, open, []int{200, 200, 200}, ""},
		{"inherited closed", []ratelimit.FailurePolicy{open, none}, closed, []int{503, 503, 503}, ""},
		{"inherited memory", []ratelimit.FailurePolicy{open, none}, memory, []int{200, 200, 429}, "r2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var rules []ratelimit.Rule
			for i, policy := range tc.policies {
				n := string(rune('1' + i))
				rules = append(rules, onFailure("r"+n, n+" per hour", policy))
			}
			var decided []ratelimit.Decision
			l := deadLimiter(t, ratelimit.Config{Rules: rules, OnStoreFailure: tc.global})
			h := l.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				d, _ := ratelimit.DecisionFrom(r.Context())
				decided = append(decided, d)
			}))
			var got []int
			for range tc.want {
				w := serve(h, with())
				got = append(got, w.Code)
				checkFailedResponse(t, w)
			}
			assert.Equal(t, tc.want, got)
			if len(decided) > 0 {
				assert.Equal(t, tc.decided, decided[0].Rule)
				require.Error(t, decided[0].StoreErr)
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

// All rules in memory are charged, or none of them. Rules that are open or closed are never
// charged.
func TestFailureIsAllOrNothing(t *testing.T) {
	l := deadLimiter(t, ratelimit.Config{
		Rules: []ratelimit.Rule{
			onFailure("small", "1 per hour", ratelimit.UseMemory),
			onFailure("large", "9 per hour", ratelimit.UseMemory),
		},
		Routes: map[string][]ratelimit.Rule{
			"/closed": {onFailure("closed", "9 per hour", ratelimit.FailClosed)},
			"/open":   {onFailure("open", "9 per hour", ratelimit.FailOpen)},
		},
	})
	h := l.Handler(ok)
	left := func(rule string) int64 {
		d, err := l.Peek(t.Context(), rule, client())
		require.NoError(t, err)
		require.Error(t, d.StoreErr)
		require.True(t, d.Local)
		return d.Remaining
	}
	require.Equal(t, http.StatusServiceUnavailable, serve(h, at("/closed")).Code)
	assert.EqualValues(t, 9, left("large"), "closed")
	require.Equal(t, http.StatusOK, serve(h, at("/open")).Code)
	assert.EqualValues(t, 8, left("large"))
	require.Equal(t, http.StatusTooManyRequests, serve(h, at("/")).Code)
	assert.EqualValues(t, 8, left("large"), "the other rule denied")
}

func TestEachInstanceEnforcesItsPart(t *testing.T) {
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
				require.NoError(t, err)
				require.Error(t, d.StoreErr)
				require.True(t, d.Allowed, "take %d", n)
				require.True(t, d.Local)
				limits := ratelimit.Limits{d.Limit}
				require.Equal(t, tc.want, limits.String())
			}
			d, err := l.Take(t.Context(), "r", ratelimit.UserKey("a"), 1)
			require.NoError(t, err)
			require.False(t, d.Allowed)
			assert.Equal(t, ratelimit.ReasonLimit, d.Reason)
		})
	}
}

// All instances together allow at most the limit, and each token goes to one of the clients.
func TestInstancesTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const instances = 4
		var fleet [instances]*ratelimit.Limiter
		for i := range fleet {
			fleet[i] = deadLimiter(t, ratelimit.Config{
				Rules: []ratelimit.Rule{rule("r", "100 per minute")}, OnStoreFailure: ratelimit.UseMemory, Instances: instances,
			})
		}
		allowed := 0
		for range 3 * 60 * 10 {
			for _, l := range fleet {
				if d, _ := l.Take(t.Context(), "r", ratelimit.UserKey("a"), 1); d.Allowed {
					allowed++
				}
			}
			time.Sleep(100 * time.Millisecond)
		}
		assert.LessOrEqual(t, allowed, 100+3*100)
		assert.GreaterOrEqual(t, allowed, 100+3*100-instances)
	})
}

func TestFieldsOfALocalDecisionShowThePart(t *testing.T) {
	h := deadLimiter(t, ratelimit.Config{
		Rules: []ratelimit.Rule{
			onFailure("a", "100 per minute", ratelimit.UseMemory),
			onFailure("b", "9 per minute", ratelimit.FailOpen),
		},
		Instances: 4,
	}).Handler(ok)
	w := serve(h, with())
	assert.Equal(t, `"a";q=25;w=60`, w.Header().Get("Ratelimit-Policy"))
	assert.Equal(t, `"a";r=24;t=58`, w.Header().Get("Ratelimit"))
}

// While the store fails, Take, Peek and Apply decide and say so. Only a misuse is an error.
func TestErrorsAreMisusesOnly(t *testing.T) {
	alice := ratelimit.UserKey("alice")
	for _, tc := range []struct {
		policy  ratelimit.FailurePolicy
		allowed bool
		reason  ratelimit.Reason
		local   bool
	}{
		{ratelimit.FailOpen, true, ratelimit.ReasonStore, false},
		{ratelimit.FailClosed, false, ratelimit.ReasonStore, false},
		{ratelimit.UseMemory, true, "", true},
	} {
		t.Run(string(tc.policy), func(t *testing.T) {
			l := deadLimiter(t, ratelimit.Config{
				Rules: []ratelimit.Rule{rule("r", "5 per hour")}, OnStoreFailure: tc.policy,
			})
			check := func(d ratelimit.Decision, err error) {
				t.Helper()
				require.NoError(t, err)
				var failure *store.Error
				require.ErrorAs(t, d.StoreErr, &failure)
				assert.Equal(t, store.ReasonOther, failure.Reason)
				require.EqualError(t, d.StoreErr, "ratelimit: store: a secret")
				assert.Equal(t, []any{tc.allowed, tc.reason, tc.local, "r"}, []any{d.Allowed, d.Reason, d.Local, d.Rule})
			}
			check(l.Take(t.Context(), "r", alice, 1))
			check(l.Peek(t.Context(), "r", alice))
			ds, err := l.Apply(t.Context(), ratelimit.Change{Kind: store.Take, Rule: "r", Key: alice, Cost: 1})
			require.Len(t, ds, 1)
			check(ds[0], err)
			all := l.Explain(with())
			require.Len(t, all, 1)
			check(all[0], nil)

			_, err = l.Take(t.Context(), "x", alice, 1)
			require.ErrorIs(t, err, ratelimit.ErrNoRule)
			_, err = l.Peek(t.Context(), "x", alice)
			require.ErrorIs(t, err, ratelimit.ErrNoRule)
			d, err := l.Take(t.Context(), "r", alice, -1)
			require.ErrorIs(t, err, store.ErrInvalidOp)
			assert.Equal(t, ratelimit.Decision{}, d)
			d, err = l.Peek(t.Context(), "r", ratelimit.Key{})
			require.ErrorIs(t, err, store.ErrInvalidOp)
			assert.Equal(t, ratelimit.Decision{}, d)
			ds, err = l.Apply(t.Context(), ratelimit.Change{Kind: 99, Rule: "r", Key: alice})
			require.ErrorIs(t, err, store.ErrInvalidOp)
			assert.Empty(t, ds)
		})
	}
}

// Refund and Reset report a failure of the store, because there is no decision to report it in.
func TestRefundAndResetWhileTheStoreFails(t *testing.T) {
	l := deadLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("r", "5 per hour")}})
	var failure *store.Error
	require.ErrorAs(t, l.Refund(t.Context(), "r", ratelimit.UserKey("alice"), 1), &failure)
	assert.Equal(t, store.ReasonOther, failure.Reason)
	require.ErrorAs(t, l.Reset(t.Context(), "r", ratelimit.UserKey("alice")), &failure)
	require.ErrorIs(t, l.Refund(t.Context(), "r", ratelimit.UserKey("alice"), -1), store.ErrInvalidOp)
	require.ErrorIs(t, l.Reset(t.Context(), "x", ratelimit.UserKey("alice")), ratelimit.ErrNoRule)
}
