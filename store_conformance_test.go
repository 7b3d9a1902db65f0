package ratelimit_test

import (
	"testing"
	"time"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/storetest"
)

// The memory store keeps its contract on a clock that is set back too, which the real one never is.
func TestMemoryStoreConforms(t *testing.T) {
	now := time.Hour * 1000
	storetest.Run(t, storetest.Harness{
		New: func(testing.TB) ratelimit.Store {
			return ratelimit.NewClockStore(0, func() time.Duration { return now })
		},
		Advance: func(d time.Duration) { now += d },
		Rewind:  func(d time.Duration) { now -= d },
	})
}
