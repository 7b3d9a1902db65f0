package ratelimit

import "time"

// NewClockStore returns a MemoryStore that reads clock in the place of the monotonic clock.
func NewClockStore(maxKeys int, clock func() time.Duration) *MemoryStore {
	s := NewMemoryStore(MemoryConfig{MaxKeys: maxKeys})
	s.clock = clock
	return s
}

// PermitsHeld returns how many permits are held, and by how many holders.
func (l *Limiter) PermitsHeld() (permits, holders int) {
	for i := range l.permits.shards {
		s := &l.permits.shards[i]
		s.mu.Lock()
		for _, n := range s.held {
			permits += n.held
			holders++
		}
		s.mu.Unlock()
	}
	return permits, holders
}

// BoundBlocks makes n the number of blocks that l remembers.
func BoundBlocks(l *Limiter, n int) { l.blocks = newBlocks(n, l.cfg.Store != nil) }

// An Adaptive is the arithmetic of an adaptive limit.
type Adaptive struct{ a adaptive }

func NewAdaptive(lower, upper int, target time.Duration) Adaptive {
	return Adaptive{newAdaptive(lower, upper, target)}
}

func (a Adaptive) Observe(began, now time.Duration, inFlight int) Adaptive {
	return Adaptive{a.a.observe(began, now, inFlight)}
}

func (a Adaptive) Limit() float64 { return a.a.limit }
