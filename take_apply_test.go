package ratelimit_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/store"
)

// takes, peeks, refunds and resets return changes for the client 192.0.2.1.
func takes(rule string, n int64) ratelimit.Change {
	return ratelimit.Change{Kind: store.Take, Rule: rule, Key: client(), Cost: n}
}

func peeks(rule string, n int64) ratelimit.Change {
	return ratelimit.Change{Kind: store.Peek, Rule: rule, Key: client(), Cost: n}
}

func refunds(rule string, n int64) ratelimit.Change {
	return ratelimit.Change{Kind: store.Refund, Rule: rule, Key: client(), Cost: n}
}

func resets(rule string) ratelimit.Change {
	return ratelimit.Change{Kind: store.Reset, Rule: rule, Key: client()}
}

func applyAll(t *testing.T, l *ratelimit.Limiter, changes ...ratelimit.Change) []ratelimit.Decision {
	t.Helper()
	ds, err := l.Apply(t.Context(), changes...)
	require.NoError(t, err)
	require.Len(t, ds, len(changes))
	return ds
}

// If any Take is not allowed, Apply makes no change. Other changes deny nothing. Each change sees
// what the changes before it did.
func TestApplyIsAllOrNothing(t *testing.T) {
	type levels [3]int64 // of a, b and c
	for _, tc := range []struct {
		name    string
		before  []ratelimit.Change
		changes []ratelimit.Change
		allowed []bool
		want    levels // afterwards
	}{
		{"nothing", nil, nil, []bool{}, levels{5, 3, 9}},
		{"several takes", nil, []ratelimit.Change{takes("a", 5), takes("b", 2), takes("c", 1)}, []bool{true, true, true}, levels{0, 1, 8}},
		{"the first denied", nil, []ratelimit.Change{takes("a", 6), takes("b", 2)}, []bool{false, true}, levels{5, 3, 9}},
		{
			"the last denied", nil,
			[]ratelimit.Change{takes("a", 5), takes("c", 2), takes("b", 4)},
			[]bool{true, true, false},
			levels{5, 3, 9},
		},
		{"all denied", nil, []ratelimit.Change{takes("a", 6), takes("b", 4)}, []bool{false, false}, levels{5, 3, 9}},
		{"a rule twice", nil, []ratelimit.Change{takes("a", 2), takes("a", 3)}, []bool{true, true}, levels{0, 3, 9}},
		{"a rule twice, too much together", nil, []ratelimit.Change{takes("a", 3), takes("a", 3)}, []bool{true, false}, levels{5, 3, 9}},
		{"a peek denies nothing", nil, []ratelimit.Change{peeks("a", 6), takes("b", 1)}, []bool{false, true}, levels{5, 2, 9}},
		{
			"a peek after a take", nil,
			[]ratelimit.Change{takes("a", 4), peeks("a", 2), peeks("a", 1)},
			[]bool{true, false, true},
			levels{1, 3, 9},
		},
		{
			"a refund beside a take",
			[]ratelimit.Change{takes("a", 5), takes("b", 3)},
			[]ratelimit.Change{refunds("a", 2), takes("c", 1)},
			[]bool{true, true},
			levels{2, 0, 8},
		},
		{
			"a refund before a take",
			[]ratelimit.Change{takes("a", 5)},
			[]ratelimit.Change{refunds("a", 2), takes("a", 2)},
			[]bool{true, true},
			levels{0, 3, 9},
		},
		{
			"a refund beside a take that is denied",
			[]ratelimit.Change{takes("a", 5)},
			[]ratelimit.Change{refunds("a", 2), takes("b", 4)},
			[]bool{true, false},
			levels{0, 3, 9},
		},
		{
			"a reset before a take",
			[]ratelimit.Change{takes("a", 5)},
			[]ratelimit.Change{resets("a"), takes("a", 4)},
			[]bool{true, true},
			levels{1, 3, 9},
		},
		{
			"a reset beside a take that is denied",
			[]ratelimit.Change{takes("a", 5)},
			[]ratelimit.Change{resets("a"), takes("b", 4)},
			[]bool{true, false},
			levels{0, 3, 9},
		},
		{
			"from one budget to another",
			[]ratelimit.Change{takes("a", 5)},
			[]ratelimit.Change{takes("b", 3), refunds("a", 3)},
			[]bool{true, true},
			levels{3, 0, 9},
		},
		{
			"a refund is never more than the burst",
			[]ratelimit.Change{takes("a", 1)},
			[]ratelimit.Change{refunds("a", 4), takes("b", 0)},
			[]bool{true, true},
			levels{5, 3, 9},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, elsewhere := range []bool{false, true} {
				cfg := ratelimit.Config{
					Rules:          []ratelimit.Rule{rule("a", "5 per hour"), rule("b", "3 per hour")},
					Budgets:        []ratelimit.Budget{{Name: "c", Limits: ratelimit.MustParse("9 per hour; 100 per day")}},
					OnStoreFailure: ratelimit.FailClosed,
				}
				shared := newMortal()
				if elsewhere {
					cfg.Store = shared
				}
				l := newLimiter(t, cfg)
				applyAll(t, l, tc.before...)
				shared.Calls.Store(0)
				allowed := []bool{}
				for i, d := range applyAll(t, l, tc.changes...) {
					allowed = append(allowed, d.Allowed)
					assert.Equal(t, tc.changes[i].Rule, d.Rule)
					assert.Equal(t, client(), d.Key)
				}
				if elsewhere && len(tc.changes) > 0 {
					assert.EqualValues(t, 1, shared.Calls.Load(), "one step")
				}
				assert.Equal(t, tc.allowed, allowed)
				assert.Equal(t, tc.want, levels{remaining(t, l, "a"), remaining(t, l, "b"), remaining(t, l, "c")})
			}
		})
	}
}

