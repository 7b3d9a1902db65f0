package rpclimit_test

import (
	"context"
	"encoding/json"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/rpclimit"
)

func TestCost(t *testing.T) {
	tests := []struct {
		name    string
		cost    func(context.Context, rpclimit.Call, any) int64
		want    int64
		reports int
	}{
		{"none", nil, 1, 0},
		{"by message", func(_ context.Context, _ rpclimit.Call, msg any) int64 { return int64(msg.(int)) }, 5, 0},
		{"zero", func(context.Context, rpclimit.Call, any) int64 { return 0 }, 1, 0},
		{"negative", func(context.Context, rpclimit.Call, any) int64 { return -5 }, 1, 1},
		{"panic", func(context.Context, rpclimit.Call, any) int64 { panic("a bug") }, 1, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var told reports
			l := budgets(t, "10 per hour")
			g := guard(t, rpclimit.Config{
				Limiter: l, Rules: []rpclimit.Rule{{Name: "a", Key: all, Cost: tt.cost}}, Error: told.add,
			})
			_, d := g.Begin(t.Context(), callOf(method), 5, false)
			assert.Nil(t, d)
			assert.Equal(t, 10-tt.want, left(t, l, "a"))
			assert.Len(t, told.errs, tt.reports)
		})
	}
}

// TestWait has calls wait for tokens in a bubble of synctest, with exact times.
func TestWait(t *testing.T) {
	tests := []struct {
		name    string
		limits  []string
		rules   []rpclimit.Rule
		timeout time.Duration
		waited  time.Duration // of the second call
		denied  bool
	}{
		{"no wait", []string{"1 per second"}, []rpclimit.Rule{{Name: "a"}}, 0, 0, true},
		{"long enough", []string{"1 per second"}, []rpclimit.Rule{{Name: "a", MaxWait: time.Second}}, 0, time.Second, false},
		{"too short", []string{"1 per second"}, []rpclimit.Rule{{Name: "a", MaxWait: 900 * time.Millisecond}}, 0, 0, true},
		{"a little too short", []string{"1 per second"}, []rpclimit.Rule{{Name: "a", MaxWait: 999 * time.Millisecond}}, 0, 0, true},
		{
			"the deadline comes before",
			[]string{"1 per second"},
			[]rpclimit.Rule{{Name: "a", MaxWait: time.Minute}},
			900 * time.Millisecond, 0, true,
		},
		{
			"several rules",
			[]string{"1 per second", "1 per 3 seconds"},
			[]rpclimit.Rule{{Name: "a", MaxWait: time.Minute}, {Name: "b", MaxWait: time.Minute}},
			0, 3 * time.Second, false,
		},
		{
			"several rules, one impatient",
			[]string{"1 per second", "1 per 3 seconds"},
			[]rpclimit.Rule{{Name: "a", MaxWait: time.Minute}, {Name: "b", MaxWait: time.Second}},
			0, 0, true,
		},
		{
			"several rules, one that does not wait",
			[]string{"1 per second", "1 per 3 seconds"},
			[]rpclimit.Rule{{Name: "a", MaxWait: time.Minute}, {Name: "b"}},
			0, 0, true,
		},
		{
			"several rules, the deadline comes before",
			[]string{"1 per second", "1 per 3 seconds"},
			[]rpclimit.Rule{{Name: "a", MaxWait: time.Minute}, {Name: "b", MaxWait: time.Minute}},
			2 * time.Second, 0, true,
		},
		{
			"more than the burst", []string{"1 per second"}, []rpclimit.Rule{{
				Name: "a", MaxWait: time.Minute, Cost: func(context.Context, rpclimit.Call, any) int64 { return 2 },
			}}, 0, 0, true,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := guard(t, rpclimit.Config{Limiter: budgets(t, tt.limits...), Rules: tt.rules})
				_ = begin(t.Context(), g, method)
				ctx := t.Context()
				if tt.timeout > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.timeout)
					defer cancel()
				}
				began := time.Now()
				s, d := g.Begin(ctx, callOf(method), nil, false)
				assert.Equal(t, tt.waited, time.Since(began))
				assert.Equal(t, tt.denied, d != nil)
				if !tt.denied {
					decision, ok := rpclimit.DecisionFrom(s)
					assert.True(t, ok)
					assert.True(t, decision.Allowed)
					assert.Empty(t, decision.Reason)
				}
			})
		})
	}
}

