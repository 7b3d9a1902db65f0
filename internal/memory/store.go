// Package memory keeps token buckets in bounded, sharded tables, and decides batches on them.
package memory

import (
	"context"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/key"
	"github.com/ratelimit-go/ratelimit/stats"
	"github.com/ratelimit-go/ratelimit/store"
)

// DefaultMaxKeys is the MaxKeys of a Store that is not told another.
const DefaultMaxKeys = 1_000_000

// keysPerShard is about how many buckets a shard holds when the store is full. It bounds the
// longest single step, which is moving a shard to a larger table.
const keysPerShard = 1024

// maxShardBits bounds the shards, which are made at once, to 8 MB. It suffices for 100 million
// buckets. Beyond that shards become larger.
const maxShardBits = 17

// A Store is a [store.Store] in the memory of one process. It starts no goroutine. It is safe for
// concurrent use and must not be copied.
//
// A bucket is forgotten only when it is full again, and so equal to a new bucket. Each new key
// looks at a few old buckets. It drops buckets that have been full for a minute. A limit or a
// network that holds much of MaxKeys gets no more, so that others find room: see census. Its new
// keys share one bucket per limit and network.
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
	census   census       // of the buckets held
	overflow overflow
	batches  sync.Pool // of *batch
}

// New returns an empty store for at most maxKeys buckets. It reads instants from clock. If clock is
// nil, it uses the monotonic clock. Readings of a clock that are out of order do no harm.
func New(maxKeys int, clock func() time.Duration) *Store {
	shards := uint64(1) << min(bits.Len64(uint64(maxKeys)/keysPerShard), maxShardBits)
	s := &Store{
		seed:    key.NewSeed(),
		clock:   clock,
		start:   time.Now(),
		maxKeys: int64(maxKeys),
		mask:    shards - 1,
		shards:  make([]shard, shards),
	}
	s.census.prepare(maxKeys)
	s.overflow.prepare(maxKeys)
	return s
}

// Stats returns the counters of s. It reads them one after another, not at one instant.
func (s *Store) Stats() stats.Memory {
	return stats.Memory{
		Keys:       int(s.keys.Load()),
		MaxKeys:    int(s.maxKeys),
		Overflowed: s.overflow.count.Load(),
	}
}

// Count moves what ApplyKnown has counted to the rules. It locks one shard after another.
func (s *Store) Count() {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		sh.counts.Flush()
		sh.mu.Unlock()
	}
}

// Apply implements [store.Store]. It waits only for other calls of Apply, so it ignores the
// context. Its only error is the error of [store.CheckOps].
func (s *Store) Apply(_ context.Context, ops []store.Op) error {
	if simple(ops) && s.ApplyKnown(ops, nil) {
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
