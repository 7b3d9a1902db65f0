package store_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/testsize"
	"github.com/ratelimit-go/ratelimit/store"
)

// A Bucket and an oracle in rational numbers always give the same answer.
func TestBucketAgreesWithRationalNumbers(t *testing.T) {
	steps := testsize.Of(20_000, 1000)
	for name, l := range limits(t) {
		t.Run(name, func(t *testing.T) {
			var b store.Bucket
			var now time.Duration
			o, rnd := newOracle(l), rand.New(rand.NewPCG(1, 2))
			for step := range steps {
				op := anyOp(rnd, l)
				got := apply(&b, op, now)
				require.Equal(t, o.apply(&op, now), got, "step %d: kind %d of %d at %v", step, op.Kind, op.Cost, now)
				require.Equal(t, got.ResetAfter == 0, b.Full(now))
				op.Result = store.Result{Allowed: got.Allowed, ExceedsBurst: got.ExceedsBurst, RetryAfter: got.RetryAfter}
				b.Report(&op, now)
				require.Equal(t, got, op.Result, "the report of the same bucket")
				token := float64(l.Period()) / float64(l.Count())
				if now += time.Duration(rnd.Float64() * token * 3); rnd.IntN(3) == 0 {
					now += got.RetryAfter
				}
				if now > 150*year {
					break // the end of time is near
				}
			}
		})
	}
}

// anyOp returns an op of any kind that is mostly a Take of few tokens.
func anyOp(rnd *rand.Rand, l *store.Limit) store.Op {
	op := store.Op{Limit: l, Key: alice, Cost: rnd.Int64N(4)}
	if rnd.IntN(4) == 0 {
		op.Kind = store.Kind(rnd.IntN(5))
	}
	switch rnd.IntN(20) {
	case 0, 1:
		op.Cost = rnd.Int64N(l.Burst() + 2)
	case 2:
		op.Cost = math.MaxInt64 - rnd.Int64N(3)
	}
	return op
}

func FuzzBucket(f *testing.F) {
	f.Add(int64(7), int64(3*time.Second), int64(0), []byte("some ops in a row"))
	f.Add(int64(1), int64(year), int64(100), []byte{0, 100, 255, 0, 1, 0, 4, 9, 63, 3, 1, 1})
	f.Add(int64(4_294_967_291), int64(4_294_967_279), int64(1<<40), []byte{0, 255, 0, 2, 9, 30, 1, 200, 3})
	f.Fuzz(func(t *testing.T, count, period, burst int64, script []byte) {
		l, err := store.NewLimit("r", 0, count, time.Duration(period), burst)
		if err != nil || len(script) > 128 {
			t.Skip()
		}
		var b store.Bucket
		var now time.Duration
		for o := newOracle(l); len(script) >= 3; script = script[3:] {
			op := store.Op{Kind: store.Kind(script[0] % 5), Limit: l, Key: alice, Cost: int64(script[1]) << (script[0] / 5)}
			if !op.Valid() {
				continue
			}
			got := apply(&b, op, now)
			require.Equal(t, o.apply(&op, now), got, "kind %d of %d at %v", op.Kind, op.Cost, now)
			now += time.Duration(1) << (script[2] % 57) // at most 2 years
			if script[2] >= 128 {
				now += got.RetryAfter
			}
		}
	})
}

// A nanosecond before its RetryAfter has passed, an op is denied. Then it is allowed.
func TestRetryAfterIsTheShortestWait(t *testing.T) {
	for name, l := range limits(t) {
		if l.Count() > int64(l.Period()) {
			continue // a token takes less than a nanosecond
		}
		var b store.Bucket
		var now time.Duration
		apply(&b, store.Op{Kind: store.TakeUpTo, Limit: l, Key: alice, Cost: math.MaxInt64}, now)
		for _, cost := range []int64{1, (l.Burst() + 1) / 2, l.Burst()} {
			op := store.Op{Limit: l, Key: alice, Cost: cost}
			if wait := apply(&b, op, now).RetryAfter; wait > 0 {
				now += wait - 1
				assert.Equal(t, time.Duration(1), apply(&b, op, now).RetryAfter, "%s, %d tokens", name, cost)
				now++
			}
			assert.True(t, apply(&b, op, now).Allowed, "%s, %d tokens", name, cost)
		}
	}
}

