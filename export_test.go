package ratelimit

import "time"

// NewClockStore returns a MemoryStore that reads clock in the place of the monotonic clock.
func NewClockStore(maxKeys int, clock func() time.Duration) *MemoryStore {
	s := NewMemoryStore(MemoryConfig{MaxKeys: maxKeys})
	s.clock = clock
	return s
}
