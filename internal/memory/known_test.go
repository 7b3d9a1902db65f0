package memory

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/testsize"
	"github.com/ratelimit-go/ratelimit/store"
)

// IDs are hashes of the names of rules, so their order is an accident. Batches under several rules
// on one key take ApplyKnown in any order of IDs.
func TestApplyKnownTakesIDsInAnyOrder(t *testing.T) {
	var limits []*store.Limit
	for i, rule := range []string{"everything", "items", "items", "account"} {
		limits = append(limits, newLimit(t, rule, i, 100, time.Hour, 0))
	}
	s, _ := newStore(1000)
	k := user("a")
	for _, l := range limits {
		apply(t, s, take(l, k, 1))
	}
	left := []int64{99, 99, 99, 99}
	batches := watchBatches(s)
	for size := 1; size <= len(limits); size++ {
		for _, order := range arrangements(len(limits), size) {
			var ops []store.Op
			for _, n := range order {
				ops = append(ops, take(limits[n], k, 1))
				left[n]--
			}
			apply(t, s, ops...)
			for i, n := range order {
				require.True(t, ops[i].Result.Allowed)
				require.Equal(t, left[n], ops[i].Result.Remaining, "%v", order)
			}
		}
	}
	assert.Zero(t, *batches)
	apply(t, s, take(limits[0], k, 1), take(limits[0], k, 1))
	assert.NotZero(t, *batches, "one bucket twice is not for ApplyKnown")
}

// arrangements returns all ways to choose and arrange size of the numbers below n.
func arrangements(n, size int) [][]int {
	if size == 0 {
		return [][]int{nil}
	}
	var all [][]int
	for _, shorter := range arrangements(n, size-1) {
		for i := range n {
			if !slices.Contains(shorter, i) {
				all = append(all, append(slices.Clone(shorter), i))
			}
		}
	}
	return all
}

func TestBatchesForApplyKnown(t *testing.T) {
	var limits []*store.Limit
	for i := range MaxKnown + 1 {
		limits = append(limits, newLimit(t, "r", i, 10, time.Hour, 0))
	}
	same := newLimit(t, "r", 0, 20, time.Minute, 0) // with other numbers
	a, b := user("a"), user("b")
	ops := func(k store.Key, limits ...*store.Limit) []store.Op {
		var ops []store.Op
		for _, l := range limits {
			ops = append(ops, take(l, k, 1))
		}
		return ops
	}
	for _, tc := range []struct {
		name string
		ops  []store.Op
		want bool
	}{
		{"no op", nil, false},
		{"one op", ops(a, limits[0]), true},
		{"two ops", ops(a, limits[1], limits[0]), true},
		{"the most ops", ops(a, limits[:MaxKnown]...), true},
		{"more ops", ops(a, limits...), false},
		{"two keys", slices.Concat(ops(a, limits[0]), ops(b, limits[1])), false},
		{"one limit twice", ops(a, limits[0], limits[0]), false},
		{"one limit twice, not side by side", ops(a, limits[0], limits[1], limits[0]), false},
		{"one limit twice, with other numbers", ops(a, limits[0], same), false},
		{"no limit", ops(a, nil), false},
		{"no limit later", ops(a, limits[0], nil), false},
		{"the zero key", ops(store.Key{}, limits[0]), false},
		{"a negative cost", []store.Op{take(limits[0], a, -1)}, false},
		{"a negative cost later", []store.Op{take(limits[0], a, 1), take(limits[1], a, -1)}, false},
		{"an unknown kind", []store.Op{{Limit: limits[0], Key: a, Kind: 9}}, false},
	} {
		assert.Equal(t, tc.want, simple(tc.ops), tc.name)
	}
}

