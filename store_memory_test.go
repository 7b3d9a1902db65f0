package ratelimit_test

import (
	"context"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

func named(t testing.TB, rule string, index int, text string) *ratelimit.NamedLimit {
	t.Helper()
	l, err := ratelimit.NameLimit(rule, index, ratelimit.MustParse(text)[0])
	require.NoError(t, err)
	return l
}

func apply(t testing.TB, s ratelimit.Store, ops ...ratelimit.Op) []ratelimit.Op {
	t.Helper()
	require.NoError(t, s.Apply(context.Background(), ops))
	return ops
}

// oracle is a token bucket in rational numbers, slow and obvious.
type oracle struct {
	spent    *big.Rat // tokens
	last     int64
	interval *big.Rat // nanoseconds for each token
	burst    int64
}

func newOracle(l ratelimit.Limit) *oracle {
	return &oracle{spent: new(big.Rat), interval: big.NewRat(int64(l.Period), l.Count), burst: l.Burst}
}

func (o *oracle) take(now, n int64) ratelimit.Result {
	refill := new(big.Rat).Quo(new(big.Rat).SetInt64(now-o.last), o.interval)
	o.last = now
	if o.spent.Sub(o.spent, refill); o.spent.Sign() < 0 {
		o.spent.SetInt64(0)
	}
	var res ratelimit.Result
	after := new(big.Rat).Add(o.spent, new(big.Rat).SetInt64(n))
	over := new(big.Rat).Sub(after, new(big.Rat).SetInt64(o.burst))
	switch {
	case n > o.burst:
		res.Never = true
	case over.Sign() > 0:
		res.RetryAfter = time.Duration(ceil(over.Mul(over, o.interval)))
	default:
		res.Allowed, o.spent = true, after
	}
	left := new(big.Rat).Sub(new(big.Rat).SetInt64(o.burst), o.spent)
	res.Remaining = new(big.Int).Div(left.Num(), left.Denom()).Int64()
	res.ResetAfter = time.Duration(ceil(new(big.Rat).Mul(o.spent, o.interval)))
	return res
}

func ceil(r *big.Rat) int64 {
	q, m := new(big.Int).DivMod(r.Num(), r.Denom(), new(big.Int))
	if m.Sign() > 0 {
		q.Add(q, big.NewInt(1))
	}
	return q.Int64()
}

// Promises 1 and 2: every decision, remaining and wait is that of rational arithmetic.
func TestBucketAgreesWithRationalNumbers(t *testing.T) {
	for _, text := range []string{
		"1 per year", "1 per day", "7 per 3 seconds", "3 per second burst 1", "100 per minute", "999983 per day burst 17",
		"1_000_000 per second burst 1000", "5_000_000_000 per second", "1 per 7 nanoseconds burst 3",
	} {
		t.Run(text, func(t *testing.T) {
			var now time.Duration
			s := ratelimit.NewClockStore(10, func() time.Duration { return now })
			l := named(t, "r", 0, text)
			o, rnd := newOracle(l.Limit()), rand.New(rand.NewPCG(1, 2))
			interval := float64(l.Limit().Period) / float64(l.Limit().Count)
			for i := range 20_000 {
				n := rnd.Int64N(4)
				if rnd.IntN(10) == 0 {
					n = rnd.Int64N(l.Limit().Burst + 2)
				}
				got := apply(t, s, ratelimit.Op{Limit: l, Key: ratelimit.UserKey("a"), Cost: n})[0].Result
				require.Equal(t, o.take(int64(now), n), got, "step %d: cost %d at %v", i, n, now)
				if now += time.Duration(rnd.Float64() * interval * 3); rnd.IntN(3) == 0 {
					now += got.RetryAfter
				}
				if now > 150*365*24*time.Hour {
					break
				}
			}
		})
	}
}

// Promise 2: waiting one nanosecond less is refused.
func TestRetryAfterIsTheLeastWait(t *testing.T) {
	for _, text := range []string{"3 per second", "7 per 11 seconds burst 2", "100 per minute", "999983 per day"} {
		var now time.Duration
		s := ratelimit.NewClockStore(10, func() time.Duration { return now })
		op := ratelimit.Op{Limit: named(t, "r", 0, text), Key: ratelimit.UserKey("a"), Cost: 1}
		for apply(t, s, op)[0].Result.Allowed {
		}
		wait := apply(t, s, op)[0].Result.RetryAfter
		now += wait - 1
		assert.Equal(t, time.Duration(1), apply(t, s, op)[0].Result.RetryAfter, text)
		now++
		assert.True(t, apply(t, s, op)[0].Result.Allowed, text)
	}
}

// Promise 1: readings of the clock in any order mint nothing.
func TestClockReadingsOutOfOrder(t *testing.T) {
	var now time.Duration
	s := ratelimit.NewClockStore(10, func() time.Duration { return now })
	op := ratelimit.Op{Limit: named(t, "r", 0, "10 per second burst 20"), Key: ratelimit.UserKey("a"), Cost: 1}
	admitted := 0
	for i := range 1000 {
		now = time.Hour + time.Duration(i%2)*time.Second
		if r := apply(t, s, op)[0].Result; r.Allowed {
			admitted++
		} else {
			require.LessOrEqual(t, r.RetryAfter, 100*time.Millisecond, "a clock that steps back locks nobody out")
		}
	}
	assert.Equal(t, 21, admitted, "the burst, and the one token of the first reading back")
}

// Promise 1: n goroutines admit exactly what is due.
func TestGoroutinesAdmitExactlyTheBurst(t *testing.T) {
	s := ratelimit.NewClockStore(1000, func() time.Duration { return 0 })
	a, b := named(t, "r", 0, "1000 per hour"), named(t, "r", 1, "700 per hour")
	var wg sync.WaitGroup
	counts := make([]int, 8)
	for g := range counts {
		wg.Go(func() {
			for i := range 500 {
				ops := []ratelimit.Op{
					{Limit: a, Key: ratelimit.UserKey("a"), Cost: 1},
					{Limit: b, Key: ratelimit.UserKey(fmt.Sprint("b", i%2)), Cost: 1},
				}
				if g%2 == 0 {
					ops[0], ops[1] = ops[1], ops[0]
				}
				if apply(t, s, ops...); ops[0].Result.Allowed && ops[1].Result.Allowed {
					counts[g]++
				}
			}
		})
	}
	wg.Wait()
	total := 0
	for _, n := range counts {
		total += n
	}
	assert.Equal(t, 1000, total)
}

// Promise 3: a refusal charges nothing, whichever op refuses.
func TestAllOrNothing(t *testing.T) {
	s := ratelimit.NewClockStore(1000, func() time.Duration { return 0 })
	key := ratelimit.UserKey("a")
	small, large := named(t, "r", 0, "1 per hour"), named(t, "r", 1, "10 per hour")
	apply(t, s, ratelimit.Op{Limit: small, Key: key, Cost: 1})
	for _, order := range [][]*ratelimit.NamedLimit{{small, large}, {large, small}} {
		ops := apply(t, s, ratelimit.Op{Limit: order[0], Key: key, Cost: 1}, ratelimit.Op{Limit: order[1], Key: key, Cost: 1},
			ratelimit.Op{Kind: ratelimit.OpCredit, Limit: small, Key: key, Cost: 1})
		assert.False(t, ops[0].Result.Allowed && ops[1].Result.Allowed)
	}
	peek := apply(t, s, ratelimit.Op{Kind: ratelimit.OpPeek, Limit: large, Key: key, Cost: 1},
		ratelimit.Op{Kind: ratelimit.OpPeek, Limit: small, Key: key, Cost: 1})
	assert.Equal(t, int64(10), peek[0].Result.Remaining)
	assert.Equal(t, int64(0), peek[1].Result.Remaining)

	twice := apply(t, s, ratelimit.Op{Limit: large, Key: key, Cost: 6}, ratelimit.Op{Limit: large, Key: key, Cost: 6})
	assert.True(t, twice[0].Result.Allowed)
	assert.False(t, twice[1].Result.Allowed, "one bucket twice in a batch is charged for both")
	assert.Equal(t, int64(10), twice[0].Result.Remaining)
}

// Promise 4.
func TestCostAboveTheBucketIsNever(t *testing.T) {
	s := ratelimit.NewClockStore(1000, func() time.Duration { return 0 })
	for _, cost := range []int64{11, 153_722_868, math.MaxInt64} {
		got := apply(t, s, ratelimit.Op{Limit: named(t, "r", 0, "10 per minute"), Key: ratelimit.UserKey("a"), Cost: cost})[0].Result
		assert.Equal(t, ratelimit.Result{Never: true, Remaining: 10}, got)
	}
}

func TestCreditResetAndInvalidOps(t *testing.T) {
	s := ratelimit.NewClockStore(1000, func() time.Duration { return 0 })
	l, key := named(t, "r", 0, "10 per minute"), ratelimit.UserKey("a")
	op := func(kind ratelimit.OpKind, cost int64) int64 {
		return apply(t, s, ratelimit.Op{Kind: kind, Limit: l, Key: key, Cost: cost})[0].Result.Remaining
	}
	assert.Equal(t, int64(10), op(ratelimit.OpCredit, math.MaxInt64), "of an unknown key")
	assert.Equal(t, int64(3), op(ratelimit.OpTake, 7))
	assert.Equal(t, int64(5), op(ratelimit.OpCredit, 2))
	assert.Equal(t, int64(5), op(ratelimit.OpPeek, 100))
	assert.Equal(t, int64(5), op(ratelimit.OpTake, 0))
	assert.Equal(t, int64(10), op(ratelimit.OpCredit, math.MaxInt64), "never above the burst")
	op(ratelimit.OpTake, 10)
	assert.Equal(t, int64(10), op(ratelimit.OpReset, 0))

	for name, bad := range map[string]ratelimit.Op{
		"no limit": {Key: key}, "no key": {Limit: l}, "negative cost": {Limit: l, Key: key, Cost: -1}, "unknown kind": {Limit: l, Key: key, Kind: 9},
	} {
		err := s.Apply(context.Background(), []ratelimit.Op{{Limit: l, Key: key, Cost: 1}, bad})
		require.ErrorIs(t, err, ratelimit.ErrInvalidOp, name)
		assert.Equal(t, int64(10), op(ratelimit.OpPeek, 1), name)
	}
	require.NoError(t, s.Apply(context.Background(), nil))
}

// Promise 5: a spent key stays refused through ten times as many keys as there is room for.
func TestFloodForgivesNobody(t *testing.T) {
	var now time.Duration
	s := ratelimit.NewClockStore(2000, func() time.Duration { return now })
	l := named(t, "r", 0, "5 per hour")
	victim := ratelimit.Op{Limit: l, Key: ratelimit.UserKey("spent"), Cost: 5}
	require.True(t, apply(t, s, victim)[0].Result.Allowed)
	overflowed, admitted := 0, 0
	for i := range 20_000 {
		r := apply(t, s, ratelimit.Op{Limit: l, Key: ratelimit.UserKey(fmt.Sprint(i)), Cost: 1})[0].Result
		if r.Overflow {
			if overflowed++; r.Allowed {
				admitted++
			}
		}
		require.LessOrEqual(t, s.Stats().Keys, 2000)
	}
	assert.False(t, apply(t, s, victim)[0].Result.Allowed)
	assert.Equal(t, 18_001, overflowed, "every key beyond the bound")
	assert.Equal(t, 5, admitted, "they share one bucket")
	assert.Equal(t, ratelimit.MemoryStats{Keys: 2000, MaxKeys: 2000, Overflowed: 18_001}, s.Stats())

	now += 2 * time.Hour
	for i := range 4000 {
		r := apply(t, s, ratelimit.Op{Limit: l, Key: ratelimit.UserKey(fmt.Sprint("new", i)), Cost: 1})[0].Result
		require.Equal(t, r.Overflow, s.Stats().Overflowed > 18_001)
		if i < 1500 {
			require.False(t, r.Overflow, "full buckets make room: %d", i)
		}
	}
}

// Promise 6.
func TestChangedLimitKeepsWhatWasSpent(t *testing.T) {
	var now time.Duration
	s := ratelimit.NewClockStore(1000, func() time.Duration { return now })
	key := ratelimit.UserKey("a")
	take := func(text string, cost int64) ratelimit.Result {
		return apply(t, s, ratelimit.Op{Limit: named(t, "r", 0, text), Key: key, Cost: cost})[0].Result
	}
	assert.Equal(t, int64(20), take("100 per minute", 80).Remaining)
	assert.Equal(t, int64(920), take("1000 per minute", 0).Remaining, "raised")
	assert.Equal(t, int64(0), take("50 per hour", 1).Remaining, "lowered below what was spent")
	wait := take("50 per hour", 1).RetryAfter
	now += wait - 1
	assert.False(t, take("50 per hour", 1).Allowed)
	now++
	assert.True(t, take("50 per hour", 1).Allowed)
	assert.Equal(t, 50*72*time.Second, take("50 per hour", 1).ResetAfter, "paid back at the new rate from then on")
}

// Promise 16: a store in a bubble of fake time, without goroutines.
func TestMemoryStoreInFakeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := ratelimit.NewMemoryStore(ratelimit.MemoryConfig{})
		op := ratelimit.Op{Limit: named(t, "r", 0, "2 per minute"), Key: ratelimit.UserKey("a"), Cost: 2}
		require.True(t, apply(t, s, op)[0].Result.Allowed)
		require.Equal(t, time.Minute, apply(t, s, op)[0].Result.RetryAfter)
		time.Sleep(time.Minute)
		require.True(t, apply(t, s, op)[0].Result.Allowed)
	})
	assert.Panics(t, func() { ratelimit.NewMemoryStore(ratelimit.MemoryConfig{MaxKeys: -1}) })
	assert.Equal(t, ratelimit.DefaultMaxKeys, ratelimit.NewMemoryStore(ratelimit.MemoryConfig{}).Stats().MaxKeys)
}

