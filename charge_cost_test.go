package ratelimit_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/storefake"
	"github.com/ratelimit-go/ratelimit/store"
)

// costing returns a handler that makes each of costs the cost of its request, one after another.
func costing(t *testing.T, rule string, costs ...int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, n := range costs {
			assert.NoError(t, ratelimit.SetCost(r.Context(), rule, n))
		}
		w.WriteHeader(http.StatusOK)
	})
}

func TestSetCost(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		costs []int64
		left  int64 // of 100
	}{
		{name: "more", costs: []int64{30}, left: 70},
		{name: "no cost is one token", costs: []int64{0}, left: 99},
		{name: "the same", costs: []int64{1}, left: 99},
		{name: "a running total", costs: []int64{10, 20, 25}, left: 75},
		{name: "up and down again", costs: []int64{60, 20}, left: 80},
		{name: "the whole bucket", costs: []int64{100}, left: 0},
		{name: "more than the bucket", costs: []int64{101}, left: 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{
				rule("rows", "100 per hour; 1000 per day"), rule("other", "10 per hour"),
			}})
			inner := l.With(rule("inner", "50 per hour"))
			serve(l.Handler(inner(costing(t, "rows", tc.costs...))), with())
			assert.Equal(t, tc.left, remaining(t, l, "rows"))
			assert.Equal(t, int64(49), remaining(t, l, "inner"), "another rule")
			assert.Equal(t, int64(9), remaining(t, l, "other"), "another rule")
		})
	}
}

// If the cost is raised beyond what the bucket has and lowered again, the request refunds what it
// has taken, and no token that other requests have taken.
func TestSetCostRefundsOnlyWhatItTook(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		limits string
		spent  int64 // before the request, which takes 1
		costs  []int64
		during int64 // what is left at least, while the handler runs
		left   int64
	}{
		{name: "a little more than there is", limits: "10 per hour", spent: 6, costs: []int64{5, 0}, left: 3},
		{name: "all that there is", limits: "10 per hour", spent: 6, costs: []int64{4, 0}, left: 3},
		{name: "with nothing there", limits: "10 per hour", spent: 9, costs: []int64{10, 0}, left: 0},
		{name: "more than the bucket can hold", limits: "10 per hour", spent: 9, costs: []int64{1 << 62, 0}, left: 0},
		{name: "more in steps", limits: "10 per hour", spent: 6, costs: []int64{3, 1000, 2000, 0}, left: 3},
		{name: "down to a part of it", limits: "10 per hour", spent: 6, costs: []int64{100, 2}, left: 2},
		{name: "down to what is still more", limits: "10 per hour", spent: 6, costs: []int64{100, 50}, left: 0},
		{name: "down and up again", limits: "10 per hour", spent: 6, costs: []int64{100, 2, 3, 0}, left: 3},
		{name: "the smaller of two limits", limits: "10 per hour; 20 per day", spent: 6, costs: []int64{13, 0}, left: 3},
		{
			name:   "many tokens in a nanosecond",
			limits: "1_000_000_000 per 100 milliseconds burst 10", costs: []int64{11, 0}, left: 9,
		},
	} {
		for place, newStore := range map[string]func() ratelimit.Store{
			"in memory": func() ratelimit.Store { return nil },
			"in a store": func() ratelimit.Store {
				return storefake.Func(ratelimit.NewMemoryStore(ratelimit.MemoryConfig{}).Apply)
			},
		} {
			t.Run(tc.name+" "+place, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					l := newLimiter(t, ratelimit.Config{
						Rules: []ratelimit.Rule{rule("r", tc.limits)}, Store: newStore(), OnStoreFailure: ratelimit.FailClosed,
					})
					_, err := l.Take(t.Context(), "r", client(), tc.spent)
					require.NoError(t, err)
					during := int64(-1)
					serve(l.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
						for _, n := range tc.costs {
							require.NoError(t, ratelimit.SetCost(r.Context(), "r", n))
							if left := remaining(t, l, "r"); during < 0 || left < during {
								during = left
							}
						}
					})), with())
					assert.Equal(t, tc.during, during)
					assert.Equal(t, tc.left, remaining(t, l, "r"))
				})
			})
		}
	}
}

// A store that failed may have taken all or nothing of the change, so nothing of it is refunded.
func TestSetCostWhileTheStoreFails(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		takes bool  // before it fails
		left  int64 // of 5 before the request
	}{
		{name: "before it takes", takes: false, left: 5},
		{name: "after it took", takes: true, left: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			memory, fails := ratelimit.NewMemoryStore(ratelimit.MemoryConfig{}), false
			l := newLimiter(t, ratelimit.Config{
				Store: storefake.Func(func(ctx context.Context, ops []store.Op) error {
					if fails && !tc.takes {
						return errors.New("connection refused")
					}
					err := memory.Apply(ctx, ops)
					if fails {
						return errors.New("connection reset")
					}
					return err
				}),
				OnStoreFailure: ratelimit.FailClosed, Hooks: unreported(),
				Rules: []ratelimit.Rule{counting("rows", "10 per hour", ratelimit.Failures)},
			})
			for range 5 {
				serve(l.Handler(http.NotFoundHandler()), with())
			}
			serve(l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fails = true
				require.NoError(t, ratelimit.SetCost(r.Context(), "rows", 5))
				fails = false
				w.WriteHeader(http.StatusOK)
			})), with())
			assert.Equal(t, tc.left, remaining(t, l, "rows"))
		})
	}
}

func TestSetCostMistakes(t *testing.T) {
	t.Parallel()
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("rows", "100 per hour")}})
	serve(l.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		require.EqualError(t, ratelimit.SetCost(r.Context(), "rows", -1), "ratelimit: SetCost: negative cost -1")
		err := ratelimit.SetCost(r.Context(), "row", 1)
		require.ErrorIs(t, err, ratelimit.ErrNoRule)
		require.EqualError(t, err, `ratelimit: SetCost: no such rule: no rule "row" was charged for this request`)
		require.ErrorIs(t, ratelimit.SetCost(context.Background(), "rows", 1), ratelimit.ErrNoRule)
	})), with())
	assert.Equal(t, int64(99), remaining(t, l, "rows"))
}

// The cost that the handler sets is what the functions of the rule are given.
func TestResponseCostStartsFromTheCostThatIsSet(t *testing.T) {
	t.Parallel()
	var seen []int64
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{
		charging("rows", "100 per hour", func(res ratelimit.Response) int64 {
			seen = append(seen, res.Cost)
			return res.Cost + 1
		}),
	}})
	serve(l.Handler(costing(t, "rows", 40)), with())
	assert.Equal(t, []int64{40}, seen)
	assert.Equal(t, int64(59), remaining(t, l, "rows"))
}

func TestCountOnlyDecidesAboutTheCostThatIsSet(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		counts func(ratelimit.Response) bool
		left   int64 // of 100
	}{
		{name: "counts", counts: successes, left: 60},
		{name: "does not count", counts: ratelimit.Failures, left: 100},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{counting("rows", "100 per hour", tc.counts)}})
			serve(l.Handler(costing(t, "rows", 40)), with())
			assert.Equal(t, tc.left, remaining(t, l, "rows"))
		})
	}
}
