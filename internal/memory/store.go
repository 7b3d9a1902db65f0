// Package memory keeps token buckets in bounded, sharded tables, and decides batches on them.
package memory

import (
	"context"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/key"
	"github.com/ratelimit-go/ratelimit/store"
)

// DefaultMaxKeys is the MaxKeys of a Store that is not told another.
const DefaultMaxKeys = 1_000_000

// keysPerShard is about how many buckets a shard holds when the store is full. It bounds the
// longest single step, which is moving a shard to a larger table.
const keysPerShard = 1024

// A Store is a [store.Store] in the memory of one process. It starts no goroutine. It is safe for
// concurrent use and must not be copied.
//
// A bucket is forgotten only when it is full again, and so equal to a new bucket. Each new key
// looks at a few old buckets. It drops buckets that have been full for a minute. If MaxKeys buckets
// are waiting to be full, new keys share one overflow bucket per limit.
//
// Apply allocates nothing for keys that the store holds. It locks only the shards of its keys.
type Store struct {
	seed    key.Seed
	clock   func() time.Duration // nil: the time since start
	start   time.Time
	maxKeys int64
	mask    uint64
	shards  []shard

	keys     atomic.Int64 // buckets held, and room reserved for some
	overflow overflow
	batches  sync.Pool // of *batch
}

// overflow holds the buckets that keys without room share, one for each limit.
type overflow struct {
	mu      sync.Mutex // taken after the locks of shards
	now     time.Duration
	buckets map[uint64]*store.Bucket // by the ID of the limit
	count   atomic.Int64
}

// Stats is a snapshot of the counters of a [Store].
type Stats struct {
	Keys       int   // buckets held, including full ones that may be forgotten
	MaxKeys    int   // the bound of Keys
	Overflowed int64 // decisions on keys without room
}

// New returns an empty store for at most maxKeys buckets. It reads instants from clock. If clock is
// nil, it uses the monotonic clock. Readings of a clock that are out of order do no harm.
func New(maxKeys int, clock func() time.Duration) *Store {
	shards := uint64(1) << bits.Len64(uint64(maxKeys)/keysPerShard)
	return &Store{
		seed:     key.NewSeed(),
		clock:    clock,
		start:    time.Now(),
		maxKeys:  int64(maxKeys),
		mask:     shards - 1,
		shards:   make([]shard, shards),
		overflow: overflow{buckets: make(map[uint64]*store.Bucket)},
	}
}

// Stats returns the counters of s. It reads them one after another, not at one instant.
func (s *Store) Stats() Stats {
	return Stats{
		Keys:       int(s.keys.Load()),
		MaxKeys:    int(s.maxKeys),
		Overflowed: s.overflow.count.Load(),
	}
}

// Apply implements [store.Store]. It waits only for other calls of Apply, so it ignores the
// context. Its only error is the error of [store.CheckOps].
func (s *Store) Apply(_ context.Context, ops []store.Op) error {
	if simple(ops) && s.ApplyKnown(ops) {
		return nil
	}
	if err := store.CheckOps(ops); err != nil {
		return err
	}
	s.applyBatch(s.now(), ops)
	return nil
}

func (s *Store) now() time.Duration {
	if s.clock != nil {
		return s.clock()
	}
	return time.Since(s.start)
}

func (s *Store) shard(hash uint64) *shard { return &s.shards[hash&s.mask] }
