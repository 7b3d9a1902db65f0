package memory

import (
	"testing"
	"time"

	"github.com/ratelimit-go/ratelimit/store"
	"github.com/ratelimit-go/ratelimit/storetest"
)

// The store keeps its contract on a clock that is set back too, which the monotonic clock never is.
func TestConformance(t *testing.T) {
	now := time.Hour * 1000
	storetest.Run(t, storetest.Harness{
		New: func(testing.TB) store.Store {
			return New(DefaultMaxKeys, func() time.Duration { return now })
		},
		Advance: func(d time.Duration) { now += d },
		Rewind:  func(d time.Duration) { now -= d },
	})
}
