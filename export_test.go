package ratelimit

import (
	"github.com/ratelimit-go/ratelimit/internal/blocks"
	"github.com/ratelimit-go/ratelimit/internal/memory"
	"github.com/ratelimit-go/ratelimit/stats"
)

// SetBlocksKnown makes n the number of blocks that l remembers.
func SetBlocksKnown(l *Limiter, n int) {
	l.known = blocks.NewKnown(n, l.cfg.Store != nil, memory.Since(l.cfg.Clock))
}

// PermitsHeld returns how many requests of l are in flight, and of how many keys.
func (l *Limiter) PermitsHeld() (permits, keys int) { return l.inFlight.Held() }

// Chosen returns how many limits the named rule of l remembers for LimitsFor, and its own count.
func (l *Limiter) Chosen(rule string) (remembered, counted int) {
	r := l.table.Load().byName.Find(rule)
	r.chosen.Range(func(any, any) bool { remembered++; return true })
	return remembered, int(r.nchosen.Load())
}

// Stats returns the counters of s.
func (s *MemoryStore) Stats() stats.Memory { return s.tables.Stats() }
