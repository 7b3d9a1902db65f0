package store_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/testsize"
	"github.com/ratelimit-go/ratelimit/store"
)

// For buckets and ops at random, the emptiest bucket gives the answer again, and is never fuller
// than the bucket that gave it.
func TestEmptiestGivesTheAnswerAgain(t *testing.T) {
	for name, l := range limits(t) {
		t.Run(name, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(3, 4))
			for range testsize.Of(1000, 150) {
				b, now := anyBucket(rnd, l)
				op := anyOp(rnd, l)
				b.Apply(&op, now)
				inferred := store.Emptiest(&op, now)
				require.True(t, inferred.FillsAt(l))
				requireSameAnswer(t, &op, inferred, now)
				requireNotFuller(t, l, inferred, b, now)
			}
		})
	}
}

// anyBucket returns a bucket in any state, and an instant that is not before any of its own.
func anyBucket(rnd *rand.Rand, l *store.Limit) (store.Bucket, time.Duration) {
	var b store.Bucket
	now := time.Duration(rnd.Int64N(int64(day)))
	apply(&b, store.Op{Kind: store.TakeUpTo, Limit: l, Key: alice, Cost: 1 + rnd.Int64N(l.Burst())}, now)
	wait := peek(&b, l, 0, now).ResetAfter
	switch rnd.IntN(3) {
	case 0:
		now += min(time.Duration(rnd.Int64N(10)), wait)
	case 1:
		now += time.Duration(rnd.Int64N(int64(wait) + 1))
	}
	return b, now
}

// requireSameAnswer applies op as a Peek to the bucket after it.
func requireSameAnswer(t *testing.T, op *store.Op, b store.Bucket, now time.Duration) {
	t.Helper()
	again := *op
	again.Kind = store.Peek
	again.Result = store.Result{}
	if op.Result.Allowed {
		again.Cost = 0 // its tokens are gone
	}
	before := b
	b.Apply(&again, now)
	require.Equal(t, op.Result, again.Result, "kind %d of %d: inferred %+v", op.Kind, op.Cost, before)
}

// requireNotFuller compares at every instant that matters: no take may be allowed by the inferred
// bucket and denied by the real one.
func requireNotFuller(t *testing.T, l *store.Limit, inferred, real store.Bucket, now time.Duration) {
	t.Helper()
	for _, cost := range []int64{1, 2, l.Burst()/2 + 1, l.Burst()} {
		i, r := peek(&inferred, l, cost, now), peek(&real, l, cost, now)
		require.LessOrEqual(t, i.Remaining, r.Remaining)
		require.GreaterOrEqual(t, i.ResetAfter, r.ResetAfter)
		require.GreaterOrEqual(t, i.RetryAfter, r.RetryAfter)
		require.False(t, i.Allowed && !r.Allowed)
		// Where the real bucket has its tokens, the inferred one may lack part of a nanosecond.
		require.True(t, peek(&inferred, l, cost, now+r.RetryAfter+1).Allowed || cost > l.Burst())
	}
}

// The answer to a denied Take tells its wait to the nanosecond, even of a large bucket.
func TestEmptiestUsesTheRetryAfter(t *testing.T) {
	l := limit(t, 3, 7*time.Second, 1000)
	op := store.Op{Limit: l, Key: alice, Cost: 10, Result: store.Result{RetryAfter: 14 * time.Second, ResetAfter: 2400 * time.Second}}
	b := store.Emptiest(&op, time.Hour)
	assert.Equal(t, 14*time.Second, peek(&b, l, 10, time.Hour).RetryAfter)
	assert.True(t, peek(&b, l, 10, time.Hour+14*time.Second).Allowed)
}

func TestFillsAt(t *testing.T) {
	l := limit(t, 10, time.Minute, 0)
	var b store.Bucket
	assert.False(t, b.FillsAt(l), "the zero Bucket has no rate yet")
	take(&b, l, 1, 0)
	assert.True(t, b.FillsAt(l))
	assert.True(t, b.FillsAt(limit(t, 20, 2*time.Minute, 7)), "the same rate in other numbers")
	assert.False(t, b.FillsAt(limit(t, 20, time.Minute, 0)))
}
