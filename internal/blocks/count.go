package blocks

import (
	"time"

	"github.com/ratelimit-go/ratelimit/internal/key"
	"github.com/ratelimit-go/ratelimit/store"
)

// Apply makes a store decide ops in place. decided reports whether their Results mean anything.
// shared reports whether they are of the store that all instances share, not of local memory.
type Apply func(ops []store.Op) (decided, shared bool)

// Count counts a violation of k, a key of the named rule. It returns for how long k is blocked now,
// or 0. If this call began the block, times is how often k was blocked, this time included.
// Otherwise times is 0. Call it only if b.Counts.
func (b *Buckets) Count(known *Known, rule string, k key.Key, apply Apply) (wait time.Duration, times int) {
	then := known.Asking()
	ops := b.Violate(nil, k)
	decided, shared := apply(ops)
	block, violations, repeats := Answers(ops)
	switch {
	case !decided, block.Overflow, violations.Overflow:
		return 0, 0 // no key in particular is to blame
	case !block.Allowed:
		return b.heard(known, rule, k, then, block, shared), 0
	case violations.Remaining > 0:
		return 0, 0
	}
	return b.begun(known, rule, k, b.Before(repeats.ResetAfter), apply)
}

// begun blocks a key that was blocked before times, unless another goroutine or instance has just
// done it.
func (b *Buckets) begun(
	known *Known, rule string, k key.Key, before int, apply Apply,
) (wait time.Duration, times int) {
	d, then := b.Length(before), known.Asking()
	ops := b.Punish(nil, k, d)
	decided, shared := apply(ops)
	switch block, _, _ := Answers(ops); {
	case !decided:
		return 0, 0
	case block.Overflow: // the room is gone
		return 0, 0
	case !block.Allowed:
		return b.heard(known, rule, k, then, block, shared), 0
	}
	known.Learn(b.ID(k), rule, then, d, before+1)
	return d, before + 1
}

// heard remembers the block that an answer tells of, and returns what is left of it.
func (b *Buckets) heard(
	known *Known, rule string, k key.Key, then Instant, block *store.Result, shared bool,
) time.Duration {
	if shared {
		known.Learn(b.ID(k), rule, then, block.RetryAfter, 0)
	}
	return block.RetryAfter
}
