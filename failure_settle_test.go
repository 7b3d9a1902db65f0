package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/storefake"
	"github.com/ratelimit-go/ratelimit/store"
)

// A store that rejects a valid op has failed.
func TestStoreThatRejectsValidOps(t *testing.T) {
	for policy, want := range map[ratelimit.FailurePolicy]int{
		ratelimit.FailOpen: 200, ratelimit.FailClosed: 503,
		ratelimit.UseMemory: 200,
	} {
		l := newLimiter(t, ratelimit.Config{
			Rules: []ratelimit.Rule{rule("r", "1 per hour")}, OnStoreFailure: policy, Hooks: unreported(),
			Store: storefake.Func(func(context.Context, []store.Op) error { return store.ErrInvalidOp }),
		})
		assert.Equal(t, want, serve(l.Handler(ok), with()).Code)
		d, err := l.Take(t.Context(), "r", ratelimit.UserKey("a"), 1)
		require.NoError(t, err)
		require.ErrorContains(t, d.StoreErr, "invalid op")
		assert.Equal(t, policy != ratelimit.FailClosed, d.Allowed)
		d, err = l.Take(t.Context(), "r", ratelimit.UserKey("a"), -1)
		require.ErrorIs(t, err, store.ErrInvalidOp)
		assert.Zero(t, d)
	}
}

// A client can make a request that meets the rules of all routes. If these are more than a store
// decides at once, the request is not allowed for that.
func TestRequestWithTooManyRules(t *testing.T) {
	for policy, want := range map[ratelimit.FailurePolicy]int{
		ratelimit.FailOpen: 503, ratelimit.FailClosed: 503, ratelimit.UseMemory: 429,
	} {
		few, routes := ratelimit.NewMemoryStore(ratelimit.MemoryConfig{}), map[string][]ratelimit.Rule{}
		for i := range 513 {
			routes[fmt.Sprintf("/%d", i)] = []ratelimit.Rule{rule(fmt.Sprint("r", i), "1 per hour")}
		}
		h := newLimiter(t, ratelimit.Config{
			Routes: routes, OnStoreFailure: policy, Hooks: unreported(),
			Store: storefake.Func(func(ctx context.Context, ops []store.Op) error {
				if len(ops) > 512 {
					return store.ErrInvalidOp
				}
				return few.Apply(ctx, ops)
			}),
		}).Handler(ok)
		code := func(path string) int { return serve(h, httptest.NewRequest(http.MethodGet, path, nil)).Code }
		all := "/5;" + strings.Repeat("a", 1100)
		code(all) // with UseMemory the first is allowed
		assert.Equal(t, want, code(all), policy)
		assert.Equal(t, []int{200, 429}, []int{code("/5"), code("/5")}, policy)
	}
}

// Rejecting an op says nothing about the store that other limits should suffer for.
func TestStoreThatRejectsValidOpsIsNotDown(t *testing.T) {
	calls := 0
	l := newLimiter(t, ratelimit.Config{
		Rules: []ratelimit.Rule{rule("r", "1 per hour")}, OnStoreFailure: ratelimit.FailOpen, Hooks: unreported(),
		Store: storefake.Func(func(context.Context, []store.Op) error { calls++; return store.ErrInvalidOp }),
	})
	for range 20 {
		serve(l.Handler(ok), with())
	}
	assert.Equal(t, 20, calls)
	assert.Equal(t, store.Up, l.Stats().Store.State)
}

// What was taken in local memory is refunded there, and never to the store.
func TestLocalChargesAreSettledLocally(t *testing.T) {
	elsewhere := newMortal()
	l := newLimiter(t, ratelimit.Config{
		Store: elsewhere, OnStoreFailure: ratelimit.UseMemory, Hooks: unreported(),
		Rules: []ratelimit.Rule{counting("failures", "3 per hour", ratelimit.Failures), rule("all", "100 per hour")},
	})
	serve(l.Handler(http.NotFoundHandler()), with())
	elsewhere.Dead.Store(true)
	revived := l.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		elsewhere.Dead.Store(false)
		w.WriteHeader(http.StatusOK)
	}))
	require.Equal(t, http.StatusOK, serve(revived, with()).Code)
	d, err := l.Peek(t.Context(), "failures", client())
	require.NoError(t, err)
	require.NoError(t, d.StoreErr)
	assert.EqualValues(t, 2, d.Remaining, "in the store")
	elsewhere.Dead.Store(true)
	d, err = l.Peek(t.Context(), "failures", client())
	require.NoError(t, err)
	require.Error(t, d.StoreErr)
	assert.EqualValues(t, 3, d.Remaining, "in local memory")
	d, err = l.Peek(t.Context(), "all", client())
	require.NoError(t, err)
	require.Error(t, d.StoreErr)
	assert.EqualValues(t, 99, d.Remaining, "in local memory")
}

