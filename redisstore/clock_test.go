package redisstore_test

import (
	"context"
	"fmt"
	"math/big"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/testsize"
	"github.com/ratelimit-go/ratelimit/redisstore"
	"github.com/ratelimit-go/ratelimit/redisstore/internal/redistest"
	"github.com/ratelimit-go/ratelimit/store"
	"github.com/ratelimit-go/ratelimit/storetest"
)

// manual is a client whose scripts read a clock that only the test moves. Their keys do not expire,
// because the server would let them expire by its own clock.
type manual struct {
	client *redis.Client
	us     int64
}

const manualClock = `local redis = setmetatable({call = function(name, ...)
  if name == 'TIME' then return {'%d', '%d'} end
  return redis.call(name, ...)
end, pcall = function(name, key, value)
  if value then return redis.pcall(name, key, value) end
  return redis.pcall(name, key)
end}, {__index = redis})
`

func (m *manual) RunScript(ctx context.Context, script *redisstore.Script, keys []string, arg []byte) (string, error) {
	text := fmt.Sprintf(manualClock, m.us/1e6, m.us%1e6) + script.Text()
	return m.client.Eval(ctx, text, keys, arg).Text()
}

func (m *manual) step(d time.Duration) { m.us += d.Microseconds() }

func newManual(t *testing.T, client *redis.Client) (*manual, *redisstore.Store) {
	m := &manual{client: client, us: time.Now().UnixMicro()}
	s, err := redisstore.NewWith(m, redisstore.Config{})
	require.NoError(t, err)
	return m, s
}

func apply(t *testing.T, s store.Store, kind store.Kind, l *store.Limit, cost int64) store.Result {
	t.Helper()
	op := take(l, "a", cost)
	op[0].Kind = kind
	require.NoError(t, s.Apply(t.Context(), op))
	return op[0].Result
}

// A clock that swings makes no tokens: the bucket waits until the clock is where it was.
func TestSwingingClockMakesNoTokens(t *testing.T) {
	for _, swing := range []time.Duration{time.Millisecond, 200 * time.Millisecond, 2 * time.Second, 10 * time.Second} {
		t.Run(swing.String(), func(t *testing.T) {
			clock, s := newManual(t, redistest.Start(t).Client())
			l := limit(t, "r", 0, "10 per minute burst 11") // the last one ahead
			allowed := 0
			for range testsize.Of(1000, 300) {
				for _, d := range []time.Duration{swing, -swing} {
					clock.step(d)
					if apply(t, s, store.Take, l, 1).Allowed {
						allowed++
					}
				}
			}
			assert.Equal(t, 11, allowed)
		})
	}
}

// While the clock is behind, a client can take what was left. It is told to wait until the clock is
// where it was, and one token longer, which comes true.
func TestClockBehind(t *testing.T) {
	clock, s := newManual(t, redistest.Start(t).Client())
	l := limit(t, "r", 0, "10 per minute")
	require.True(t, apply(t, s, store.Take, l, 8).Allowed)
	clock.step(-5 * time.Second)
	require.True(t, apply(t, s, store.Take, l, 2).Allowed)
	r := apply(t, s, store.Take, l, 1)
	require.Equal(t, store.Result{RetryAfter: 11 * time.Second, ResetAfter: time.Minute}, r)
	clock.step(r.RetryAfter - time.Microsecond)
	require.False(t, apply(t, s, store.Take, l, 1).Allowed)
	clock.step(time.Microsecond)
	require.True(t, apply(t, s, store.Take, l, 1).Allowed)
}

// A clock that is corrected by more than ten seconds locks no client out: what is owed stays owed,
// and is paid back from the correction on. Even a denial notes the correction.
func TestCorrectedClockLocksNoKeyOut(t *testing.T) {
	for _, back := range []time.Duration{10*time.Second + time.Microsecond, time.Minute, time.Hour, 10 * 365 * 24 * time.Hour} {
		t.Run(back.String(), func(t *testing.T) {
			clock, s := newManual(t, redistest.Start(t).Client())
			l := limit(t, "r", 0, "10 per minute")
			require.True(t, apply(t, s, store.Take, l, 10).Allowed)
			clock.step(-back)
			r := apply(t, s, store.Take, l, 1)
			require.Equal(t, store.Result{RetryAfter: 6 * time.Second, ResetAfter: time.Minute}, r)
			clock.step(6 * time.Second)
			require.True(t, apply(t, s, store.Take, l, 1).Allowed)
			require.False(t, apply(t, s, store.Take, l, 1).Allowed)
		})
	}
}

