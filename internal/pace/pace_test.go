package pace_test

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/pace"
	"github.com/ratelimit-go/ratelimit/internal/testsize"
)

func TestPaceIsInLowestTerms(t *testing.T) {
	for _, row := range []struct {
		name   string
		count  int64
		period time.Duration
		want   pace.Pace
	}{
		{"a divisor", 100, time.Minute, pace.Pace{Count: 1, Period: 600_000_000}},
		{"no common divisor", 999_983, 24 * time.Hour, pace.Pace{Count: 999_983, Period: int64(24 * time.Hour)}},
		{"more than one per nanosecond", 5_000_000_000, time.Second, pace.Pace{Count: 5, Period: 1}},
		{"a large count", 3 << 61, 1 << 31, pace.Pace{Count: 3 << 30, Period: 1}},
	} {
		assert.Equal(t, row.want, pace.Of(row.count, row.period), row.name)
	}
}

// TestArithmeticIsExact compares all operations on spans with rational numbers.
func TestArithmeticIsExact(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, l := range limits {
		p := of(l)
		require.NoError(t, pace.Check(l.Count, l.Period, l.Burst))
		fill := p.TimeOf(l.Full())
		for range testsize.Of(500, 150) {
			requireExact(t, p, fill, rnd.Int64N(l.Full())+1, anySpan(rnd, p, fill), anySpan(rnd, p, fill))
		}
	}
}

// requireExact checks the operations on n tokens and on two spans, none of them longer than fill.
func requireExact(t *testing.T, p pace.Pace, fill pace.Span, n int64, a, b pace.Span) {
	t.Helper()
	exact := func(s pace.Span) *big.Rat {
		require.Less(t, s.Frac, p.Count, "%v at %v is not in its normal form", s, p)
		return length(p, s)
	}
	require.Equal(t, 0, worth(p, exact(p.TimeOf(n))).Cmp(whole(n)), "the time of %d at %v", n, p)
	require.Equal(t, n, p.Tokens(p.TimeOf(n)))
	require.Equal(t, floor(worth(p, exact(a))), p.Tokens(a), "tokens of %v at %v", a, p)
	require.Equal(t, 0, exact(p.Add(a, b)).Cmp(new(big.Rat).Add(exact(a), exact(b))), "%v + %v at %v", a, b, p)
	require.Equal(t, exact(a).Cmp(exact(b)) <= 0, a.AtMost(b), "%v at most %v", a, b)
	long, short := a, b
	if a.AtMost(b) {
		long, short = b, a
	}
	require.Equal(t, short, a.Least(b))
	require.Equal(t, 0, exact(p.Sub(long, short)).Cmp(new(big.Rat).Sub(exact(long), exact(short))), "%v - %v at %v", long, short, p)
	require.Equal(t, ceil(exact(a)), int64(a.Ceil()), "%v rounded up", a)
	require.True(t, a.AtMost(fill))
}

func TestFasterComparesRates(t *testing.T) {
	for _, a := range limits {
		for _, b := range limits {
			p, q := of(a), of(b)
			want := worth(p, whole(1)).Cmp(worth(q, whole(1))) > 0
			assert.Equal(t, want, p.Faster(q), "%v, %v", p, q)
		}
	}
	// Rates whose products have the same upper 64 bits.
	slow, fast := pace.Pace{Count: 3, Period: math.MaxInt64 - 1}, pace.Pace{Count: 3, Period: math.MaxInt64 - 2}
	assert.True(t, fast.Faster(slow))
	assert.False(t, slow.Faster(fast))
}

// A converted span is worth the same tokens, rounded up to the next fraction of a nanosecond.
func TestConvertKeepsTokens(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for _, a := range limits {
		for _, b := range limits {
			from, to := of(a), of(b)
			for range testsize.Of(20, 8) {
				// At most as many tokens as both buckets hold, so that the result fits.
				most := from.TimeOf(min(a.Full(), b.Full()))
				span := anySpan(rnd, from, most)
				got := pace.Convert(span, from, to)
				require.Less(t, got.Frac, to.Count)
				want := new(big.Rat).Quo(worth(from, length(from, span)), worth(to, whole(1)))
				over := new(big.Rat).Sub(length(to, got), want)
				require.GreaterOrEqual(t, over.Sign(), 0, "%v from %v to %v", span, from, to)
				require.Negative(t, over.Cmp(big.NewRat(1, int64(to.Count))), "%v from %v to %v", span, from, to)
			}
		}
	}
}

func TestZeroSpan(t *testing.T) {
	p := pace.Of(7, time.Second)
	assert.Zero(t, p.Tokens(pace.Span{}))
	assert.Zero(t, p.TimeOf(0))
	assert.Zero(t, pace.Span{}.Ceil())
	assert.Zero(t, pace.Convert(pace.Span{}, p, pace.Of(1, year)))
}

// FuzzArithmetic makes spans of the numbers of a limit and compares with rational numbers.
func FuzzArithmetic(f *testing.F) {
	for _, l := range limits {
		f.Add(l.Count, int64(l.Period), l.Burst, uint64(1), uint64(math.MaxUint64))
	}
	f.Fuzz(func(t *testing.T, count, period, burst int64, x, y uint64) {
		l := pace.Limit{Count: count, Period: time.Duration(period), Burst: burst}
		if pace.Check(l.Count, l.Period, l.Burst) != nil {
			t.Skip()
		}
		p := of(l)
		fill := p.TimeOf(l.Full())
		span := func(x uint64) pace.Span {
			s := pace.Span{NS: int64(x % uint64(fill.NS+1)), Frac: uint32(x>>32) % p.Count}
			return s.Least(fill)
		}
		requireExact(t, p, fill, int64(x%uint64(l.Full()))+1, span(x), span(y))
	})
}

// In a time of 2^64 thirds of a nanosecond the fraction carries into the upper half of 128 bits.
func TestTokensCarry(t *testing.T) {
	p := pace.Of(3, 7)
	assert.Equal(t, int64(2635249153387078802), p.Tokens(pace.Span{NS: 6148914691236517205, Frac: 1}))
	assert.Equal(t, int64(2635249153387078802), p.Tokens(pace.Span{NS: 6148914691236517205, Frac: 0}))
}
