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

// The times of a limit are compared with rational numbers, and every number that the script
// is given must be one that a double holds exactly, with its sum with another.
func TestTimesAreExact(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	tried := 0
	for tried < 20000 {
		l := ratelimit.Limit{
			Count:  1 + rnd.Int64N(1<<rnd.IntN(32)),
			Period: time.Duration(1 + rnd.Int64N(1<<rnd.IntN(62))),
			Burst:  1 + rnd.Int64N(1<<rnd.IntN(40)),
		}
		if _, err := ratelimit.NameLimit("r", 0, l); err != nil {
			continue
		}
		tried++
		terms := termsOf(l)
		one := new(big.Rat).Mul(big.NewRat(int64(l.Period), l.Count), big.NewRat(1, 1000))
		require.Zero(t, one.Cmp(big.NewRat(terms.num, terms.den)), "%v", l)
		n := 1 + rnd.Int64N(l.Burst)
		cost := terms.timeOf(n)
		want := new(big.Rat).Mul(one, new(big.Rat).SetInt64(n))
		require.Zero(t, want.Cmp(terms.rat(cost)), "%v: %d tokens", l, n)
		require.Equal(t, n, terms.tokens(cost))
		for _, x := range []int64{terms.den, terms.fill.us, 2 * terms.fill.frac, 2 * terms.den} {
			require.Less(t, x, int64(1)<<53, "%v", l)
		}
		left := terms.minus(terms.fill, cost)
		require.Zero(t, new(big.Rat).Sub(terms.rat(terms.fill), want).Cmp(terms.rat(left)))
		require.Equal(t, terms.fill, terms.plus(left, cost))
		ns := new(big.Rat).Mul(want, big.NewRat(1000, 1))
		d := big.NewRat(int64(terms.duration(cost)), 1)
		assert.True(t, d.Cmp(ns) >= 0 && d.Sub(d, ns).Cmp(big.NewRat(1, 1)) < 0, "%v: %d tokens take %v", l, n, terms.duration(cost))
	}
}

func (p pace) rat(s span) *big.Rat {
	r := big.NewRat(s.frac, p.den)
	return r.Add(r, new(big.Rat).SetInt64(s.us))
}
