package report

import (
	"context"
	"sync"
	"time"
)

// Clock returns clock, except that a panic of it is reported. Its time is then the time of the last
// reading, so that no time has passed. Clock returns nil for nil.
func (r *Reporter) Clock(clock func() time.Time) func() time.Time {
	if clock == nil {
		return nil
	}
	var mu sync.Mutex
	var last time.Time
	return func() (now time.Time) {
		r.Call(context.Background(), "Clock", func() error { now = clock(); return nil })
		mu.Lock()
		defer mu.Unlock()
		if now.IsZero() { // it panicked, or has no time yet
			return last
		}
		last = now
		return now
	}
}