// Versions of a limit, on a clock that swings, allow at most what the largest burst and the fastest
// rate allow, by the latest reading of the clock since the bucket was full. A full bucket is not
// kept, so it does not know how late it has been. The oracle counts in rational numbers.
func TestVersionsOnASwingingClock(t *testing.T) {
	client := redistest.Start(t).Client()
	for seed := range uint64(testsize.Of(10, 5)) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		client.FlushAll(t.Context())
		clock, s := newManual(t, client)
		var limits []*store.Limit
		burst, rate := int64(0), new(big.Rat)
		for range 2 + rnd.IntN(3) {
			count, period := 1+rnd.Int64N(50), time.Duration(1+rnd.Int64N(1<<(30+rnd.IntN(16))))
			l, err := store.NewLimit("r", 0, count, period, 1+rnd.Int64N(1<<rnd.IntN(10)))
			require.NoError(t, err)
			limits, burst = append(limits, l), max(burst, l.Burst())
			if r := big.NewRat(count, int64(period)); r.Cmp(rate) > 0 {
				rate = r
			}
		}
		debt, latest, highest := new(big.Rat), clock.us, clock.us
		for step := range 400 {
			l := limits[rnd.IntN(len(limits))]
			switch rnd.IntN(4) {
			case 0:
				clock.step(time.Duration(rnd.Int64N(int64(l.Period())/l.Count() + 1)))
			case 1:
				if clock.us > highest-9_000_000 {
					clock.step(-time.Duration(rnd.Int64N(1e9)))
				}
			}
			highest = max(highest, clock.us)
			if paid := new(big.Rat).Mul(rate, big.NewRat(1000*(clock.us-latest), 1)); paid.Sign() > 0 {
				if debt.Sub(debt, paid); debt.Sign() < 0 {
					debt.SetInt64(0)
				}
			}
			if clock.us > latest || debt.Sign() == 0 {
				latest = clock.us
			}
			cost := rnd.Int64N(l.Burst() + 1)
			if apply(t, s, store.Kind(rnd.IntN(2)), l, 0); apply(t, s, store.Take, l, cost).Allowed {
				debt.Add(debt, big.NewRat(cost, 1))
			}
			over := new(big.Rat).Sub(debt, big.NewRat(burst, 1))
			require.LessOrEqual(t, over.Cmp(big.NewRat(1, 10_000)), 0, "seed %d, step %d: %s", seed, step, over.FloatString(9))
		}
	}
}

// A lower limit is told a wait that comes true: the key expires when the bucket is full under the
// limit that was charged.
func TestWaitUnderALowerLimit(t *testing.T) {
	client := redistest.Start(t).Client()
	s := newStore(t, client, redisstore.Config{})
	require.True(t, apply(t, s, store.Take, limit(t, "r", 0, "1000 per hour"), 1000).Allowed)
	low := limit(t, "r", 0, "10 per hour")
	for _, kind := range []store.Kind{store.Take, store.Peek} {
		r := apply(t, s, kind, low, 1)
		assert.False(t, r.Allowed)
		assert.Zero(t, r.Remaining)
		assert.InDelta(t, time.Hour, r.RetryAfter, float64(10*time.Second))
		assert.InDelta(t, time.Hour, r.ResetAfter, float64(10*time.Second))
	}
}

// Text that cannot be read is an empty bucket, under each limit of a rule, and never a full one.
func TestJunkIsNeverFull(t *testing.T) {
	server := redistest.Start(t)
	now := fmt.Sprint(time.Now().UnixMicro())
	for _, junk := range []string{
		"-" + now[1:] + "1", "+" + now[1:] + "1", "." + now[1:] + "1", now[:15] + ".1", now + ".1", now + ".", now + "..1",
		now + "-1", now + "-0", now + "+1", now + "0", now + "000", now + "0.0", now + "1.2.3", now + "1e5", now + "1:5",
		now + "0x1", "0x" + now[2:] + "1", "0X" + now[2:] + "1", now[:12] + "e100" + "1", now + "inf", now + "nan", now + "5.x",
		now, now[:10], "1", "17", "-1", "00", "0.0", "-0", "0x", ".", "+", "-", " ", "\t0", "0\n", " " + now + "1", now + "1\n",
		strings.Repeat("0", 17), strings.Repeat("0", 16) + "1", strings.Repeat("0", 40), "0" + now[1:] + "1",
		strings.Repeat("9", 400), now + strings.Repeat("9", 400), strings.Repeat("\x00", 17), strings.Repeat("x", 1<<20),
		"nil", "nan", "inf", "{}", "\xff\xfe", "v2 " + now + "1",
		strings.Repeat("\xff", 11), strings.Repeat("\x96", 13), "\x86" + strings.Repeat("\x00", 11), "\x80" + strings.Repeat("\x01", 11),
		strings.Repeat("\x86", 12) + "1", "\x7f" + strings.Repeat("\x86", 11), "\x86",
	} {
		for _, place := range []int{0, 1} {
			r := newRule(t, server, "2 per hour", "2 per day")
			r.op(store.Take, 1, 0, 1)
			key, state := r.key(), junk
			if place == 1 {
				state = "0 " + junk
			}
			for _, indexes := range [][]int{{0, 1}, {1, 0}, {place}} {
				require.NoError(t, r.client.Set(t.Context(), key, state, time.Hour).Err())
				left := r.op(store.Peek, 0, indexes...)
				for i, index := range indexes {
					if index == place {
						assert.Zero(t, left[i], "%.60q as limit %d of %v", state, index, indexes)
					}
				}
			}
		}
	}
}