// If the store and local memory decided one rule each, each gets its refund.
func TestChargesAreSettledWhereTheyWereMade(t *testing.T) {
	memory, calls := ratelimit.NewMemoryStore(ratelimit.MemoryConfig{}), 0
	observed := rule("observed", "9 per hour")
	observed.Mode = ratelimit.DryRun
	l := newLimiter(t, ratelimit.Config{
		Rules: []ratelimit.Rule{observed, rule("enforced", "9 per hour")}, OnStoreFailure: ratelimit.UseMemory, Hooks: unreported(),
		Store: storefake.Func(func(ctx context.Context, ops []store.Op) error {
			if calls++; calls == 1 {
				return errors.New("once")
			}
			return memory.Apply(ctx, ops)
		}),
	})
	deny := rule("deny", "1 per hour")
	deny.Cost = func(*http.Request) int64 { return 2 }
	inner := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{deny}}).Handler(ok)
	var local, there ratelimit.Decision
	h := l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d, ok := ratelimit.DecisionFrom(r.Context())
		require.True(t, ok)
		local = d
		there, _ = l.Peek(r.Context(), "observed", client())
		inner.ServeHTTP(w, r)
	}))
	require.Equal(t, http.StatusTooManyRequests, serve(h, with()).Code)
	assert.Equal(t, []any{true, "enforced", int64(8)}, []any{local.Local, local.Rule, local.Remaining})
	assert.EqualValues(t, 8, there.Remaining)
	there, err := l.Peek(t.Context(), "observed", client())
	require.NoError(t, err)
	require.NoError(t, there.StoreErr)
	assert.EqualValues(t, 9, there.Remaining, "refunded to the store")
	there, err = l.Peek(t.Context(), "enforced", client())
	require.NoError(t, err)
	require.NoError(t, there.StoreErr)
	assert.EqualValues(t, 9, there.Remaining, "not taken from the store")
	calls = 0
	there, err = l.Peek(t.Context(), "enforced", client())
	require.NoError(t, err)
	require.Error(t, there.StoreErr)
	assert.Equal(t, []any{true, int64(9)}, []any{there.Local, there.Remaining}, "refunded in local memory")
}

// What was taken from the store is not refunded to local memory, which never had it.
func TestStoreChargesAreNotSettledLocally(t *testing.T) {
	elsewhere := newMortal()
	l := newLimiter(t, ratelimit.Config{
		Store: elsewhere, OnStoreFailure: ratelimit.UseMemory, Hooks: unreported(),
		Rules: []ratelimit.Rule{counting("failures", "3 per hour", ratelimit.Failures)},
	})
	elsewhere.Dead.Store(true)
	serve(l.Handler(http.NotFoundHandler()), with())
	elsewhere.Dead.Store(false)
	dies := l.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Dead.Store(true) }))
	require.Equal(t, http.StatusOK, serve(dies, with()).Code)
	d, err := l.Peek(t.Context(), "failures", client())
	require.NoError(t, err)
	require.Error(t, d.StoreErr)
	assert.EqualValues(t, 2, d.Remaining)
}

// Local memory denies a Take that would have to wait, as the store does.
func TestTakeNeverWaitsInLocalMemory(t *testing.T) {
	patient := rule("r", "1 per second")
	patient.MaxWait = 10 * time.Second
	l := deadLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{patient}, OnStoreFailure: ratelimit.UseMemory})
	for _, want := range []bool{true, false, false} {
		d, err := l.Take(t.Context(), "r", ratelimit.UserKey("a"), 1)
		require.NoError(t, err)
		require.Error(t, d.StoreErr)
		assert.Equal(t, want, d.Allowed)
		assert.True(t, d.Local)
		assert.LessOrEqual(t, d.RetryAfter, time.Second, "what was denied is refunded")
	}
}
