package redisstore

import (
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// The ticks of a limit are compared with rational numbers, and every number that the script
// is given must be one that a double holds exactly, with its sum with another.
func TestTicks(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	exact, coarse := 0, 0
	for exact < 10_000 || coarse < 1000 {
		l := ratelimit.Limit{
			Count:  1 + rnd.Int64N(1<<rnd.IntN(32)),
			Period: time.Duration(1 + rnd.Int64N(1<<rnd.IntN(62))),
			Burst:  1 + rnd.Int64N(1<<rnd.IntN(49)),
		}
		if _, err := ratelimit.NameLimit("r", 0, l); err != nil {
			continue
		}
		terms := termsOf(l)
		require.Positive(t, terms.num, "%v", l)
		require.Positive(t, terms.den, "%v", l)
		require.LessOrEqual(t, terms.den, int64(1)<<52)
		require.LessOrEqual(t, terms.fill(), int64(maxFill), "%v", l)
		want := new(big.Rat).Mul(big.NewRat(int64(l.Period), l.Count), big.NewRat(1, 1000))
		got := big.NewRat(terms.num, terms.den)
		if got.Cmp(want) == 0 {
			exact++
		} else {
			coarse++
			require.Positive(t, got.Cmp(want), "%v: a token takes less than it should", l)
			late := new(big.Rat).Sub(got, want)
			require.Negative(t, late.Quo(late, want).Cmp(big.NewRat(l.Burst, 1<<50)), "%v", l)
		}
		n := 1 + rnd.Int64N(l.Burst)
		require.Equal(t, l.Burst-n, terms.remaining(n*terms.num))
		if terms.num > 1 {
			require.Equal(t, l.Burst-n, terms.remaining(n*terms.num-1), "part of a token counts as none")
		}
		ns := new(big.Rat).Mul(got, big.NewRat(1000*n, 1))
		d := big.NewRat(int64(terms.duration(n*terms.num)), 1)
		assert.True(t, d.Cmp(ns) >= 0 && d.Sub(d, ns).Cmp(big.NewRat(1, 1)) < 0, "%v: %d tokens take %v", l, n, terms.duration(n*terms.num))
	}
}

// What is said to be exact is.
func TestTicksOfUsualLimits(t *testing.T) {
	for _, text := range []string{
		"1 per year", "3 per 7 years", "100 per minute", "7 per 3 seconds", "1_000_000 per second", "999_983 per second", "1_000_003 per hour",
		"50_021 per day", "10_000_000_000 per day", "5 per minute burst 1_000_000", "86_399 per hour burst 1",
	} {
		l := ratelimit.MustParse(text)[0]
		named, err := ratelimit.NameLimit("r", 0, l)
		require.NoError(t, err)
		terms := termsOf(named.Limit())
		want := new(big.Rat).Mul(big.NewRat(int64(l.Period), l.Count), big.NewRat(1, 1000))
		assert.Zero(t, big.NewRat(terms.num, terms.den).Cmp(want), "%s: %v", text, terms)
	}
}
