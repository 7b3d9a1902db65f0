package memory

import (
	"math"
	"sync/atomic"
	"time"
)

// Since returns the readings of clock as times since the first one, which Since takes. It returns
// nil for nil. A time between two readings that no Duration holds is taken for none: the clock had
// no time at first, such as a clock that returns the times of a log, before the first line.
func Since(clock func() time.Time) func() time.Duration {
	if clock == nil {
		return nil
	}
	var start atomic.Pointer[time.Time]
	first := clock()
	start.Store(&first)
	return func() time.Duration {
		now := clock()
		d := now.Sub(*start.Load())
		if d == math.MaxInt64 || d == math.MinInt64 {
			fresh := now // now itself would be allocated each time
			start.Store(&fresh)
			return 0
		}
		return d
	}
}
