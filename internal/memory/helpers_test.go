package memory

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/key"
	"github.com/ratelimit-go/ratelimit/stats"
	"github.com/ratelimit-go/ratelimit/store"
)

const (
	day  = 24 * time.Hour
	year = 365 * day
)

func newLimit(t testing.TB, rule string, index int, count int64, period time.Duration, burst int64) *store.Limit {
	t.Helper()
	l, err := store.NewLimit(rule, index, count, period, burst)
	require.NoError(t, err)
	return l
}

// per returns the first limit of a rule, with a burst of count.
func per(t testing.TB, count int64, period time.Duration) *store.Limit {
	t.Helper()
	return newLimit(t, "r", 0, count, period, 0)
}

func user(name string) store.Key { return key.Text(key.User, name) }

func take(l *store.Limit, k store.Key, cost int64) store.Op {
	return store.Op{Limit: l, Key: k, Cost: cost}
}

// newStore returns a store for at most maxKeys buckets, and the instant that its clock shows.
func newStore(maxKeys int) (s *Store, now *time.Duration) {
	now = new(time.Duration)
	return New(maxKeys, func() time.Duration { return *now }), now
}

// apply applies ops to s and returns them with their Results.
func apply(t testing.TB, s *Store, ops ...store.Op) []store.Op {
	t.Helper()
	require.NoError(t, s.Apply(context.Background(), ops))
	return ops
}

// level returns how many tokens the bucket has.
func level(t testing.TB, s *Store, l *store.Limit, k store.Key) int64 {
	t.Helper()
	return apply(t, s, store.Op{Kind: store.Peek, Limit: l, Key: k, Cost: 1})[0].Result.Remaining
}

// requireSound checks the tables of s: a search finds each bucket, there are free slots, and the
// counters are right.
func requireSound(t testing.TB, s *Store) {
	t.Helper()
	keys := int64(0)
	for i := range s.shards {
		sh, used := &s.shards[i], 0
		for j := range sh.slots {
			sl := &sh.slots[j]
			if sl.id == 0 {
				require.Equal(t, slot{}, *sl)
				continue
			}
			used++
			hash := s.seed.Hash(&sl.key)
			require.Equal(t, j, sh.index(sl.id, &sl.key, hash))
			require.Same(t, sh, s.shard(hash))
		}
		require.Equal(t, used, sh.used)
		require.LessOrEqual(t, used*5, len(sh.slots)*4)
		keys += int64(used)
	}
	require.Equal(t, keys, s.keys.Load())
	require.LessOrEqual(t, keys, s.maxKeys)
}

// watchBatches returns a number that is zero until ApplyKnown leaves a decision of s to applyBatch.
func watchBatches(s *Store) *int {
	n := new(int)
	s.batches = sync.Pool{New: func() any {
		*n++
		return new(batch)
	}}
	return n
}

// A snapshot is the whole state of a store.
type snapshot struct {
	Stats       stats.Memory
	Shards      []shardSnapshot
	OverflowNow time.Duration
	Overflow    map[slotID]store.Bucket
}

type slotID struct {
	limit uint64
	key   store.Key
}

type shardSnapshot struct {
	Now        time.Duration
	Slots      []slot
	Used, Hand int
}

// equal compares as assert.Equal does, which takes four times as long as a whole test.
func (s *snapshot) equal(other *snapshot) bool {
	return s.Stats == other.Stats && s.OverflowNow == other.OverflowNow && maps.Equal(s.Overflow, other.Overflow) &&
		slices.EqualFunc(s.Shards, other.Shards, func(a, b shardSnapshot) bool {
			return a.Now == b.Now && a.Used == b.Used && a.Hand == b.Hand && slices.Equal(a.Slots, b.Slots)
		})
}

func snapshotOf(s *Store) *snapshot {
	snap := &snapshot{Stats: s.Stats(), OverflowNow: s.overflow.now, Overflow: map[slotID]store.Bucket{}}
	for i := range s.shards {
		sh := &s.shards[i]
		snap.Shards = append(snap.Shards, shardSnapshot{sh.now, slices.Clone(sh.slots), sh.used, sh.hand})
	}
	for _, t := range s.overflow.tables {
		for _, sl := range t.slots {
			if sl.id != 0 {
				snap.Overflow[slotID{sl.id, sl.key}] = sl.Bucket
			}
		}
	}
	return snap
}