// A decision that is allowed says what the store would have done without the others.
func TestDecisionsOfApply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("a", "5 per hour"), rule("b", "3 per hour")}})
		hour := func(n int64) ratelimit.Limit { return ratelimit.Limit{Count: n, Period: time.Hour, Burst: n} }
		a := ratelimit.Decision{
			Allowed: true, Rule: "a", Mode: ratelimit.Enforce, Limit: hour(5), Key: client(), Remaining: 4, ResetAfter: 12 * time.Minute,
		}
		b := ratelimit.Decision{Allowed: true, Rule: "b", Mode: ratelimit.Enforce, Limit: hour(3), Key: client(), ResetAfter: time.Hour}
		assert.Equal(t, []ratelimit.Decision{a, b}, applyAll(t, l, takes("a", 1), takes("b", 3)))
		b.Allowed, b.Reason, b.RetryAfter = false, ratelimit.ReasonLimit, 20*time.Minute
		assert.Equal(t, []ratelimit.Decision{a, b}, applyAll(t, l, takes("a", 1), takes("b", 1)), "a is allowed, but not charged")
		assert.Equal(t, []ratelimit.Decision{b, a}, applyAll(t, l, takes("b", 1), takes("a", 1)))
		b.Reason, b.RetryAfter = ratelimit.ReasonExceedsBurst, 0
		assert.Equal(t, []ratelimit.Decision{a, b}, applyAll(t, l, takes("a", 1), takes("b", 4)))
	})
}

// A Take under a rule in DryRun takes the tokens that are there, and is allowed. A rule that is Off
// allows everything. Neither denies the others.
func TestApplyObeysTheMode(t *testing.T) {
	for _, maxWait := range []time.Duration{0} { // with MaxWait, Apply takes no other change
		t.Run("MaxWait "+maxWait.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dry, off := patient("dry", "5 per hour", maxWait), patient("off", "5 per hour", maxWait)
				dry.Mode, off.Mode = ratelimit.DryRun, ratelimit.Off
				l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{dry, off, rule("real", "9 per hour")}})
				begin := time.Now()
				for _, tc := range []struct {
					cost int64
					real int64 // cost under the enforced rule
					want []bool
					left [3]int64 // of dry, off and real
				}{
					{3, 1, []bool{true, true, true}, [3]int64{2, 5, 8}},
					{3, 9, []bool{true, true, false}, [3]int64{2, 5, 8}},
					{3, 1, []bool{true, true, true}, [3]int64{0, 5, 7}},
					{1, 1, []bool{true, true, true}, [3]int64{0, 5, 6}},
					{50, 1, []bool{true, true, true}, [3]int64{0, 5, 5}},
				} {
					ds := applyAll(t, l, takes("dry", tc.cost), takes("off", tc.cost), takes("real", tc.real))
					assert.Equal(t, tc.want, []bool{ds[0].Allowed, ds[1].Allowed, ds[2].Allowed})
					assert.Equal(t, []ratelimit.Mode{ratelimit.DryRun, ratelimit.Off, ratelimit.Enforce},
						[]ratelimit.Mode{ds[0].Mode, ds[1].Mode, ds[2].Mode})
					assert.Equal(t, []string{"dry", "off", "real"}, []string{ds[0].Rule, ds[1].Rule, ds[2].Rule})
					assert.Equal(t, tc.left, [3]int64{remaining(t, l, "dry"), remaining(t, l, "off"), remaining(t, l, "real")})
				}
				assert.Zero(t, time.Since(begin))
				time.Sleep(12 * time.Minute)
				assert.Equal(t, int64(1), remaining(t, l, "dry"), "a dry run takes only tokens that are there")
			})
		})
	}
}

// Apply never waits. What a MaxWait would hold is denied, and no change is made.
func TestApplyNeverWaits(t *testing.T) {
	for _, tc := range []struct {
		name    string
		changes []ratelimit.Change
		allowed []bool
	}{
		{"alone", []ratelimit.Change{takes("queue", 1)}, []bool{false}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{
					patient("queue", "1 per second", 10*time.Second),
					rule("a", "5 per hour"),
				}})
				applyAll(t, l, takes("queue", 1))
				applyAll(t, l, takes("a", 3))
				begin := time.Now()
				for range 3 {
					allowed := []bool{}
					for i, d := range applyAll(t, l, tc.changes...) {
						allowed = append(allowed, d.Allowed)
						if d.Rule == "queue" {
							assert.Equal(t, []any{ratelimit.ReasonLimit, time.Second, time.Second, int64(0)},
								[]any{d.Reason, d.RetryAfter, d.ResetAfter, d.Remaining}, "change %d", i)
						}
					}
					assert.Equal(t, tc.allowed, allowed)
					assert.Equal(t, int64(2), remaining(t, l, "a"))
				}
				assert.Zero(t, time.Since(begin))
				assert.Zero(t, remaining(t, l, "queue"))
				time.Sleep(time.Second)
				assert.Equal(t, int64(1), remaining(t, l, "queue"))
			})
		})
	}
}