func TestZeroBucketIsFull(t *testing.T) {
	l := limit(t, 10, time.Minute, 0)
	for _, now := range []time.Duration{0, 1, time.Hour, 100 * year} {
		var b store.Bucket
		assert.True(t, b.Full(now))
		assert.Equal(t, store.Result{Allowed: true, Remaining: 10}, apply(&b, store.Op{Kind: store.Peek, Limit: l, Key: alice}, now))
		assert.Equal(t, store.Result{Allowed: true, ResetAfter: time.Minute}, apply(&b, store.Op{Limit: l, Key: alice, Cost: 10}, now))
		assert.False(t, b.Full(now+time.Minute-1))
		assert.True(t, b.Full(now+time.Minute))
	}
}

func TestCostAboveTheBurst(t *testing.T) {
	l := limit(t, 10, time.Minute, 0)
	for _, cost := range []int64{11, 153_722_868, math.MaxInt64} {
		for _, kind := range []store.Kind{store.Take, store.Peek} {
			var b store.Bucket
			got := apply(&b, store.Op{Kind: kind, Limit: l, Key: alice, Cost: cost}, 0)
			assert.Equal(t, store.Result{ExceedsBurst: true, Remaining: 10}, got)
		}
	}
}

func TestApplyOverwritesOldResults(t *testing.T) {
	l := limit(t, 10, time.Minute, 0)
	for kind := store.Take; kind <= store.TakeUpTo; kind++ {
		for _, cost := range []int64{1, 2} {
			var fresh, used store.Bucket
			op := store.Op{Kind: kind, Limit: l, Key: alice, Cost: cost}
			old := op
			old.Result = store.Result{ExceedsBurst: true, Overflow: true, Remaining: -1, RetryAfter: -1, ResetAfter: -1}
			assert.Equal(t, apply(&fresh, op, 0), apply(&used, old, 0), "kind %d of %d", kind, cost)
		}
	}
}

// A denied op takes nothing, and Apply returns what the Result says.
func TestApplyReportsWhetherTheOpIsAllowed(t *testing.T) {
	l := limit(t, 10, time.Minute, 0)
	for cost, want := range map[int64]bool{0: true, 1: true, 3: true, 4: false, 10: false, 11: false} {
		for _, kind := range []store.Kind{store.Take, store.Peek} {
			var b store.Bucket
			apply(&b, store.Op{Limit: l, Key: alice, Cost: 7}, 0)
			before := b
			op := store.Op{Kind: kind, Limit: l, Key: alice, Cost: cost}
			assert.Equal(t, want, b.Apply(&op, 0), "%d of 3", cost)
			assert.Equal(t, want, op.Result.Allowed, "%d of 3", cost)
			if !want || kind == store.Peek {
				assert.Equal(t, before, b, "%d of 3", cost)
			}
		}
	}
}

// A batch that is denied reports the bucket as it was. Two ops on one bucket report its end.
func TestReportOfAnotherState(t *testing.T) {
	l := limit(t, 10, time.Minute, 0)
	op := store.Op{Limit: l, Key: alice, Cost: 4}
	var before store.Bucket
	after := before
	require.True(t, after.Apply(&op, 0))
	assert.Equal(t, store.Result{Allowed: true, Remaining: 6, ResetAfter: 24 * time.Second}, op.Result)
	before.Report(&op, 0)
	assert.Equal(t, store.Result{Allowed: true, Remaining: 10}, op.Result)
	second := store.Op{Limit: l, Key: alice, Cost: 5}
	require.True(t, after.Apply(&second, 0))
	after.Report(&op, 0)
	assert.Equal(t, store.Result{Allowed: true, Remaining: 1, ResetAfter: 54 * time.Second}, op.Result)
}

// A part of a nanosecond counts: the bucket is full only when it has passed.
func TestFullCountsPartsOfANanosecond(t *testing.T) {
	l := limit(t, 3, 7, 1) // a token takes 2⅓ ns
	var b store.Bucket
	assert.Equal(t, time.Duration(3), apply(&b, store.Op{Limit: l, Key: alice, Cost: 1}, 0).ResetAfter)
	assert.False(t, b.Full(2))
	assert.True(t, b.Full(3))
}

func BenchmarkBucket(b *testing.B) {
	for name, cost := range map[string]int64{"one token": 1, "two tokens": 2} {
		b.Run(name, func(b *testing.B) {
			op := store.Op{Limit: limit(b, 1_000_000_000, time.Second, 0), Key: alice, Cost: cost}
			var bucket store.Bucket
			now := time.Duration(0)
			for range b.N {
				now += 10
				if !bucket.Apply(&op, now) {
					b.Fatal("denied")
				}
			}
		})
	}
}
