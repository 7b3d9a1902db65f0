package ratelimit

import (
	"context"
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultMaxKeys is the number of buckets that a [MemoryStore] holds at most if it
// is not told otherwise.
const DefaultMaxKeys = 1_000_000

// MemoryConfig configures a [MemoryStore]. The zero MemoryConfig is valid.
type MemoryConfig struct {
	_ [0]func() // not comparable, and no literals without field names

	// MaxKeys is the greatest number of buckets to hold: one for each key under
	// each limit. Zero means DefaultMaxKeys. A million buckets take about 92 MB.
	MaxKeys int
}

// MemoryStore is a [Store] in the memory of one process. It starts no goroutine and
// needs no closing. Its clock is the monotonic one: setting the system's time
// changes nothing. The zero MemoryStore is not usable: call [NewMemoryStore].
//
// Memory is bounded by MaxKeys, and forgetting never forgives: a bucket is
// forgotten only when it is full again and so equal to a new one. Each new key
// looks at a few old buckets and drops those that have been full for a minute. When MaxKeys buckets are
// waiting to be full, keys that are not among them share one bucket for each limit,
// so a flood of made-up keys is limited as one client, and the clients known before
// it notice nothing. [MemoryStore.Stats] counts these decisions.
//
// Apply allocates nothing for keys it knows, and holds only the locks of the shards
// its keys are in.
type MemoryStore struct {
	seed    hashSeed
	start   time.Time
	clock   func() time.Duration // since start; nil outside tests
	maxKeys int64
	mask    uint64
	shards  []shard
	tables  []atomic.Pointer[[]slot] // of the shards, to be read without their locks: see warm

	keys     atomic.Int64 // buckets held, and room reserved for some
	overflow overflow
	batches  sync.Pool // of *batch
}

// MemoryStats is a snapshot of the counters of a [MemoryStore].
type MemoryStats struct {
	// Keys is the number of buckets held, including some that are full and may
	// be forgotten.
	Keys int
	// MaxKeys is the greatest number of buckets the store may hold.
	MaxKeys int
	// Overflowed is the number of decisions, since the store was made, on keys
	// there was no room for. If it grows, either the service is being flooded
	// with made-up keys or MaxKeys is too small.
	Overflowed int64
}

// overflow holds the buckets shared by keys without room, one for each limit.
type overflow struct {
	mu      sync.Mutex // taken after the locks of shards
	now     int64
	buckets map[uint64]*bucket // by the limit's id
	count   atomic.Int64
}

// keysPerShard is how many keys a shard should hold at most when the store is full.
// It bounds the longest single step, which is moving a shard to a larger table.
const keysPerShard = 1024

// NewMemoryStore returns an empty store. It panics if cfg.MaxKeys is negative.
func NewMemoryStore(cfg MemoryConfig) *MemoryStore {
	if cfg.MaxKeys < 0 {
		panic(fmt.Sprintf("ratelimit: MemoryConfig.MaxKeys is %d: want a positive number, or 0 for %d", cfg.MaxKeys, DefaultMaxKeys))
	}
	if cfg.MaxKeys == 0 {
		cfg.MaxKeys = DefaultMaxKeys
	}
	shards := uint64(1) << bits.Len64(uint64(cfg.MaxKeys)/keysPerShard)
	s := &MemoryStore{
		seed:     newHashSeed(),
		start:    time.Now(),
		maxKeys:  int64(cfg.MaxKeys),
		mask:     shards - 1,
		shards:   make([]shard, shards),
		tables:   make([]atomic.Pointer[[]slot], shards),
		overflow: overflow{buckets: make(map[uint64]*bucket)},
	}
	for i := range s.shards {
		s.shards[i].table = &s.tables[i]
	}
	return s
}

// Stats returns the store's counters. They are read one after another, not at
// one instant.
func (s *MemoryStore) Stats() MemoryStats {
	return MemoryStats{
		Keys:       int(s.keys.Load()),
		MaxKeys:    int(s.maxKeys),
		Overflowed: s.overflow.count.Load(),
	}
}

// Apply implements [Store]. It ignores ctx, since it never waits for anything but
// other calls of Apply, and returns no error but for ops that are not valid.
func (s *MemoryStore) Apply(_ context.Context, ops []Op) error {
	if s.applyKnown(ops) {
		return nil
	}
	if err := CheckOps(ops); err != nil {
		return err
	}
	s.applyBatch(s.now(), ops)
	return nil
}

func (s *MemoryStore) now() int64 {
	if s.clock != nil {
		return int64(s.clock())
	}
	return int64(time.Since(s.start))
}

func (s *MemoryStore) shard(hash uint64) *shard { return &s.shards[hash&s.mask] }

// maxKnown bounds the ops of applyKnown.
const maxKnown = 4

// applyKnown is Apply for what nearly every request needs: a few limits on one key, all of
// whose buckets the store holds. Otherwise it changes no bucket and returns false.
func (s *MemoryStore) applyKnown(ops []Op) bool {
	if !simple(ops) {
		return false
	}
	for i := range ops {
		ops[i].Result = Result{}
	}
	return s.applyFew(ops)
}

// simple reports whether ops are valid and about different buckets of one key. The limits
// of a rule have ascending ids, so only those need to be looked for.
func simple(ops []Op) bool {
	if len(ops) == 0 || len(ops) > maxKnown || !ops[0].valid() {
		return false
	}
	for i := 1; i < len(ops); i++ {
		op, last := &ops[i], &ops[i-1]
		if !op.valid() || op.Limit.id <= last.Limit.id || op.Key != last.Key {
			return false
		}
	}
	return true
}

// applyFew is applyKnown for simple ops, whose Results must be zero.
func (s *MemoryStore) applyFew(ops []Op) bool {
	if len(ops) == 1 {
		return s.applyOne(&ops[0])
	}
	now, hash := s.now(), s.seed.hash(&ops[0].Key)
	sh := s.shard(hash)
	sh.mu.Lock() // no defer: nothing below can panic, and it would cost a tenth of the whole
	known := sh.applyFew(ops, hash, now)
	sh.mu.Unlock()
	return known
}

// applyOne is applyFew for one op.
func (s *MemoryStore) applyOne(op *Op) bool {
	now, hash := s.now(), s.seed.hash(&op.Key)
	s.warm(op.Limit.id, hash)
	sh := s.shard(hash)
	sh.mu.Lock() // no defer, as above
	known := sh.applyOne(op, hash, now)
	sh.mu.Unlock()
	return known
}

// applyOne takes a short way through the ordinary, which is a take that is allowed, at the pace at
// which the bucket fills already.
func (sh *shard) applyOne(op *Op, hash uint64, now int64) bool {
	b := sh.find(op.Limit.id, &op.Key, hash)
	if b == nil {
		return false
	}
	now = sh.tick(now)
	var after span
	if op.admit(b, now, &after) {
		b.full, b.frac = now+after.ns, after.frac
		return true
	}
	var t trial
	op.try(b, now, &t)
	if op.Result.Allowed {
		op.apply(b, now, &t)
	}
	op.report(b, now)
	return true
}

// applyFew takes the short way of applyOne for all ops, or for none.
func (sh *shard) applyFew(ops []Op, hash uint64, now int64) bool {
	var buckets [maxKnown]*bucket
	var after [maxKnown]span
	ordinary, at := true, -1
	now = sh.tick(now)
	for i := range ops {
		op := &ops[i]
		l := op.Limit
		// The limits of one rule on a key lie side by side, nearly always.
		if at++; i == 0 || at == len(sh.slots) || !sh.slots[at].is(l.id, &op.Key) {
			if at = sh.index(l.id, &op.Key, hash); at < 0 {
				return false
			}
		}
		b := &sh.slots[at].bucket
		buckets[i] = b
		ordinary = ordinary && op.admit(b, now, &after[i])
	}
	if !ordinary {
		applyAll(ops, &buckets, now)
		return true
	}
	for i := range ops {
		b, debt := buckets[i], &after[i]
		b.full, b.frac = now+debt.ns, debt.frac
	}
	return true
}

// applyAll is the whole of a batch on different buckets.
func applyAll(ops []Op, buckets *[maxKnown]*bucket, now int64) {
	var trials [maxKnown]trial
	refused := false
	for i := range ops {
		ops[i].try(buckets[i], now, &trials[i])
		refused = refused || ops[i].Kind == OpTake && !ops[i].Result.Allowed
	}
	for i := range ops {
		if !refused && ops[i].Result.Allowed {
			ops[i].apply(buckets[i], now, &trials[i])
		}
		ops[i].report(buckets[i], now)
	}
}