// After an error no change is made, also of changes before the mistake.
func TestApplyErrors(t *testing.T) {
	t.Parallel()
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("a", "5 per hour"), rule("b", "5 per hour")}})
	const invalid, want = `ratelimit: rule "b": store: invalid op: `, ": want a kind, a key and no negative cost"
	for _, tc := range []struct {
		name   string
		change ratelimit.Change
		is     error
		text   string
	}{
		{"no such rule", takes("x", 1), ratelimit.ErrNoRule, `ratelimit: no such rule: "x"`},
		{"no key", ratelimit.Change{Rule: "b", Cost: 1}, store.ErrInvalidOp, invalid + "Take, cost 1, key none" + want},
		{"a negative cost", refunds("b", -2), store.ErrInvalidOp, invalid + "Refund, cost -2, key addr:192.0.2.1" + want},
		{
			"an unknown kind",
			ratelimit.Change{Kind: 5, Rule: "b", Key: client(), Cost: 1},
			store.ErrInvalidOp,
			invalid + "Kind(5), cost 1, key addr:192.0.2.1" + want,
		},
	} {
		for _, changes := range [][]ratelimit.Change{
			{tc.change}, {takes("a", 1), tc.change}, {tc.change, takes("a", 1)}, {takes("b", 9), tc.change},
		} {
			ds, err := l.Apply(t.Context(), changes...)
			require.ErrorIs(t, err, tc.is, tc.name)
			require.EqualError(t, err, tc.text, tc.name)
			assert.Nil(t, ds, tc.name)
		}
	}
	assert.Equal(t, []int64{5, 5}, []int64{remaining(t, l, "a"), remaining(t, l, "b")})
}

// If the store fails, OnStoreFailure decides for all changes together.
func TestApplyWhileTheStoreFails(t *testing.T) {
	const open, closed, memory = ratelimit.FailOpen, ratelimit.FailClosed, ratelimit.UseMemory
	for _, tc := range []struct {
		name    string
		a, b    ratelimit.FailurePolicy
		allowed [2][]bool // of two calls
	}{
		{"open", open, open, [2][]bool{{true, true}, {true, true}}},
		{"one closed", open, closed, [2][]bool{{false, false}, {false, false}}},
		{"one in memory", open, memory, [2][]bool{{true, true}, {true, false}}},
		{"both in memory", memory, memory, [2][]bool{{true, true}, {true, false}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			l := deadLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{
				onFailure("a", "2 per hour", tc.a),
				onFailure("b", "1 per hour", tc.b),
			}})
			for _, want := range tc.allowed {
				ds := applyAll(t, l, takes("a", 1), takes("b", 1))
				assert.Equal(t, want, []bool{ds[0].Allowed, ds[1].Allowed})
				for i, d := range ds {
					require.Error(t, d.StoreErr)
					assert.Equal(t, []string{"a", "b"}[i], d.Rule)
				}
			}
			if tc.a == memory {
				assert.Equal(t, int64(1), remaining(t, l, "a"), "all or none, in memory too")
			}
		})
	}
}

// LimitsFor chooses the limits of each change.
func TestApplyWithChosenLimits(t *testing.T) {
	t.Parallel()
	b := ratelimit.Budget{Name: "b", Limits: ratelimit.MustParse("1 per hour")}
	b.LimitsFor = func(_ context.Context, key ratelimit.Key) ratelimit.Limits {
		if key == ratelimit.UserKey("pro") {
			return ratelimit.MustParse("9 per hour; 3 per minute")
		}
		return nil
	}
	l := newLimiter(t, ratelimit.Config{Budgets: []ratelimit.Budget{b}})
	take := func(name string) ratelimit.Change {
		return ratelimit.Change{Kind: store.Take, Rule: "b", Key: ratelimit.UserKey(name), Cost: 1}
	}
	ds := applyAll(t, l, take("free"), take("pro"), take("pro"))
	assert.Equal(t, []string{"1 per hour", "3 per minute", "3 per minute"},
		[]string{ratelimit.Limits{ds[0].Limit}.String(), ratelimit.Limits{ds[1].Limit}.String(), ratelimit.Limits{ds[2].Limit}.String()})
	assert.Equal(t, []bool{true, true, true}, []bool{ds[0].Allowed, ds[1].Allowed, ds[2].Allowed})
	ds = applyAll(t, l, take("pro"), take("free"))
	assert.Equal(t, []bool{true, false}, []bool{ds[0].Allowed, ds[1].Allowed})
}
