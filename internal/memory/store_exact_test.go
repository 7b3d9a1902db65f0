package memory

import (
	"context"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/testsize"
	"github.com/ratelimit-go/ratelimit/store"
	"github.com/ratelimit-go/ratelimit/storetest"
)

// Every decision, remainder and wait is the answer of a bucket in rational numbers.
func TestBucketAgreesWithRationalNumbers(t *testing.T) {
	for _, tc := range []struct {
		name   string
		count  int64
		period time.Duration
		burst  int64
	}{
		{"1 per year", 1, year, 0},
		{"1 per day", 1, day, 0},
		{"7 per 3 seconds", 7, 3 * time.Second, 0},
		{"3 per second, burst 1", 3, time.Second, 1},
		{"100 per minute", 100, time.Minute, 0},
		{"999983 per day, burst 17", 999_983, day, 17},
		{"a million per second, burst 1000", 1_000_000, time.Second, 1000},
		{"5 billion per second", 5_000_000_000, time.Second, 0},
		{"1 per 7 nanoseconds, burst 3", 1, 7, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			l := newLimit(t, "r", 0, tc.count, tc.period, tc.burst)
			requireExact(t, l, rand.New(rand.NewPCG(1, 2)))
		})
	}
}

// requireExact compares random takes with a store in rational numbers.
func requireExact(t *testing.T, l *store.Limit, rnd *rand.Rand) {
	t.Helper()
	s, now := newStore(10)
	exact := storetest.NewExact(func() time.Time { return time.Unix(0, 0).Add(*now) })
	interval := float64(l.Period()) / float64(l.Count())
	for i := range testsize.Of(20_000, 2_000) {
		cost := rnd.Int64N(4)
		if rnd.IntN(10) == 0 {
			cost = rnd.Int64N(l.Burst() + 2)
		}
		got, want := []store.Op{take(l, user("a"), cost)}, []store.Op{take(l, user("a"), cost)}
		apply(t, s, got...)
		require.NoError(t, exact.Apply(context.Background(), want))
		if got[0].Result != want[0].Result {
			require.Equal(t, want[0].Result, got[0].Result, "step %d: cost %d at %v", i, cost, *now)
		}
		if *now += time.Duration(rnd.Float64() * interval * 3); rnd.IntN(3) == 0 {
			*now += got[0].Result.RetryAfter
		}
		if *now > 150*year {
			break
		}
	}
}

// Takes of one token, more often than tokens flow in, are allowed exactly floor(burst + rate*t)
// tokens. Under most of the limits a token does not take a whole number of nanoseconds.
func TestNoDriftInTenMillionDecisions(t *testing.T) {
	decisions := testsize.Of(10_000_000, 50_000)
	for _, tc := range []struct {
		name   string
		count  int64
		period time.Duration
		burst  int64
		step   time.Duration // at most, between decisions: less than a token takes, so that no bucket is ever full
	}{
		{"1 per day, burst 2", 1, day, 2, 25 * time.Minute},
		{"7 per second", 7, time.Second, 7, time.Second / 7},
		{"a million per second", 1_000_000, time.Second, 1_000_000, time.Microsecond},
		{"3 per 7 nanoseconds", 3, 7, 3, 2},
		{"999983 per day, burst 17", 999_983, day, 17, 86 * time.Millisecond},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel() // each limit has a store of its own, so the subtests share the processors
			allowed, elapsed := takeOften(t, newLimit(t, "r", 0, tc.count, tc.period, tc.burst), decisions, tc.step)
			due := new(big.Int).Mul(big.NewInt(int64(elapsed)), big.NewInt(tc.count))
			due.Div(due, big.NewInt(int64(tc.period))).Add(due, big.NewInt(tc.burst))
			assert.Equal(t, due.Int64(), allowed, "after %v", elapsed)
		})
	}
}

// takeOften empties a bucket and then takes single tokens at random intervals of at most step. It
// returns how many tokens were allowed, and how long it took on the store's clock.
func takeOften(t *testing.T, l *store.Limit, decisions int, step time.Duration) (allowed int64, elapsed time.Duration) {
	t.Helper()
	s, now := newStore(10)
	ops := []store.Op{take(l, user("a"), l.Burst())}
	apply(t, s, ops...)
	require.True(t, ops[0].Result.Allowed)
	allowed = l.Burst()
	ops[0].Cost = 1
	random := uint64(1)
	for range decisions {
		random = random*6364136223846793005 + 1442695040888963407 // Knuth's MMIX
		*now += time.Duration(random>>16) % (step + 1)
		if err := s.Apply(context.Background(), ops); err != nil {
			t.Fatal(err)
		}
		if ops[0].Result.Allowed {
			allowed++
		}
	}
	return allowed, *now
}