// If a single bucket is missing, ApplyKnown leaves the decision to Apply.
func TestApplyKnownChangesNothingIfABucketIsMissing(t *testing.T) {
	s, now := newStore(1000)
	known, missing := newLimit(t, "r", 0, 10, time.Hour, 0), newLimit(t, "r", 1, 10, time.Hour, 0)
	k := user("a")
	assert.False(t, s.ApplyKnown([]store.Op{take(known, k, 1)}, nil), "an empty store")
	assert.False(t, s.ApplyKnown([]store.Op{take(known, k, 1), take(missing, k, 1)}, nil), "an empty store")
	apply(t, s, take(known, k, 1))
	*now = time.Minute
	level(t, s, known, k)
	before := snapshotOf(s)
	for _, ops := range [][]store.Op{
		{take(missing, k, 1)},
		{take(known, user("b"), 1)},
		{take(known, k, 1), take(missing, k, 1)},
		{take(missing, k, 1), take(known, k, 1)},
		{take(known, k, 1), take(missing, k, 11)},
		{{Kind: store.Reset, Limit: known, Key: k}, {Kind: store.Peek, Limit: missing, Key: k}},
	} {
		assert.False(t, s.ApplyKnown(ops, nil))
		assert.Equal(t, before, snapshotOf(s))
	}
}

func TestDecisionsOnKnownKeysAllocateNothing(t *testing.T) {
	s := New(DefaultMaxKeys, nil)
	l, m := newLimit(t, "r", 0, 1_000_000, time.Second, 0), newLimit(t, "r", 1, 50_000_000, time.Minute, 0)
	n, spent := newLimit(t, "other", 0, 1_000_000_000, time.Hour, 0), newLimit(t, "spent", 0, 1, year, 0)
	a, b := user("a"), user("b")
	for _, tc := range []struct {
		name  string
		ops   []store.Op
		known bool // whether ApplyKnown decides
	}{
		{"one limit", []store.Op{take(l, a, 1)}, true},
		{"three limits of two rules", []store.Op{take(n, a, 1), take(m, a, 1), take(l, a, 1)}, true},
		{"denied", []store.Op{take(spent, a, 1)}, true},
		{"denied under one of two limits", []store.Op{take(l, a, 1), take(spent, a, 1)}, true},
		{"two tokens", []store.Op{take(l, a, 2)}, true},
		{"a peek", []store.Op{{Kind: store.Peek, Limit: l, Key: a, Cost: 1}}, true},
		{"two keys", []store.Op{take(l, a, 1), take(m, b, 1)}, false},
		{"one bucket twice", []store.Op{take(l, a, 1), take(l, a, 1)}, false},
	} {
		for i := range tc.ops {
			apply(t, s, take(tc.ops[i].Limit, tc.ops[i].Key, 1))
		}
		if tc.known {
			assert.Zero(t, testing.AllocsPerRun(1000, func() { s.ApplyKnown(tc.ops, nil) }), tc.name)
		}
		if tc.known || !testsize.Race { // make cover runs this without the detector
			assert.Zero(t, testing.AllocsPerRun(1000, func() { _ = s.Apply(context.Background(), tc.ops) }), tc.name)
		}
	}
}

// BenchmarkTwoRules is the ordinary case: a limit for everything and a limit for the route, on one
// address. The order of their IDs must not matter.
func BenchmarkTwoRules(b *testing.B) {
	smaller := newLimit(b, "everything", 0, 1_000_000, time.Second, 1_000_000_000)
	greater := newLimit(b, "items", 0, 1_000_000, time.Second, 1_000_000_000)
	if smaller.ID() > greater.ID() {
		smaller, greater = greater, smaller
	}
	for name, limits := range map[string][]*store.Limit{
		"ascending IDs":  {smaller, greater},
		"descending IDs": {greater, smaller},
	} {
		b.Run(name, func(b *testing.B) { benchApply(b, New(DefaultMaxKeys, nil), limits...) })
	}
}

// BenchmarkKnown compares ApplyKnown with the way that all batches can take.
func BenchmarkKnown(b *testing.B) {
	for n := 1; n <= MaxKnown; n++ {
		var ops []store.Op
		for i := range n {
			ops = append(ops, take(newLimit(b, "r", i, 1_000_000, time.Second, 1_000_000_000), user("a"), 1))
		}
		s := New(DefaultMaxKeys, nil)
		apply(b, s, ops...)
		b.Run(fmt.Sprintf("%d limits/known", n), func(b *testing.B) {
			for b.Loop() {
				_ = s.Apply(context.Background(), ops)
			}
		})
		b.Run(fmt.Sprintf("%d limits/batch", n), func(b *testing.B) {
			for b.Loop() {
				_ = applyBatchOnly(s, ops)
			}
		})
	}
}
