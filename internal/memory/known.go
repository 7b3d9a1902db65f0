package memory

import (
	"time"

	"github.com/ratelimit-go/ratelimit/store"
)

// MaxKnown is how many ops ApplyKnown decides at most.
const MaxKnown = 4

// ApplyKnown decides ops if the store holds all of their buckets. Otherwise it changes no bucket
// and returns false; then Apply decides. The ops must be 1 to MaxKnown valid ops, under different
// limits and with the same key.
//
// Nearly every request takes this way. Without it a decision on one limit takes twice as long
// (BenchmarkKnown). TestBothWaysAgree compares the two ways.
func (s *Store) ApplyKnown(ops []store.Op) bool {
	now, hash := s.now(), s.seed.Hash(&ops[0].Key)
	sh := s.shard(hash)
	known := true
	sh.mu.Lock() // no defer: nothing below can panic, and a defer costs a tenth of the whole
	if op := &ops[0]; len(ops) > 1 {
		known = sh.applyFew(ops, hash, now)
	} else if i := sh.index(op.Limit.ID(), &op.Key, hash); i >= 0 {
		sh.slots[i].Apply(op, sh.tick(now))
	} else {
		known = false
	}
	sh.mu.Unlock()
	return known
}

// simple reports whether ops are fit for ApplyKnown.
func simple(ops []store.Op) bool {
	if len(ops) == 0 || len(ops) > MaxKnown || !ops[0].Valid() {
		return false
	}
	for i := 1; i < len(ops); i++ {
		op := &ops[i]
		if !op.Valid() || op.Key != ops[0].Key {
			return false
		}
		for j := range i {
			if op.Limit.ID() == ops[j].Limit.ID() {
				return false
			}
		}
	}
	return true
}

// applyFew decides ops on copies of their buckets, and keeps the copies if no Take was denied.
func (sh *shard) applyFew(ops []store.Op, hash uint64, now time.Duration) bool {
	var buckets [MaxKnown]*store.Bucket
	var after [MaxKnown]store.Bucket
	now = sh.tick(now)
	at, denied := -1, false
	for i := range ops {
		op := &ops[i]
		// The buckets of one rule and key nearly always lie side by side.
		if at++; i == 0 || at == len(sh.slots) || !sh.slots[at].is(op.Limit.ID(), &op.Key) {
			if at = sh.index(op.Limit.ID(), &op.Key, hash); at < 0 {
				return false
			}
		}
		buckets[i] = &sh.slots[at].Bucket
		after[i] = *buckets[i]
		if !after[i].Apply(op, now) && op.Kind == store.Take {
			denied = true
		}
	}
	for i := range ops {
		if denied {
			buckets[i].Report(&ops[i], now)
		} else {
			*buckets[i] = after[i]
		}
	}
	return true
}