func TestMemoryStoreAllocatesNothing(t *testing.T) {
	s := ratelimit.NewMemoryStore(ratelimit.MemoryConfig{})
	l, m := named(t, "r", 0, "1_000_000 per second"), named(t, "r", 1, "50_000_000 per minute")
	one := []ratelimit.Op{{Limit: l, Key: ratelimit.UserKey("a"), Cost: 1}}
	two := []ratelimit.Op{{Limit: l, Key: ratelimit.UserKey("a"), Cost: 1}, {Limit: m, Key: ratelimit.UserKey("b"), Cost: 1}}
	assert.Zero(t, testing.AllocsPerRun(1000, func() { _ = s.Apply(context.Background(), one) }))
	if !raceEnabled { // make cover runs this without the detector
		assert.Zero(t, testing.AllocsPerRun(1000, func() { _ = s.Apply(context.Background(), two) }))
	}
}

// Making room for one op of a batch may drop the full bucket of another. That one is
// then as good as new, not without room.
func TestSweepWithinABatch(t *testing.T) {
	var now time.Duration
	s := ratelimit.NewClockStore(8, func() time.Duration { return now })
	l := named(t, "r", 0, "3 per second")
	op := func(user string) ratelimit.Op {
		return ratelimit.Op{Limit: l, Key: ratelimit.UserKey(user), Cost: 1}
	}
	for i := range 50 {
		apply(t, s, op("old"))
		now += time.Minute
		for _, o := range apply(t, s, op("old"), op(fmt.Sprint(i)), op(fmt.Sprint("x", i))) {
			require.Equal(t, ratelimit.Result{Allowed: true, Remaining: 2, ResetAfter: 333333334}, o.Result)
		}
	}
}

// Slots are looked at without a lock while others fill, move and free them: for the race detector.
func TestSlotsChangeWhileOthersLook(t *testing.T) {
	s := ratelimit.NewMemoryStore(ratelimit.MemoryConfig{MaxKeys: 64})
	limit := named(t, "r", 0, "1_000_000 per second burst 1") // full again in a microsecond
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 1))
			for range 5000 {
				op := ratelimit.Op{Limit: limit, Key: ratelimit.UserKey(fmt.Sprint(rng.IntN(200))), Cost: 1}
				assert.NoError(t, s.Apply(t.Context(), []ratelimit.Op{op}))
			}
		})
	}
	all.Wait()
	assert.LessOrEqual(t, s.Stats().Keys, 64)
}
