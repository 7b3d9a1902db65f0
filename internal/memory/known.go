package memory

import (
	"time"

	"github.com/ratelimit-go/ratelimit/internal/tally"
	"github.com/ratelimit-go/ratelimit/store"
)

// MaxKnown is how many ops ApplyKnown decides at most.
const MaxKnown = 4

// ApplyKnown decides ops if the store holds all of their buckets, and other versions of their rules
// need not count them: see [store.Carry]. Otherwise it changes no bucket and returns false; then
// Apply decides. The ops must be 1 to MaxKnown valid ops, under different limits and with the same
// key. If rule is not nil, the ops are Takes of one request under that rule, and ApplyKnown counts
// the outcome: see [Store.Count].
//
// Nearly every request takes this way. Without it a decision on one limit takes twice as long
// (BenchmarkKnown). TestBothWaysAgree compares the two ways.
func (s *Store) ApplyKnown(ops []store.Op, rule *tally.Rule) bool {
	now, hash := s.now(), s.seed.Hash(&ops[0].Key)
	sh := s.shard(hash)
	known := true
	sh.mu.Lock() // no defer: nothing below can panic, and a defer costs a tenth of the whole
	if op := &ops[0]; len(ops) > 1 {
		known = sh.applyFew(ops, hash, now)
	} else if i := sh.index(op.Limit.ID(), &op.Key, hash); i < 0 {
		known = false
	} else if b := &sh.slots[i].Bucket; op.Limit.Index() > 0 || b.Settled(op.Limit, 1) {
		b.Apply(op, sh.tick(now))
	} else {
		known = false
	}
	if known && rule != nil {
		sh.counts.Add(rule, outcome(ops))
	}
	sh.mu.Unlock()
	return known
}

// outcome returns how a request ended that has made these Takes.
func outcome(ops []store.Op) tally.Outcome {
	o := tally.Allowed
	for i := range ops {
		if res := &ops[i].Result; res.ExceedsBurst {
			return tally.ExceedsBurst
		} else if !res.Allowed {
			o = tally.Limit
		}
	}
	return o
}

// simple reports whether ops are fit for ApplyKnown.
func simple(ops []store.Op) bool {
	if len(ops) == 0 || len(ops) > MaxKnown || !ops[0].Valid() || isShared(&ops[0]) {
		return false
	}
	for i := 1; i < len(ops); i++ {
		op := &ops[i]
		if !op.Valid() || op.Key != ops[0].Key || isShared(op) {
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

// applyFew decides ops in place, and takes back what it did if a Take was denied, a bucket is
// missing, or another version of a rule has charged one.
func (sh *shard) applyFew(ops []store.Op, hash uint64, now time.Duration) bool {
	var buckets [MaxKnown]*store.Bucket
	var before [MaxKnown]store.Bucket
	now = sh.tick(now)
	at, n, denied := -1, 0, false
	for n < len(ops) {
		op := &ops[n]
		id := op.Limit.ID()
		// The buckets of one rule and key nearly always lie side by side.
		if at++; n == 0 || at == len(sh.slots) || !sh.slots[at].is(id, &op.Key) {
			if at = sh.index(id, &op.Key, hash); at < 0 {
				break
			}
		}
		b := &sh.slots[at].Bucket
		if id&0xff == 1 && !b.Settled(op.Limit, family(ops, id)) { // of index 0
			break // other versions of the rule have charged it, or have other buckets
		}
		buckets[n], before[n] = b, *b
		n++
		if !b.Apply(op, now) && op.Kind == store.Take {
			denied = true
		}
	}
	if n == len(ops) && !denied {
		return true
	}
	for i := range n {
		*buckets[i] = before[i]
		if n == len(ops) {
			buckets[i].Report(&ops[i], now)
		}
	}
	return n == len(ops)
}

// family returns how many ops are under the rule of the limit id.
func family(ops []store.Op, id uint64) (n int) {
	for i := range ops {
		if ops[i].Limit.ID()>>8 == id>>8 {
			n++
		}
	}
	return n
}
