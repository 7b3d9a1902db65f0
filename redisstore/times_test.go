package redisstore

import (
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/testsize"
	"github.com/ratelimit-go/ratelimit/store"
)

// tokenTime returns the microseconds that a token of l takes.
func tokenTime(l *store.Limit) *big.Rat {
	return new(big.Rat).Mul(big.NewRat(int64(l.Period()), l.Count()), big.NewRat(1, 1000))
}

// Ticks agree with rational numbers. A double can hold every number that the script reads, and the
// sum of two.
func TestTicks(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	exact, coarse := 0, 0
	for exact < testsize.Of(10_000, 2000) || coarse < testsize.Of(1000, 200) {
		count, period := 1+rnd.Int64N(1<<rnd.IntN(32)), time.Duration(1+rnd.Int64N(1<<rnd.IntN(62)))
		l, err := store.NewLimit("r", 0, count, period, 1+rnd.Int64N(1<<rnd.IntN(49)))
		if err != nil {
			continue
		}
		terms := termsOf(l)
		require.Positive(t, terms.num, "%+v", l)
		require.Positive(t, terms.den, "%+v", l)
		require.LessOrEqual(t, terms.den, int64(1)<<52)
		require.LessOrEqual(t, terms.fill(), int64(maxFill), "%+v", l)
		want, got := tokenTime(l), big.NewRat(terms.num, terms.den)
		if got.Cmp(want) == 0 {
			exact++
		} else {
			coarse++
			require.Positive(t, got.Cmp(want), "%+v: a token takes less than it should", l)
			late := new(big.Rat).Sub(got, want)
			require.Negative(t, late.Quo(late, want).Cmp(big.NewRat(l.Burst(), 1<<50)), "%+v", l)
		}
		n := 1 + rnd.Int64N(l.Burst())
		require.Equal(t, l.Burst()-n, terms.remaining(n*terms.num))
		if terms.num > 1 {
			require.Equal(t, l.Burst()-n, terms.remaining(n*terms.num-1), "part of a token counts as none")
		}
		ns := new(big.Rat).Mul(got, big.NewRat(1000*n, 1))
		took := terms.duration(n * terms.num)
		d := big.NewRat(int64(took), 1)
		assert.True(t, d.Cmp(ns) >= 0 && d.Sub(d, ns).Cmp(big.NewRat(1, 1)) < 0, "%+v: %d tokens take %v", l, n, took)
	}
}

// The limits that the README calls exact are exact.
func TestTicksOfUsualLimitsAreExact(t *testing.T) {
	const day = 24 * time.Hour
	for _, row := range []struct {
		count  int64
		period time.Duration
		burst  int64
	}{
		{1, 365 * day, 0},
		{3, 7 * 365 * day, 0},
		{100, time.Minute, 0},
		{7, 3 * time.Second, 0},
		{1_000_000, time.Second, 0},
		{999_983, time.Second, 0},
		{1_000_003, time.Hour, 0},
		{50_021, day, 0},
		{10_000_000_000, day, 0},
		{5, time.Minute, 1_000_000},
		{86_399, time.Hour, 1},
	} {
		l, err := store.NewLimit("r", 0, row.count, row.period, row.burst)
		require.NoError(t, err)
		terms := termsOf(l)
		assert.Zero(t, big.NewRat(terms.num, terms.den).Cmp(tokenTime(l)), "%+v: %v", row, terms)
	}
}
