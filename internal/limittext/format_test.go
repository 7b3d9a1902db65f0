package limittext_test

import (
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
