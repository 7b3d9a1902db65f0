package memory

import (
	"context"
	"fmt"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/stats"
	"github.com/ratelimit-go/ratelimit/store"
)

var _ store.Store = (*Store)(nil)

// Waiting one nanosecond less than RetryAfter is not enough.
func TestRetryAfterIsTheShortestWait(t *testing.T) {
	for name, l := range map[string]*store.Limit{
		"3 per second":              per(t, 3, time.Second),
		"7 per 11 seconds, burst 2": newLimit(t, "r", 0, 7, 11*time.Second, 2),
		"100 per minute":            per(t, 100, time.Minute),
		"999983 per day":            per(t, 999_983, day),
	} {
		s, now := newStore(10)
		require.True(t, apply(t, s, take(l, user("a"), l.Burst()))[0].Result.Allowed)
		op := take(l, user("a"), 1)
		wait := apply(t, s, op)[0].Result.RetryAfter
		*now += wait - 1
		assert.Equal(t, time.Duration(1), apply(t, s, op)[0].Result.RetryAfter, name)
		*now++
		assert.True(t, apply(t, s, op)[0].Result.Allowed, name)
	}
}

// Readings of the clock in any order make no tokens.
func TestClockReadingsOutOfOrder(t *testing.T) {
	s, now := newStore(10)
	op := take(newLimit(t, "r", 0, 10, time.Second, 20), user("a"), 1)
	allowed := 0
	for i := range 1000 {
		*now = time.Hour + time.Duration(i%2)*time.Second
		if r := apply(t, s, op)[0].Result; r.Allowed {
			allowed++
		} else {
			require.LessOrEqual(t, r.RetryAfter, 100*time.Millisecond, "a clock that is set back locks no client out")
		}
	}
	assert.Equal(t, 21, allowed, "the burst, and the one token that was missing when the clock first moved")
}

// Goroutines together are allowed exactly what the limits allow. Their batches name the buckets in
// both orders, so a store that locks in the order of ops deadlocks.
func TestGoroutinesShareTheBurst(t *testing.T) {
	for _, tc := range []struct {
		name   string
		first  func(i int) store.Key // of the limit of 1000
		second func(i int) store.Key // of the limit of 700
		want   int
	}{
		{"two keys", func(int) store.Key { return user("a") }, func(i int) store.Key { return user(fmt.Sprint("b", i%2)) }, 1000},
		{"one key", func(int) store.Key { return user("a") }, func(int) store.Key { return user("a") }, 700},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, _ := newStore(DefaultMaxKeys)
			a, b := newLimit(t, "r", 0, 1000, time.Hour, 0), newLimit(t, "r", 1, 700, time.Hour, 0)
			var all sync.WaitGroup
			counts := make([]int, 8)
			for g := range counts {
				all.Go(func() {
					for i := range 500 {
						ops := []store.Op{take(a, tc.first(i), 1), take(b, tc.second(i), 1)}
						if g%2 == 0 {
							ops[0], ops[1] = ops[1], ops[0]
						}
						assert.NoError(t, s.Apply(context.Background(), ops))
						if ops[0].Result.Allowed && ops[1].Result.Allowed {
							counts[g]++
						}
					}
				})
			}
			all.Wait()
			total := 0
			for _, n := range counts {
				total += n
			}
			assert.Equal(t, tc.want, total)
		})
	}
}

func TestCostAboveTheBurst(t *testing.T) {
	s, _ := newStore(1000)
	for _, cost := range []int64{11, 153_722_868, math.MaxInt64} {
		got := apply(t, s, take(per(t, 10, time.Minute), user("a"), cost))[0].Result
		assert.Equal(t, store.Result{ExceedsBurst: true, Remaining: 10}, got)
	}
}

func TestRefundAndReset(t *testing.T) {
	s, _ := newStore(1000)
	l, k := per(t, 10, time.Minute), user("a")
	do := func(kind store.Kind, cost int64) int64 {
		return apply(t, s, store.Op{Kind: kind, Limit: l, Key: k, Cost: cost})[0].Result.Remaining
	}
	assert.Equal(t, int64(10), do(store.Refund, math.MaxInt64), "the store does not know the key")
	assert.Equal(t, int64(3), do(store.Take, 7))
	assert.Equal(t, int64(5), do(store.Refund, 2))
	assert.Equal(t, int64(5), do(store.Peek, 100))
	assert.Equal(t, int64(5), do(store.Take, 0))
	assert.Equal(t, int64(10), do(store.Refund, math.MaxInt64), "never above the burst")
	do(store.Take, 10)
	assert.Equal(t, int64(10), do(store.Reset, 0))
}

func TestInvalidOpsChangeNothing(t *testing.T) {
	s, _ := newStore(1000)
	l, k := per(t, 10, time.Minute), user("a")
	apply(t, s, take(l, k, 0))
	for name, bad := range map[string]store.Op{
		"no limit":        {Key: k},
		"no key":          {Limit: l},
		"a negative cost": {Limit: l, Key: k, Cost: -1},
		"an unknown kind": {Limit: l, Key: k, Kind: 9},
	} {
		for _, ops := range [][]store.Op{{take(l, k, 1), bad}, {bad, take(l, k, 1)}, {bad}} {
			require.ErrorIs(t, s.Apply(context.Background(), ops), store.ErrInvalidOp, name)
			assert.Equal(t, int64(10), level(t, s, l, k), name)
		}
	}
	require.NoError(t, s.Apply(context.Background(), nil))
}

func TestChangedLimitKeepsSpentTokens(t *testing.T) {
	s, now := newStore(1000)
	takeUnder := func(l *store.Limit, cost int64) store.Result {
		return apply(t, s, take(l, user("a"), cost))[0].Result
	}
	lowered := per(t, 50, time.Hour)
	assert.Equal(t, int64(20), takeUnder(per(t, 100, time.Minute), 80).Remaining)
	assert.Equal(t, int64(920), takeUnder(per(t, 1000, time.Minute), 0).Remaining, "raised")
	assert.Equal(t, int64(0), takeUnder(lowered, 1).Remaining, "lowered below what was spent")
	wait := takeUnder(lowered, 1).RetryAfter
	*now += wait - 1
	assert.False(t, takeUnder(lowered, 1).Allowed)
	*now++
	assert.True(t, takeUnder(lowered, 1).Allowed)
	assert.Equal(t, 50*72*time.Second, takeUnder(lowered, 1).ResetAfter, "paid back at the new rate from then on")
}

// The store has no goroutine, so it works in a bubble of fake time, and its own clock is the
// monotonic clock there.
func TestFakeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(DefaultMaxKeys, nil)
		op := take(per(t, 2, time.Minute), user("a"), 2)
		require.True(t, apply(t, s, op)[0].Result.Allowed)
		require.Equal(t, time.Minute, apply(t, s, op)[0].Result.RetryAfter)
		time.Sleep(time.Minute)
		require.True(t, apply(t, s, op)[0].Result.Allowed)
	})
}

func TestStatsOfAnEmptyStore(t *testing.T) {
	assert.Equal(t, stats.Memory{MaxKeys: 12_345}, New(12_345, nil).Stats())
}

// A limit that is lowered does not stretch old debts.
func TestLoweredLimitKeepsItsPromise(t *testing.T) {
	s, _ := newStore(DefaultMaxKeys)
	apply(t, s, take(per(t, 10, time.Second), user("a"), 10))
	got := apply(t, s, take(per(t, 10, time.Hour), user("a"), 1))[0].Result
	assert.Equal(t, store.Result{RetryAfter: 100 * time.Millisecond, ResetAfter: time.Second}, got)
}
