package ratelimit

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/memory"
	"github.com/ratelimit-go/ratelimit/store"
)

// Store keeps buckets and decides on them: see [store.Store]. [NewMemoryStore] makes a Store in
// memory. The modules redisstore (Redis or Valkey) and postgresstore make a Store that all
// instances of a service share.
type Store = store.Store

// MemoryConfig configures a [MemoryStore]. The zero MemoryConfig is valid.
type MemoryConfig struct {
	_ [0]func() // not comparable, and no literals without field names

	// MaxKeys is how many buckets the store holds at most: one for each key under each limit. Zero
	// means 1,000,000, which take about 92 MB. One limit holds at most four fifths of them.
	MaxKeys int
	// Clock, if non-nil, returns the time by which the store decides, for tests and for replaying
	// logs. Nil means the monotonic clock, which does not notice when the system's time is set.
	Clock func() time.Time
}

// MemoryStore is a [Store] in the memory of one process. Make it with [NewMemoryStore]. It starts
// no goroutine and does not need to be closed. It is safe for concurrent use.
//
// MaxKeys bounds its memory. It forgets a bucket only when the bucket is full again, and so equal
// to a new one. When half of MaxKeys is in use, a limit or a network that holds much gets no more:
// its new keys share one bucket per limit and network (/24, or /48 for IPv6). Keys without an
// address are put into up to 256 groups. So a flood of invented keys costs other clients nothing,
// except new keys without an address under the same limit. Hooks.Error is told, and
// [Limiter.Stats] counts such decisions.
type MemoryStore struct {
	tables *memory.Store
}

// NewMemoryStore returns an empty store. It panics if cfg.MaxKeys is negative.
func NewMemoryStore(cfg MemoryConfig) *MemoryStore {
	if cfg.MaxKeys < 0 {
		panic(fmt.Sprintf("ratelimit: MemoryConfig.MaxKeys is %d: want a positive number, or 0 for %d",
			cfg.MaxKeys, memory.DefaultMaxKeys))
	}
	return &MemoryStore{memory.New(cmp.Or(cfg.MaxKeys, memory.DefaultMaxKeys), memory.Since(cfg.Clock))}
}

// Apply implements [Store]. It ignores ctx, because it waits only for other calls of Apply. Its
// only error is the error of [store.CheckOps].
func (s *MemoryStore) Apply(ctx context.Context, ops []store.Op) error {
	return s.tables.Apply(ctx, ops)
}
