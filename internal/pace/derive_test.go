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
)

func rate(l pace.Limit) *big.Rat { return big.NewRat(l.Count, int64(l.Period)) }

func TestShare(t *testing.T) {
	for _, row := range []struct {
		name  string
		limit pace.Limit
		n     int64
		want  pace.Limit
	}{
		{"of one", pace.Limit{Count: 100, Period: time.Minute}, 1, pace.Limit{Count: 100, Period: time.Minute}},
		{"of none", pace.Limit{Count: 100, Period: time.Minute}, 0, pace.Limit{Count: 100, Period: time.Minute}},
		{"the count", pace.Limit{Count: 100, Period: time.Minute}, 4, pace.Limit{Count: 25, Period: time.Minute, Burst: 25}},
		{"the period", pace.Limit{Count: 5, Period: time.Minute}, 3, pace.Limit{Count: 5, Period: 3 * time.Minute, Burst: 1}},
		{"a burst", pace.Limit{Count: 5, Period: time.Minute, Burst: 20}, 3, pace.Limit{Count: 5, Period: 3 * time.Minute, Burst: 6}},
		{"at least one token", pace.Limit{Count: 5, Period: time.Minute}, 100, pace.Limit{Count: 5, Period: 100 * time.Minute, Burst: 1}},
		{"the slowest", pace.Limit{Count: 1, Period: year}, 101, pace.Limit{Count: 1, Period: pace.MaxFill}},
		{"rounded down", pace.Limit{Count: 7, Period: 100 * year}, 3, pace.Limit{Count: 2, Period: 100 * year, Burst: 2}},
	} {
		assert.Equal(t, row.want, row.limit.Share(row.n), row.name)
	}
}

func TestSharesAddUpToAtMostTheLimit(t *testing.T) {
	for _, l := range limits {
		for _, n := range []int64{2, 3, 7, 100, 65_537} {
			part := l.Share(n)
			require.NoError(t, pace.Check(part.Count, part.Period, part.Burst), "%v/%d", l, n)
			if part == (pace.Limit{Count: 1, Period: pace.MaxFill}) {
				continue
			}
			all := new(big.Rat).Mul(rate(part), whole(n))
			require.LessOrEqual(t, all.Cmp(rate(l)), 0, "%v/%d", l, n)
			require.Equal(t, max(l.Full()/n, 1), part.Full(), "%v/%d", l, n)
		}
	}
}

// The extra tokens are what flows in meanwhile, rounded down.
func TestExtendHoldsWhatFlowsIn(t *testing.T) {
	for _, l := range limits {
		for _, d := range []time.Duration{1, time.Millisecond, time.Second, time.Hour, 30 * 24 * time.Hour} {
			larger, extra := l.Extend(d)
			want := new(big.Rat).Mul(rate(l), whole(int64(d)))
			in := new(big.Int).Div(want.Num(), want.Denom())
			fits := in.IsInt64() && in.Int64() <= math.MaxInt64-l.Full() &&
				pace.Check(l.Count, l.Period, l.Full()+in.Int64()) == nil
			if !fits || in.Sign() == 0 && larger == l {
				assert.Equal(t, l, larger, "%v for %v", l, d)
				assert.Zero(t, extra)
				continue
			}
			assert.Equal(t, in.Int64(), extra, "%v for %v", l, d)
			assert.Equal(t, pace.Limit{Count: l.Count, Period: l.Period, Burst: l.Full() + extra}, larger)
		}
	}
}

func TestExtendLeavesTheLimitAsItIs(t *testing.T) {
	for _, row := range []struct {
		name  string
		limit pace.Limit
		d     time.Duration
	}{
		{"no time", pace.Limit{Count: 1, Period: time.Second}, 0},
		{"a negative time", pace.Limit{Count: 1, Period: time.Second}, -1},
		{"more tokens than a number holds", pace.Limit{Count: math.MaxUint32, Period: 1}, math.MaxInt64},
		{"a burst that would be too large", pace.Limit{Count: math.MaxUint32, Period: 1, Burst: math.MaxInt64}, time.Second},
		{"a bucket that would take too long to fill", pace.Limit{Count: 1, Period: 100 * year}, 100 * year},
	} {
		larger, extra := row.limit.Extend(row.d)
		assert.Equal(t, row.limit, larger, row.name)
		assert.Zero(t, extra, row.name)
	}
}

func TestNearestKeepsRatesThatHaveAUnit(t *testing.T) {
	for _, l := range []pace.Limit{
		{Count: 10, Period: time.Second},
		{Count: 100, Period: time.Minute},
		{Count: 7, Period: time.Hour},
		{Count: 7, Period: 24 * time.Hour},
		{Count: 5_000_000_000, Period: time.Second},
		{Count: 1, Period: 7 * time.Millisecond},
		{Count: 1, Period: 7},
		{Count: 1, Period: 13 * time.Microsecond},
	} {
		count, period := pace.Nearest(float64(l.Count) / l.Period.Seconds())
		assert.Equal(t, l, pace.Limit{Count: count, Period: period})
	}
}

// Other rates lose at most the digits after the ninth, or after the digits that fit into 31 years.
// They are never rounded up.
func TestNearestRoundsDown(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for range 10_000 {
		want := math.Exp(math.Log(1e-8) + rnd.Float64()*math.Log(1e17))
		count, period := pace.Nearest(want)
		require.NoError(t, pace.Check(count, period, 1), "%v", want)
		got := float64(count) / period.Seconds()
		require.LessOrEqual(t, got, want*(1+2e-12), "%v", want)
		lost := max(1e-8, 1e-9/want)
		require.GreaterOrEqual(t, got, want*(1-1.1*lost), "%v", want)
	}
}
