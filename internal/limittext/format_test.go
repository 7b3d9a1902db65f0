package limittext_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/limittext"
)

func TestFormat(t *testing.T) {
	for _, row := range []struct {
		limit limittext.Limit
		want  string
	}{
		{limittext.Limit{Count: 100, Period: time.Minute}, "100 per minute"},
		{limittext.Limit{Count: 10, Period: 2 * time.Hour}, "10 per 2 hours"},
		{limittext.Limit{Count: 100, Period: time.Minute, Burst: 20}, "100 per minute burst 20"},
		{limittext.Limit{Count: 100, Period: time.Minute, Burst: 100}, "100 per minute"},
		{limittext.Limit{Count: 1, Period: 3 * time.Second, Burst: 2}, "1 per 3 seconds burst 2"},
		{limittext.Limit{Count: 1, Period: 7 * time.Millisecond}, "1 per 7 milliseconds"},
		{limittext.Limit{Count: 1, Period: 13 * time.Microsecond}, "1 per 13 microseconds"},
		{limittext.Limit{Count: 1, Period: 7}, "1 per 7 nanoseconds"},
		{limittext.Limit{Count: 1, Period: 1}, "1 per nanosecond"},
		{limittext.Limit{Count: 5, Period: 90 * time.Second}, "5 per 90 seconds"},
		{limittext.Limit{Count: 5, Period: day}, "5 per day"},
		{limittext.Limit{Count: 5, Period: 14 * day}, "5 per 2 weeks"},
		{limittext.Limit{Count: 5, Period: 60 * day}, "5 per 2 months"},
		{limittext.Limit{Count: 5, Period: 364 * day}, "5 per 52 weeks"},
		{limittext.Limit{Count: 5, Period: 36500 * day}, "5 per 100 years"},
	} {
		t.Run(row.want, func(t *testing.T) {
			assert.Equal(t, row.want, limittext.Format(row.limit))
			limits, err := parse(row.want)
			require.Nil(t, err)
			require.Len(t, limits, 1)
			assert.Equal(t, row.limit.Count, limits[0].Count)
			assert.Equal(t, row.limit.Period, limits[0].Period)
			assert.Equal(t, row.limit.Full(), limits[0].Full())
		})
	}
}

// Every limit that the check allows has a text, and Parse reads the same limit from it.
func TestFormatAndParseAreInverse(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	units := []time.Duration{1, time.Microsecond, time.Millisecond, time.Second, time.Minute, time.Hour, day, 7 * day, 30 * day, 365 * day}
	// number returns a number of any length below 2^most.
	number := func(most int) int64 { return rnd.Int64N(1 << rnd.IntN(most)) }
	valid := 0
	for range 20_000 {
		want := limittext.Limit{Count: number(40), Burst: number(30), Period: time.Duration(number(20)) * units[rnd.IntN(len(units))]}
		if exact(want) != nil {
			continue
		}
		valid++
		text := limittext.Format(want)
		if want.Burst == want.Count { // the text leaves out this burst
			want.Burst = 0
		}
		limits, err := parse(text)
		require.Nil(t, err, text)
		require.Equal(t, []limittext.Limit{want}, limits, text)
		require.Equal(t, text, limittext.Format(limits[0]))
	}
	assert.Greater(t, valid, 5000)
}
