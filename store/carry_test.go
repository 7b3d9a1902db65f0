package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/key"
	"github.com/ratelimit-go/ratelimit/store"
)

// Each row charges bucket 0 by the rate of an old version. Then a batch of a new version looks at
// the bucket of its own limit.
func TestCarry(t *testing.T) {
	newLimit := func(rule string, index int, count int64, period time.Duration, burst int64) *store.Limit {
		l, err := store.NewLimit(rule, index, count, period, burst)
		require.NoError(t, err)
		return l
	}
	for _, row := range []struct {
		name        string
		old         *store.Limit
		taken       int64
		own, zero   *store.Limit
		first, then int64 // taken from the bucket of own before, and what Carry makes it lack
	}{
		{
			"the same limit", newLimit("r", 0, 100, time.Hour, 0), 60,
			newLimit("r", 3, 100, time.Hour, 0), newLimit("r", 0, 500, day, 0), 0, 60,
		},
		{
			"more is missing already", newLimit("r", 0, 100, time.Hour, 0), 60,
			newLimit("r", 3, 100, time.Hour, 0), newLimit("r", 0, 500, day, 0), 61, 61,
		},
		{
			"another count", newLimit("r", 0, 100, time.Hour, 0), 60,
			newLimit("r", 3, 200, time.Hour, 0), newLimit("r", 0, 500, day, 0), 0, 60,
		},
		{
			"a smaller burst", newLimit("r", 0, 100, time.Hour, 0), 60,
			newLimit("r", 3, 40, time.Hour, 0), newLimit("r", 0, 500, day, 0), 0, 40,
		},
		{
			"just four times the burst", newLimit("r", 0, 100, time.Hour, 0), 64,
			newLimit("r", 3, 100, time.Hour, 16), newLimit("r", 0, 500, day, 0), 0, 16,
		},
		{
			"more than four times the burst", newLimit("r", 0, 100, time.Hour, 0), 65,
			newLimit("r", 3, 100, time.Hour, 16), newLimit("r", 0, 500, day, 0), 0, 0,
		},
		{
			"far more than the burst", newLimit("r", 0, 100, time.Hour, 0), 80,
			newLimit("r", 3, 100, time.Hour, 16), newLimit("r", 0, 500, day, 0), 0, 0,
		},
		{
			"nearer to the slowest limit", newLimit("r", 0, 600, day, 0), 60,
			newLimit("r", 3, 100, time.Hour, 0), newLimit("r", 0, 500, day, 0), 0, 0,
		},
		{
			"the rate of the slowest limit", newLimit("r", 0, 500, day, 0), 60,
			newLimit("r", 3, 100, time.Hour, 0), newLimit("r", 0, 500, day, 0), 0, 0,
		},
		{
			"bucket 0 is not of the slowest limit", newLimit("r", 0, 100, time.Hour, 0), 60,
			newLimit("r", 3, 500, day, 0), newLimit("r", 0, 900, time.Hour, 0), 0, 0,
		},
		{
			"another rule", newLimit("r", 0, 100, time.Hour, 0), 60,
			newLimit("other", 3, 100, time.Hour, 0), newLimit("r", 0, 500, day, 0), 0, 0,
		},
	} {
		var zero, own store.Bucket
		require.True(t, zero.Apply(&store.Op{Limit: row.old, Cost: row.taken}, 0), row.name)
		require.True(t, own.Apply(&store.Op{Limit: row.own, Cost: row.first}, 0), row.name)
		ops := []store.Op{{Kind: store.Peek, Limit: row.own}, {Kind: store.Peek, Limit: row.zero}}
		before := zero
		for range 2 { // again it changes nothing
			store.Carry(ops, 0, func(i int) *store.Bucket { return []*store.Bucket{&own, &zero}[i] })
			b := own
			require.True(t, b.Apply(&ops[0], 0), row.name)
			assert.Equal(t, row.own.Burst()-row.then, ops[0].Result.Remaining, row.name)
		}
		assert.Equal(t, before, zero, row.name)
	}
}

// A bucket that is left alone, or belongs to another key, carries nothing.
func TestCarryLeavesAlone(t *testing.T) {
	old, err := store.NewLimit("r", 0, 100, time.Hour, 0)
	require.NoError(t, err)
	own, err := store.NewLimit("r", 3, 100, time.Hour, 0)
	require.NoError(t, err)
	slower, err := store.NewLimit("r", 0, 500, day, 0)
	require.NoError(t, err)
	bob := key.Text(key.User, "bob")
	for name, tt := range map[string]struct {
		key  store.Key
		none int // the op that has no bucket, or -1
		want store.Bucket
	}{
		"bucket 0 is left alone":   {alice, 1, store.Bucket{}},
		"the bucket is left alone": {alice, 0, store.Bucket{}},
		"another key":              {bob, -1, store.Bucket{}},
		"neither":                  {alice, -1, charged(t, old, 60)},
	} {
		zero, b := charged(t, old, 60), store.Bucket{}
		ops := []store.Op{{Limit: own, Key: tt.key, Cost: 1}, {Limit: slower, Key: alice, Cost: 1}}
		store.Carry(ops, 0, func(i int) *store.Bucket {
			if i == tt.none {
				return nil
			}
			return []*store.Bucket{&b, &zero}[i]
		})
		assert.Equal(t, tt.want, b, name)
	}
}

// charged returns a bucket from which n tokens of l have been taken.
func charged(t *testing.T, l *store.Limit, n int64) (b store.Bucket) {
	require.True(t, b.Apply(&store.Op{Limit: l, Cost: n}, 0))
	return b
}
