package store_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/key"
	"github.com/ratelimit-go/ratelimit/internal/pace"
	"github.com/ratelimit-go/ratelimit/store"
)

var bob = key.Text(key.User, "bob")

// versioned returns a limit of rule r that is in use in several versions.
func versioned(t *testing.T, index int, count int64, period time.Duration, burst int64) *store.Limit {
	l, err := store.NewLimit("r", index, count, period, burst)
	require.NoError(t, err)
	return l.Versioned()
}

// charged returns a bucket from which n tokens of l have been taken at the instant 0.
func charged(t *testing.T, l *store.Limit, n int64) (b store.Bucket) {
	require.True(t, b.Apply(&store.Op{Limit: l, Cost: n}, 0))
	return b
}

// family returns a function for Carry and Spread that finds these buckets.
func family(buckets ...*store.Bucket) func(int) []*store.Bucket {
	return func(int) []*store.Bucket { return append([]*store.Bucket(nil), buckets...) }
}

// Each row has spent tokens under a limit of an old version, in bucket 0 or beside it. Then a batch
// of a new version begins a bucket for its limit i, which has 100 per hour.
func TestCarry(t *testing.T) {
	own, slow := versioned(t, 3, 100, time.Hour, 0), versioned(t, 0, 500, day, 0)
	for _, row := range []struct {
		name  string
		old   *store.Limit
		spent int64
		left  int64 // of limit i, which the same version allows
	}{
		{"the same limit was the slowest", versioned(t, 0, 100, time.Hour, 0), 60, 40},
		{"all of it", versioned(t, 0, 100, time.Hour, 0), 100, 0},
		{"another count", versioned(t, 0, 70, time.Hour, 0), 60, 40},
		{"a larger burst, which leaves more than enough", versioned(t, 0, 300, day, 0), 60, 100},
		{"a larger burst, which leaves less", versioned(t, 0, 300, day, 0), 260, 40},
		{"a burst without a bound", versioned(t, 0, 10, time.Second, math.MaxUint32), 1000, 100},
		{"the slowest limit, under the same numbers", slow, 60, 100},
		{"the slowest limit, with another burst", versioned(t, 0, 500, day, 70), 60, 40},
		{"a faster limit of its own", versioned(t, 2, 10, time.Second, 0), 7, 93},
		{"a faster limit with a larger burst", versioned(t, 2, 1000, time.Minute, 0), 950, 50},
	} {
		var zero, b, kin store.Bucket
		if row.old.Index() == 0 {
			zero = charged(t, row.old, row.spent)
		} else {
			kin = charged(t, row.old, row.spent)
		}
		ops := []store.Op{{Kind: store.Peek, Limit: own, Key: alice}, {Kind: store.Peek, Limit: slow, Key: alice}}
		buckets := []*store.Bucket{&b, &zero}
		before := kin
		for range 2 { // again it changes nothing
			store.Carry(ops, 0, func(i int) *store.Bucket { return buckets[i] }, family(&zero, &kin, &b))
			require.True(t, b.Apply(&ops[0], 0), row.name)
			assert.Equal(t, row.left, ops[0].Result.Remaining, row.name)
		}
		assert.Equal(t, before, kin, row.name)
	}
}

// A bucket that was charged beyond its burst, even far beyond, leaves nothing of a new one.
func TestCarryOfDebts(t *testing.T) {
	slow, own := versioned(t, 0, 500, day, 0), versioned(t, 3, 100, time.Hour, 0)
	nobody := func(int) *store.Bucket { return new(store.Bucket) }
	for name, fast := range map[string]*store.Limit{
		"ten per hour":               versioned(t, 2, 10, time.Hour, 0),
		"a million in a microsecond": versioned(t, 2, 1_000_000, time.Microsecond, 0),
	} {
		for _, spent := range []int64{500, math.MaxInt64} {
			var zero, b store.Bucket
			kin, buckets := charged(t, fast, 10), []*store.Bucket{&zero, &b}
			store.Spread([]store.Op{{Kind: store.TakeUpTo, Limit: slow, Key: alice, Cost: spent}}, 0, nobody, family(&kin))
			both := []store.Op{{Limit: slow, Key: alice}, {Kind: store.Peek, Limit: own, Key: alice}}
			store.Carry(both, 0, func(i int) *store.Bucket { return buckets[i] }, family(&kin))
			b.Apply(&both[1], 0)
			left := int64(0)
			if fast.Burst() > spent {
				left = 100 // the larger burst leaves more than enough
			}
			assert.Equal(t, left, both[1].Result.Remaining, "%s, %d", name, spent)
		}
	}
}

