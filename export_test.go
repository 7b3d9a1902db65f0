package ratelimit

import "github.com/ratelimit-go/ratelimit/internal/blocks"

// SetBlocksKnown makes n the number of blocks that l remembers.
func SetBlocksKnown(l *Limiter, n int) {
	l.known = blocks.NewKnown(n, l.cfg.Store != nil, l.monotonic())
}

// PermitsHeld returns how many requests of l are in flight, and of how many keys.
func (l *Limiter) PermitsHeld() (permits, keys int) { return l.inFlight.Held() }
