package store_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/store"
)

func take(b *store.Bucket, l *store.Limit, cost int64, now time.Duration) store.Result {
	return apply(b, store.Op{Limit: l, Key: alice, Cost: cost}, now)
}

func peek(b *store.Bucket, l *store.Limit, cost int64, now time.Duration) store.Result {
	return apply(b, store.Op{Kind: store.Peek, Limit: l, Key: alice, Cost: cost}, now)
}

func TestChangedLimitKeepsSpentTokens(t *testing.T) {
	var b store.Bucket
	now := time.Duration(0)
	assert.Equal(t, int64(20), take(&b, limit(t, 100, time.Minute, 0), 80, now).Remaining)
	assert.Equal(t, int64(920), take(&b, limit(t, 1000, time.Minute, 0), 0, now).Remaining, "raised")
	lowered := limit(t, 50, time.Hour, 0)
	assert.Equal(t, int64(0), take(&b, lowered, 1, now).Remaining, "lowered below the spent tokens")
	wait := take(&b, lowered, 1, now).RetryAfter
	now += wait - 1
	assert.False(t, take(&b, lowered, 1, now).Allowed)
	now++
	assert.True(t, take(&b, lowered, 1, now).Allowed)
	assert.Equal(t, 50*72*time.Second, take(&b, lowered, 1, now).ResetAfter, "paid back at the new rate from then on")
}

// A raised limit pays old debts at its own rate from the first op on, even if it is a Peek.
func TestRaisedLimitHelpsAtOnce(t *testing.T) {
	slow, fast := limit(t, 1, time.Hour, 10), limit(t, 1, time.Minute, 10)
	for _, first := range []store.Kind{store.Take, store.Peek} {
		var b store.Bucket
		take(&b, slow, 10, 0)
		got := apply(&b, store.Op{Kind: first, Limit: fast, Key: alice, Cost: 1}, 0)
		assert.Equal(t, store.Result{RetryAfter: time.Minute, ResetAfter: 10 * time.Minute}, got)
		assert.True(t, peek(&b, fast, 1, time.Minute).Allowed, "its RetryAfter comes true")
		assert.Equal(t, time.Nanosecond, peek(&b, fast, 2, 2*time.Minute-1).RetryAfter)
	}
}

// Report settles the rate too, so a denied batch that reports a bucket keeps its promise.
func TestReportSettlesTheRateOfARaisedLimit(t *testing.T) {
	slow, fast := limit(t, 1, time.Hour, 10), limit(t, 1, time.Minute, 10)
	var b store.Bucket
	take(&b, slow, 10, 0)
	op := store.Op{Limit: fast, Key: alice, Cost: 1}
	b.Report(&op, 0)
	assert.Equal(t, 10*time.Minute, op.Result.ResetAfter)
	assert.True(t, peek(&b, fast, 1, time.Minute).Allowed)
}

// A lowered limit pays old debts at the old rate until it charges the bucket.
func TestLoweredLimitDoesNotStretchOldDebts(t *testing.T) {
	fast, slow := limit(t, 1, time.Minute, 10), limit(t, 1, time.Hour, 10)
	var b store.Bucket
	take(&b, fast, 10, 0)
	assert.Equal(t, store.Result{RetryAfter: time.Minute, ResetAfter: 10 * time.Minute}, take(&b, slow, 1, 0))
	assert.Equal(t, store.Result{Allowed: true, Remaining: 5, ResetAfter: 5 * time.Minute}, peek(&b, slow, 1, 5*time.Minute))
	assert.Equal(t, store.Result{Allowed: true, Remaining: 4, ResetAfter: 6 * time.Hour}, take(&b, slow, 1, 5*time.Minute))
}

// Ops that do not charge leave the old rate as it is.
func TestOpsWithoutAChargeKeepTheOldRate(t *testing.T) {
	fast, slow := limit(t, 1, time.Minute, 10), limit(t, 1, time.Hour, 10)
	for _, op := range []store.Op{
		{Kind: store.Take}, {Kind: store.TakeUpTo}, {Kind: store.Peek, Cost: 1}, {Kind: store.Refund}, {Kind: store.Refund, Cost: 1},
	} {
		var b store.Bucket
		take(&b, fast, 10, 0)
		op.Limit, op.Key = slow, alice
		left := apply(&b, op, 0).ResetAfter
		assert.LessOrEqual(t, left, 10*time.Minute, "kind %d of %d", op.Kind, op.Cost)
		assert.Zero(t, peek(&b, slow, 0, left).ResetAfter, "kind %d of %d", op.Kind, op.Cost)
	}
}

func TestResetAfterAChange(t *testing.T) {
	var b store.Bucket
	take(&b, limit(t, 1, time.Minute, 10), 10, 0)
	slow := limit(t, 1, time.Hour, 10)
	assert.Equal(t, store.Result{Allowed: true, Remaining: 10}, apply(&b, store.Op{Kind: store.Reset, Limit: slow, Key: alice}, 0))
	assert.True(t, b.Full(0))
	assert.Equal(t, time.Hour, take(&b, slow, 1, 0).ResetAfter)
}

// A debt above a lowered burst stays: TakeUpTo takes nothing more, and no Take is allowed earlier.
func TestTakeUpToKeepsADebtAboveTheBurst(t *testing.T) {
	large, small := limit(t, 1, time.Minute, 100), limit(t, 1, time.Minute, 10)
	var b store.Bucket
	take(&b, large, 100, 0)
	before := peek(&b, small, 1, 0)
	assert.Equal(t, 91*time.Minute, before.RetryAfter)
	got := apply(&b, store.Op{Kind: store.TakeUpTo, Limit: small, Key: alice, Cost: 3}, 0)
	assert.Equal(t, store.Result{Allowed: true, ResetAfter: 100 * time.Minute}, got)
	assert.Equal(t, before, peek(&b, small, 1, 0))
}

// Changes between limits at random allow at most what the fastest limit would.
func TestChangesCreateNoTokens(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	fastest := limit(t, 7, 3*time.Second, 20)
	all := []*store.Limit{
		fastest, limit(t, 1, time.Second, 20), limit(t, 13, 17*time.Second, 20), limit(t, 1, 1000*time.Second, 20),
		limit(t, 2, time.Second, 3), limit(t, 1, time.Hour, 1),
	}
	for range 20 {
		var changing, meter store.Bucket
		now := time.Duration(0)
		for range 1000 {
			op := store.Op{Limit: all[rnd.IntN(len(all))], Key: alice, Cost: rnd.Int64N(4)}
			op.Kind = store.Kind(rnd.IntN(2)) // Take or Peek
			if got := apply(&changing, op, now); got.Allowed && op.Kind == store.Take {
				require.True(t, take(&meter, fastest, op.Cost, now).Allowed, "%d tokens at %v", op.Cost, now)
			}
			now += time.Duration(rnd.Int64N(int64(time.Second)))
		}
	}
}
