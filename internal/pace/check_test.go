package pace_test

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/pace"
)

func TestCheckSaysWhatIsWrong(t *testing.T) {
	for _, row := range []struct {
		name   string
		limit  pace.Limit
		reason string
	}{
		{"the zero Limit", pace.Limit{}, "count 0: want at least 1"},
		{"a negative count", pace.Limit{Count: -1, Period: 1}, "count -1: want at least 1"},
		{"no period", pace.Limit{Count: 1}, "period 0s: want a positive time"},
		{"a negative period", pace.Limit{Count: 1, Period: -time.Second}, "period -1s: want a positive time"},
		{"a negative burst", pace.Limit{Count: 1, Period: 1, Burst: -1}, "burst -1: want at least 1, or 0 for the same as the count"},
		{
			"a period beyond 100 years",
			pace.Limit{Count: 1000, Period: math.MaxInt64, Burst: 1},
			"period 2562047h47m16.854775807s: want at most 100 years",
		},
		{
			"a burst beyond 100 years",
			pace.Limit{Count: 1, Period: 24 * time.Hour, Burst: 40_000},
			"a bucket of 40000 takes more than 100 years to fill: want a smaller burst",
		},
		{
			"the greatest burst",
			pace.Limit{Count: 1, Period: 24 * time.Hour, Burst: math.MaxInt64},
			"a bucket of 9223372036854775807 takes more than 100 years to fill: want a smaller burst",
		},
		{
			"too many digits",
			pace.Limit{Count: 4_294_967_311, Period: 24 * time.Hour},
			"4294967311 per 24h0m0s cannot be kept exactly: want a rounder number, such as 4294967310",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			require.EqualError(t, pace.Check(row.limit.Count, row.limit.Period, row.limit.Burst), row.reason)
		})
	}
}

func TestCheckAllowsTheExtremes(t *testing.T) {
	for _, l := range limits {
		assert.NoError(t, pace.Check(l.Count, l.Period, l.Burst), "%+v", l)
	}
	assert.NoError(t, pace.Check(1, pace.MaxFill, 1))
	assert.Error(t, pace.Check(1, pace.MaxFill, 2))
	assert.NoError(t, pace.Check(3<<61, 1<<31, 1))
}

// The rounder number keeps as many digits as possible, and is right.
func TestRounderNumber(t *testing.T) {
	for _, row := range []struct {
		count  int64
		period time.Duration
		want   int64
	}{
		{100_000_000_190_000, time.Hour, 100_000_000_100_000},
		{562_949_953_421_312, time.Second, 562_949_953_400_000},
		{5_000_000_001, time.Second, 5_000_000_000},
		{5_000_000_001, 7 * time.Millisecond, 5_000_000_000},
		{5_000_000_001, 7, math.MaxUint32},
		{math.MaxInt64 - 1, 1, math.MaxUint32},
		{math.MaxInt64, 7919, math.MaxUint32},
	} {
		err := pace.Check(row.count, row.period, 1)
		require.Error(t, err)
		_, text, found := strings.Cut(err.Error(), "cannot be kept exactly: want a rounder number, such as ")
		require.True(t, found, "%v", err)
		rounder, err := strconv.ParseInt(text, 10, 64)
		require.NoError(t, err)
		assert.Equal(t, row.want, rounder, "%d per %v", row.count, row.period)
		assert.NoError(t, pace.Check(rounder, row.period, 1), "%d per %v", row.count, row.period)
	}
}
