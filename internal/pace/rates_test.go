package pace_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/pace"
)

// A rate without a unit is nine digits over a power of ten nanoseconds, rounded down.
func TestNearestOfRatesWithoutAUnit(t *testing.T) {
	for _, test := range []struct {
		rate   float64
		count  int64
		period time.Duration
	}{
		{math.Pi, 314_159_265, 1e17},
		{math.E * 1e6, 271_828_182, 1e11},
		{math.Sqrt2 / 100, 14_142_135, 1e18},
	} {
		count, period := pace.Nearest(test.rate)
		assert.Equal(t, test.count, count, test.rate)
		assert.Equal(t, test.period, period, test.rate)
	}
}

func TestFromRate(t *testing.T) {
	l, err := pace.FromRate(5, 20)
	require.NoError(t, err)
	assert.Equal(t, pace.Limit{Count: 5, Period: time.Second, Burst: 20}, l)
	l, err = pace.FromRate(5, 5)
	require.NoError(t, err)
	assert.Equal(t, pace.Limit{Count: 5, Period: time.Second}, l, "a burst like the count needs no text")
	l, err = pace.FromRate(1, 2)
	require.NoError(t, err)
	assert.Equal(t, pace.Limit{Count: 1, Period: time.Second, Burst: 2}, l)
	l, err = pace.FromRate(0.1, 1)
	require.NoError(t, err)
	assert.Equal(t, pace.Limit{Count: 6, Period: time.Minute, Burst: 1}, l)

	for rate, text := range map[float64]string{0: "0", -1: "-1", math.NaN(): "NaN", math.Inf(-1): "-Inf"} {
		_, err = pace.FromRate(rate, 1)
		assert.EqualError(t, err, "rate "+text+": want a positive number of tokens per second")
	}
	for burst, text := range map[int64]string{0: "0", -1: "-1"} {
		_, err = pace.FromRate(1, burst)
		assert.EqualError(t, err, "burst "+text+": want at least 1")
	}
}

func TestStrict(t *testing.T) {
	for _, test := range []struct {
		n, burst int64
		want     pace.Limit
		ok       bool
	}{
		{1, 0, pace.Limit{Count: 1, Period: time.Minute}, true},
		{1, 1, pace.Limit{Count: 1, Period: time.Minute}, true},
		{1, 2, pace.Limit{Count: -1, Period: time.Minute, Burst: 2}, false},
		{2, 0, pace.Limit{Count: 1, Period: time.Minute, Burst: 1}, true},
		{5, 0, pace.Limit{Count: 2, Period: time.Minute, Burst: 3}, true},
		{5, 1, pace.Limit{Count: 4, Period: time.Minute, Burst: 1}, true},
		{5, 4, pace.Limit{Count: 1, Period: time.Minute, Burst: 4}, true},
		{5, 5, pace.Limit{Count: 0, Period: time.Minute, Burst: 5}, false},
	} {
		l, ok := pace.Strict(test.n, time.Minute, test.burst)
		assert.Equal(t, test.want, l, "%d, burst %d", test.n, test.burst)
		assert.Equal(t, test.ok, ok, "%d, burst %d", test.n, test.burst)
	}
}

// The tokens of 4.3 seconds at this rate are 2^64, more than a bucket holds.
func TestExtendByMoreThanABucketHolds(t *testing.T) {
	l := pace.Limit{Count: math.MaxUint32, Period: 1}
	larger, extra := l.Extend(1<<32 + 2)
	assert.Equal(t, l, larger)
	assert.Zero(t, extra)
}

// The products of this time and pace need 66 bits.
func TestTokensOfALongTime(t *testing.T) {
	p := pace.Of(13, 16)
	long := pace.Span{NS: (1<<65 - 6) / 13, Frac: 6} // 90 years
	assert.Equal(t, int64(1)<<61, p.Tokens(long))
	assert.Equal(t, long, p.TimeOf(1<<61))
	long.Frac--
	assert.Equal(t, int64(1)<<61-1, p.Tokens(long))
}