// Carry and Spread leave everything alone that is not of one version, rule and key.
func TestCarryLeavesAlone(t *testing.T) {
	old, own, slow := versioned(t, 0, 100, time.Hour, 0), versioned(t, 3, 100, time.Hour, 0), versioned(t, 0, 500, day, 0)
	plain, err := store.NewLimit("r", 0, 500, day, 0)
	require.NoError(t, err)
	other, err := store.NewLimit("other", 3, 100, time.Hour, 0)
	require.NoError(t, err)
	for name, row := range map[string]struct {
		own, slow store.Op
		none      int // the op that has no bucket, or -1
		want      store.Bucket
	}{
		"bucket 0 is left alone":   {store.Op{Limit: own, Key: alice}, store.Op{Limit: slow, Key: alice}, 1, store.Bucket{}},
		"the bucket is left alone": {store.Op{Limit: own, Key: alice}, store.Op{Limit: slow, Key: alice}, 0, store.Bucket{}},
		"another key":              {store.Op{Limit: own, Key: bob}, store.Op{Limit: slow, Key: alice}, -1, store.Bucket{}},
		"another rule":             {store.Op{Limit: other, Key: alice}, store.Op{Limit: slow, Key: alice}, -1, store.Bucket{}},
		"not versioned":            {store.Op{Limit: own, Key: alice}, store.Op{Limit: plain, Key: alice}, -1, store.Bucket{}},
		"neither":                  {store.Op{Limit: own, Key: alice}, store.Op{Limit: slow, Key: alice}, -1, charged(t, own, 60)},
	} {
		zero, b := charged(t, old, 60), store.Bucket{}
		buckets := []*store.Bucket{&b, &zero}
		if row.none >= 0 {
			buckets[row.none] = nil
		}
		store.Carry([]store.Op{row.own, row.slow}, 0, func(i int) *store.Bucket { return buckets[i] }, family())
		assert.Equal(t, row.want, b, name)
	}
	kin := charged(t, own, 10)
	before := kin
	store.Spread([]store.Op{{Limit: plain, Key: alice, Cost: 5}}, 0, func(int) *store.Bucket { return new(store.Bucket) }, family(&kin))
	assert.Equal(t, before, kin, "an op that is not versioned spreads")
}

// A bucket counts what a batch did that has no op for it, by its own pace and beyond its burst.
func TestSpread(t *testing.T) {
	slow, own := versioned(t, 0, 500, day, 0), versioned(t, 3, 100, time.Hour, 0)
	for _, row := range []struct {
		name  string
		kind  store.Kind
		cost  int64
		reset time.Duration // of a bucket that lacked 60 of 100 per hour before
	}{
		{"a take", store.Take, 10, 42 * time.Minute},
		{"a take of nothing", store.Take, 0, 36 * time.Minute},
		{"a take beyond the burst", store.Take, 440, 5 * time.Hour},
		{"a take of up to", store.TakeUpTo, 10, 42 * time.Minute},
		{"a peek", store.Peek, 10, 36 * time.Minute},
		{"a refund", store.Refund, 10, 30 * time.Minute},
		{"a refund of more than was taken", store.Refund, 70, 0},
		{"a reset", store.Reset, 0, 0},
		{"more than 100 years", store.TakeUpTo, math.MaxInt64, pace.MaxFill},
	} {
		kin, zero, fresh := charged(t, own, 60), charged(t, slow, 60), store.Bucket{}
		done := []store.Op{{Kind: row.kind, Limit: slow, Key: alice, Cost: row.cost}}
		store.Spread(done, 0, func(int) *store.Bucket { return &zero }, family(&zero, &kin, &fresh))
		ask := store.Op{Kind: store.Peek, Limit: own, Key: alice}
		kin.Apply(&ask, 0)
		assert.Equal(t, row.reset, ask.Result.ResetAfter, row.name)
		assert.Equal(t, charged(t, slow, 60), zero, row.name)
		assert.Equal(t, store.Bucket{}, fresh, row.name)
	}
}

// Settled is false whenever Carry or Spread may have something to do.
func TestSettled(t *testing.T) {
	slow, own := versioned(t, 0, 500, day, 0), versioned(t, 3, 100, time.Hour, 0)
	plain, err := store.NewLimit("r", 0, 500, day, 0)
	require.NoError(t, err)
	zero, one := charged(t, slow, 1), charged(t, own, 1)
	assert.False(t, zero.Settled(slow, 2), "before Carry")
	assert.True(t, zero.Settled(plain, 7), "a limit that is not versioned")
	both := []store.Op{{Limit: slow, Key: alice}, {Limit: own, Key: alice}}
	buckets := []*store.Bucket{&zero, &one}
	store.Carry(both, 0, func(i int) *store.Bucket { return buckets[i] }, family())
	assert.True(t, zero.Settled(slow, 2))
	assert.False(t, zero.Settled(slow, 1), "a version with fewer limits")
	assert.True(t, zero.Settled(slow.Unversioned(), 1), "a limit that is charged apart")
	assert.False(t, zero.Settled(slow, 3), "a version with more limits")
	assert.False(t, zero.Settled(versioned(t, 0, 500, day, 20), 2), "another burst")
	assert.False(t, zero.Settled(versioned(t, 0, 400, day, 500), 2), "another rate")
	kin := charged(t, versioned(t, 5, 9, day, 0), 1)
	store.Carry(both, 0, func(i int) *store.Bucket { return buckets[i] }, family(&kin, &zero))
	assert.False(t, zero.Settled(slow, 2), "kin that the batch has no op for")
	assert.True(t, zero.Settled(slow, 3))
}

func TestUnversioned(t *testing.T) {
	plain, err := store.NewLimit("r", 0, 500, day, 0)
	require.NoError(t, err)
	l := plain.Versioned()
	assert.True(t, l.IsVersioned())
	assert.False(t, plain.IsVersioned())
	assert.Same(t, plain, l.Unversioned())
	assert.Same(t, plain, l.Versioned().Unversioned())
	assert.Same(t, plain, plain.Unversioned())
}

// Two ops on one bucket are one bucket.
func TestTwoOpsOnOneBucketAreSettled(t *testing.T) {
	slow := versioned(t, 0, 500, day, 0)
	zero := charged(t, slow, 1)
	both := []store.Op{{Kind: store.Peek, Limit: slow, Key: alice}, {Limit: slow, Key: alice}}
	store.Carry(both, 0, func(int) *store.Bucket { return &zero }, family())
	assert.True(t, zero.Settled(slow, 1))
}