func TestClientLeavesWhileItWaits(t *testing.T) {
	for name, limits := range map[string][]string{
		"one rule": {"1 per minute"}, "two rules": {"1 per minute", "1 per minute"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := rpclimit.Config{
					Limiter:  budgets(t, limits...),
					InFlight: []rpclimit.InFlight{{Name: "one", Max: 1}},
					Denied:   func(context.Context, rpclimit.Call, ratelimit.Decision) { t.Error("no denial") },
				}
				for i := range limits {
					cfg.Rules = append(cfg.Rules, rpclimit.Rule{Name: string(rune('a' + i)), MaxWait: time.Hour})
				}
				g := guard(t, cfg)
				require.Nil(t, begin(t.Context(), g, method))
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, cancel)
				d := begin(ctx, g, method)
				require.NotNil(t, d)
				require.ErrorIs(t, d.Err, context.Canceled)
				text, err := json.Marshal(d)
				require.NoError(t, err)
				require.Contains(t, string(text), `"Err":"context canceled"`)
				assert.EqualValues(t, 1, d.Code())
				assert.Empty(t, d.Pushback())
				time.Sleep(time.Minute)
				assert.Nil(t, begin(t.Context(), g, method), "it has left its place, and no token is lost")
			})
		})
	}
}

// TestWaitingInOrder has calls wait in the queue of a budget with a MaxWait.
func TestWaitingInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, ratelimit.Config{Budgets: []ratelimit.Budget{
			{Name: "a", Limits: ratelimit.MustParse("1 per second"), MaxWait: time.Minute},
		}})
		g := guard(t, rpclimit.Config{Limiter: l, Rules: []rpclimit.Rule{{Name: "a", MaxWait: time.Minute}}})
		require.Nil(t, begin(t.Context(), g, method))
		var mu sync.Mutex
		var order []int
		for i := range 20 {
			go func() {
				assert.Nil(t, begin(t.Context(), g, method))
				mu.Lock()
				defer mu.Unlock()
				order = append(order, i)
			}()
			synctest.Wait()
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Len(t, order, 20)
		assert.IsIncreasing(t, order)
	})
}

func TestWaitingIsBounded(t *testing.T) {
	tests := []struct {
		name           string
		keys, ofEach   int
		denied, waited int64
	}{
		{"of a key", 1, 1_100, 100, 1_000},
		{"of all keys", 11, 1_000, 1_000, 10_000},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				type user struct{}
				by := rpclimit.ByUser(func(ctx context.Context) string { return ctx.Value(user{}).(string) })
				g := guard(t, rpclimit.Config{
					Limiter: budgets(t, "1 per hour"), Rules: []rpclimit.Rule{{Name: "a", Key: by, MaxWait: time.Hour}},
				})
				ctx, cancel := context.WithCancel(t.Context())
				var waited, denied atomic.Int64
				for i := range tt.keys {
					ctx := context.WithValue(ctx, user{}, strconv.Itoa(i))
					require.Nil(t, begin(ctx, g, method))
					for range tt.ofEach {
						go func() {
							if d := begin(ctx, g, method); d.Err != nil {
								waited.Add(1)
							} else {
								denied.Add(1)
							}
						}()
					}
					synctest.Wait()
				}
				assert.Equal(t, tt.denied, denied.Load())
				cancel()
				synctest.Wait()
				assert.Equal(t, tt.waited, waited.Load())
			})
		})
	}
}

