package ratelimit_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/storefake"
	"github.com/ratelimit-go/ratelimit/store"
)

// tooCostly returns a rule that denies every request, because each costs more than its burst.
func tooCostly() ratelimit.Rule {
	r := rule("too-costly", "1 per hour")
	r.Cost = func(*http.Request) int64 { return 2 }
	return r
}

// A denial by an inner limiter refunds the cost that the handler has set before.
func TestInnerDenialRefundsTheCostThatIsSet(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		limits string
		spent  int // requests before
		cost   int64
		during int64 // what is left before the denial
		left   int64
	}{
		{name: "that the bucket has", limits: "100 per hour", cost: 40, during: 60, left: 100},
		{name: "that the bucket lacks", limits: "10 per hour", spent: 6, cost: 1000, during: 0, left: 4},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("rows", tc.limits)}})
			denying := l.With(tooCostly())(ok)
			for range tc.spent {
				serve(l.Handler(ok), with())
			}
			w := serve(l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				require.NoError(t, ratelimit.SetCost(r.Context(), "rows", tc.cost))
				require.Equal(t, tc.during, remaining(t, l, "rows"))
				denying.ServeHTTP(w, r)
			})), with())
			assert.Equal(t, http.StatusTooManyRequests, w.Code)
			assert.Equal(t, tc.left, remaining(t, l, "rows"))
		})
	}
}

// A limit that had less than a raised cost gets back just what it gave, though another limit of its
// rule gave all.
func TestRefundOfTwoLimitsOfARule(t *testing.T) {
	t.Parallel()
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("rows", "3 per hour; 100 per day")}})
	denying := l.With(tooCostly())(ok)
	w := serve(l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for range 2 { // other requests of the client
			require.Equal(t, http.StatusOK, serve(l.Handler(ok), with()).Code)
		}
		require.NoError(t, ratelimit.SetCost(r.Context(), "rows", 50))
		denying.ServeHTTP(w, r)
	})), with())
	assert.Equal(t, http.StatusTooManyRequests, w.Code)
	assert.EqualValues(t, 1, remaining(t, l, "rows"))
}

// What a denial by an inner limiter has refunded is not refunded again by CountOnly.
func TestRefundIsMadeOnce(t *testing.T) {
	t.Parallel()
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{counting("successes", "5 per hour", successes)}})
	inner := l.With(tooCostly())
	for range 3 {
		require.Equal(t, http.StatusOK, serve(l.Handler(ok), with()).Code)
	}
	require.Equal(t, http.StatusTooManyRequests, serve(l.Handler(inner(ok)), with()).Code)
	assert.Equal(t, int64(2), remaining(t, l, "successes"))
}

// A handler that http.TimeoutHandler has left behind may be denied by an inner limiter after the
// response. Then the charge stays, and nothing is refunded twice.
func TestNothingIsRefundedAfterTheResponse(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		late time.Duration // how long after the response the inner limiter denies
	}{
		{name: "at the same time"},
		{name: "later", late: time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{
					counting("failures", "100 per hour", ratelimit.Failures), counting("ok", "100 per hour", successes),
				}})
				identified := rule("identified", "1 per hour")
				identified.Key = ratelimit.ByUser(func(*http.Request) string { return "" })
				identified.OnMissingKey = ratelimit.DenyRequest
				inner := l.With(identified)(ok)
				slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					<-r.Context().Done()
					time.Sleep(tc.late)
					inner.ServeHTTP(w, r)
				})
				h := l.Handler(http.TimeoutHandler(slow, time.Second, ""))
				for range 20 {
					assert.Equal(t, http.StatusServiceUnavailable, serve(h, with()).Code)
				}
				time.Sleep(tc.late)
				synctest.Wait()
				if tc.late > 0 {
					assert.Equal(t, int64(80), remaining(t, l, "failures"))
				}
				assert.Equal(t, int64(100), remaining(t, l, "ok"))
			})
		})
	}
}

// A client that hangs up cannot evade the charge, and does not lose its refund.
func TestRequestIsSettledAfterTheClientHungUp(t *testing.T) {
	t.Parallel()
	var kinds []store.Kind
	l := newLimiter(t, ratelimit.Config{
		Store: storefake.Func(func(ctx context.Context, ops []store.Op) error {
			for i := range ops {
				kinds = append(kinds, ops[i].Kind)
				ops[i].Result = store.Result{Allowed: true}
			}
			return ctx.Err()
		}),
		OnStoreFailure: ratelimit.FailClosed,
		Hooks:          ratelimit.Hooks{Error: func(_ context.Context, err error) { assert.NoError(t, err) }},
		Rules:          []ratelimit.Rule{counting("r", "10 per hour", ratelimit.Failures)},
	})
	ctx, hangUp := context.WithCancel(t.Context())
	serve(l.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
		hangUp()
	})), with().WithContext(ctx))
	assert.Equal(t, []store.Kind{store.Take, store.Refund}, kinds)
}

// While the store fails nothing is taken, so nothing is settled.
func TestNothingIsSettledThatTheStoreDidNotTake(t *testing.T) {
	t.Parallel()
	calls := 0
	l := newLimiter(t, ratelimit.Config{
		Store:          storefake.Func(func(context.Context, []store.Op) error { calls++; return errors.New("away") }),
		OnStoreFailure: ratelimit.FailOpen, Hooks: unreported(),
		Rules: []ratelimit.Rule{charging("r", "10 per hour", func(ratelimit.Response) int64 { return 0 })},
	})
	w := serve(l.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		require.ErrorIs(t, ratelimit.SetCost(r.Context(), "r", 5), ratelimit.ErrNoRule)
	})), with())
	assert.Equal(t, http.StatusOK, w.Code)
	assert.Equal(t, 1, calls)
}
