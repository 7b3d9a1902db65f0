package outbound

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/ratelimit-go/ratelimit/internal/told"
)

// A request that waits for a sliding window looks again when it may go on, and not before: it would
// look a million times a second. The server told a reset more than a window away.
func TestSlidingWindowThatHasNotBegun(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	q := newQuota(told.Quota{Requests: true, Limit: 20, Window: 10 * time.Second})
	q.shape, q.known, q.prev, q.count = sliding, true, 4, 15.000001
	q.reset = now.Add(12 * time.Second)
	next := q.next(now, 0, 0)
	assert.Greater(t, next, now.Add(2*time.Second))
	assert.Less(t, next, now.Add(2*time.Second+time.Millisecond))
	assert.False(t, q.next(next, 0, 0).After(next))
}

// What a large limit showed about other clients does not lock a client under a small one.
func TestEachFitsIntoTheLimit(t *testing.T) {
	for limit, want := range map[float64]float64{-1: 1, 0: 1, 1: 1, 2: 1.1, 20: 2, 1000: 51, 1e15: 60} {
		q := &quota{limit: limit, sharing: sharing{cost: 60}}
		assert.InDelta(t, want, q.each(), 1e-9, "limit %v", limit)
	}
}