// TestSkippedRules has rules without a key stand beside others.
func TestSkippedRules(t *testing.T) {
	none := func(context.Context, rpclimit.Call) (ratelimit.Key, error) { return ratelimit.Key{}, nil }
	l := budgets(t, "9 per hour", "9 per hour")
	for _, rules := range [][]rpclimit.Rule{
		{{Name: "a", Key: all}, {Name: "b", Key: none, OnMissingKey: ratelimit.SkipRule}},
		{{Name: "b", Key: none, OnMissingKey: ratelimit.SkipRule}, {Name: "a", Key: all}},
		{{Name: "b", Key: none, OnMissingKey: ratelimit.SkipRule}, {Name: "b", Key: none, OnMissingKey: ratelimit.SkipRule}},
	} {
		g := guard(t, rpclimit.Config{Limiter: l, Rules: rules})
		require.Nil(t, begin(t.Context(), g, method))
	}
	assert.EqualValues(t, 7, left(t, l, "a"))
	g := guard(t, rpclimit.Config{Limiter: l, Rules: []rpclimit.Rule{
		{Name: "a", Key: all}, {Name: "b", Key: none, OnMissingKey: ratelimit.DenyRequest},
	}})
	require.NotNil(t, begin(t.Context(), g, method))
	assert.EqualValues(t, 7, left(t, l, "a"), "a denied call costs nothing")
}

// TestBudgetIsGone takes the budget away after the start. The calls are denied, and that is
// reported.
func TestBudgetIsGone(t *testing.T) {
	var told reports
	l := budgets(t, "10 per hour", "10 per hour")
	for _, rules := range [][]rpclimit.Rule{{{Name: "a"}}, {{Name: "a"}, {Name: "b"}}} {
		require.NoError(t, l.SetPolicy(ratelimit.Policy{Budgets: []ratelimit.Budget{
			{Name: "a", Limits: ratelimit.MustParse("10 per hour")}, {Name: "b", Limits: ratelimit.MustParse("10 per hour")},
		}}))
		g := guard(t, rpclimit.Config{Limiter: l, Rules: rules, Error: told.add})
		require.NoError(t, l.SetPolicy(ratelimit.Policy{}))
		d := begin(t.Context(), g, method)
		require.NotNil(t, d)
		assert.EqualValues(t, 14, d.Code())
		require.ErrorIs(t, told.errs[len(told.errs)-1], ratelimit.ErrNoRule)
	}
}

// TestModes has rules that do not deny. Nothing is refunded that was not taken.
func TestModes(t *testing.T) {
	l := limiter(t, ratelimit.Config{Rules: []ratelimit.Rule{{Name: "a", Limits: ratelimit.MustParse("3 per hour")}}})
	g := guard(t, rpclimit.Config{Limiter: l, Rules: []rpclimit.Rule{{Name: "a", Key: all, CountOnly: rpclimit.Failures}}})
	take := func() { _, err := l.Take(t.Context(), "a", ratelimit.UserKey("all"), 1); require.NoError(t, err) }
	take()
	require.NoError(t, l.SetMode("a", ratelimit.Off))
	for range 5 {
		require.Nil(t, begin(t.Context(), g, method))
	}
	require.NoError(t, l.SetMode("a", ratelimit.DryRun))
	for range 5 {
		require.Nil(t, begin(t.Context(), g, method))
	}
	l.SetEnabled(false)
	require.Nil(t, begin(t.Context(), g, method))
	l.SetEnabled(true)
	require.NoError(t, l.SetMode("a", ratelimit.Enforce))
	assert.EqualValues(t, 2, left(t, l, "a"))
}

// A rule that does not apply to a call leaves the other rules as they are.
func TestOneOfSeveralRulesIsSkipped(t *testing.T) {
	none := rpclimit.ByUser(func(context.Context) string { return "" })
	l := budgets(t, "9 per hour", "9 per hour", "9 per hour")
	g := guard(t, rpclimit.Config{Limiter: l, Rules: []rpclimit.Rule{
		{Name: "a", Key: none, OnMissingKey: ratelimit.SkipRule},
		{Name: "b", Key: all, CountOnly: rpclimit.Failures},
		{Name: "c", Key: all},
	}})
	for range 2 { // the rules of the Guard itself do not change
		s, d := g.Begin(t.Context(), callOf(method), nil, false)
		require.Nil(t, d)
		ds := rpclimit.Decisions(s)
		require.Len(t, ds, 2)
		assert.Equal(t, "b", ds[0].Rule)
		assert.Equal(t, "c", ds[1].Rule)
		s.End(0, true)
	}
	assert.EqualValues(t, 9, left(t, l, "b"), "refunded")
	assert.EqualValues(t, 7, left(t, l, "c"))
}