// The part of a token that one limit has left is that part under any other.
func TestPartOfATokenUnderAnotherLimit(t *testing.T) {
	clock, s := newManual(t, redistest.Start(t).Client())
	day, minute := limit(t, "r", 0, "10 per day"), limit(t, "r", 0, "10 per minute")
	require.True(t, apply(t, s, store.Take, day, 4).Allowed)
	clock.step(36 * time.Minute) // a quarter of a token
	require.True(t, apply(t, s, store.Take, day, 1).Allowed)
	assert.Equal(t, 28_500*time.Millisecond, apply(t, s, store.Peek, minute, 1).ResetAfter, "4.75 tokens of 6 s")
	assert.Equal(t, 684*time.Minute, apply(t, s, store.Peek, day, 1).ResetAfter, "4.75 tokens of 144 min")
}

// A rule with limits of any indexes, in any order and with any left out, agrees with rational
// numbers.
func TestIndexesWithGapsAreExact(t *testing.T) {
	clock, s := newManual(t, redistest.Start(t).Client())
	exact := storetest.NewExact(func() time.Time { return time.UnixMicro(clock.us) })
	limits := []*store.Limit{
		limit(t, "r", 0, "1000 per day"), limit(t, "r", 3, "100 per minute"), limit(t, "r", 1, "7 per 3 seconds burst 9"),
		limit(t, "r", 7, "30 per hour"),
	}
	rnd := rand.New(rand.NewPCG(1, 5))
	for step := range testsize.Of(3000, 1000) {
		clock.step(time.Duration(rnd.Int64N(1 << rnd.IntN(41))))
		var ops []store.Op
		for _, i := range rnd.Perm(len(limits))[:1+rnd.IntN(len(limits))] {
			op := take(limits[i], "a", 1+rnd.Int64N(5))[0]
			op.Kind = [...]store.Kind{store.Take, store.Take, store.Take, store.Peek, store.Refund, store.TakeUpTo}[rnd.IntN(6)]
			ops = append(ops, op)
		}
		want := slices.Clone(ops)
		require.NoError(t, exact.Apply(t.Context(), want))
		require.NoError(t, s.Apply(t.Context(), ops))
		require.Equal(t, want, ops, "step %d", step)
	}
}

// Under each limit, parts of tokens are kept exactly, in words of 12 bytes or in longer ones.
func TestPartsOfTokensAreExact(t *testing.T) {
	clock, s := newManual(t, redistest.Start(t).Client())
	for _, text := range []string{
		"1 per year", "1 per year burst 3", "3 per 7 years", "100 per minute", "7 per 3 seconds", "1_000_000 per second",
		"50_000 per day", "10_000_000_000 per day", "5 per minute burst 1_000_000", "86_399 per hour burst 1", "1 per 100 ms burst 70_000",
	} {
		l := limit(t, "r", 0, text)
		clock.us = time.Now().UnixMicro()
		if text == "7 per 3 seconds" {
			clock.us = 1<<52 - 1 // in 2112, when the instant has no room in 12 bytes any more
		}
		exact := storetest.NewExact(func() time.Time { return time.UnixMicro(clock.us) })
		rnd := rand.New(rand.NewPCG(1, 6))
		token := int64(l.Period()) / l.Count()
		for step := range testsize.Of(500, 150) {
			clock.step(time.Duration(rnd.Int64N(1 << rnd.IntN(1+bits.Len64(uint64(2*token+2000))))))
			op := take(l, text, 1+rnd.Int64N(1<<rnd.IntN(1+bits.Len64(uint64(l.Burst())))))[0]
			op.Kind = [...]store.Kind{store.TakeUpTo, store.Take, store.Refund, store.Peek}[rnd.IntN(4)]
			want := []store.Op{op}
			require.NoError(t, exact.Apply(t.Context(), want))
			got := []store.Op{op}
			require.NoError(t, s.Apply(t.Context(), got))
			require.Equal(t, want, got, "%s, step %d", text, step)
		}
	}
}
