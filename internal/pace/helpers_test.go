package pace_test

import (
	"math"
	"math/big"
	"math/rand/v2"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/pace"
)

const year = 365 * 24 * time.Hour

// limits go from one token per 100 years to several per nanosecond.
var limits = []pace.Limit{
	{Count: 1, Period: 100 * year},
	{Count: 1, Period: year, Burst: 7},
	{Count: 3, Period: 7 * year},
	{Count: 1, Period: 24 * time.Hour, Burst: 36_500},
	{Count: 999_983, Period: 24 * time.Hour},
	{Count: 999_983, Period: 24 * time.Hour, Burst: 17},
	{Count: 4_294_967_291, Period: year, Burst: 400_000_000_000},
	{Count: 100, Period: time.Minute},
	{Count: 7, Period: 3 * time.Second, Burst: 1_000_000},
	{Count: 3, Period: time.Second, Burst: 1},
	{Count: 1_000_000, Period: time.Second, Burst: 1_000_000_000},
	{Count: 4_294_967_291, Period: 4_294_967_279},
	{Count: 5_000_000_000, Period: time.Second},
	{Count: 3, Period: 7, Burst: 1000},
	{Count: math.MaxUint32, Period: 1},
	{Count: math.MaxUint32, Period: 1, Burst: math.MaxInt64},
}

func of(l pace.Limit) pace.Pace { return pace.Of(l.Count, l.Period) }

func whole(n int64) *big.Rat { return new(big.Rat).SetInt64(n) }

// length returns t at pace p in nanoseconds.
func length(p pace.Pace, t pace.Span) *big.Rat {
	return new(big.Rat).Add(whole(t.NS), big.NewRat(int64(t.Frac), int64(p.Count)))
}

// worth returns how many tokens flow in within that many nanoseconds at pace p.
func worth(p pace.Pace, ns *big.Rat) *big.Rat {
	return new(big.Rat).Mul(ns, big.NewRat(int64(p.Count), p.Period))
}

func floor(r *big.Rat) int64 { return new(big.Int).Div(r.Num(), r.Denom()).Int64() }

func ceil(r *big.Rat) int64 { return -floor(new(big.Rat).Neg(r)) }

// anySpan returns a span of at most max.
func anySpan(rnd *rand.Rand, p pace.Pace, most pace.Span) pace.Span {
	t := pace.Span{NS: rnd.Int64N(most.NS + 1), Frac: rnd.Uint32N(p.Count)}
	switch rnd.IntN(8) {
	case 0:
		return most
	case 1:
		return pace.Span{}
	case 2:
		t.NS = min(rnd.Int64N(3), most.NS)
	}
	return t.Least(most)
}
