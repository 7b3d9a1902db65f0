package memory

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/key"
	"github.com/ratelimit-go/ratelimit/internal/testsize"
	"github.com/ratelimit-go/ratelimit/stats"
	"github.com/ratelimit-go/ratelimit/store"
)

// A spent key stays denied while ten times as many new keys arrive as there is room for.
func TestFloodOfKeysMakesNoTokens(t *testing.T) {
	s, now := newStore(2000)
	l := per(t, 5, time.Hour)
	victim := take(l, user("spent"), 5)
	require.True(t, apply(t, s, victim)[0].Result.Allowed)
	overflowed, allowed := 0, 0
	for i := range 20_000 {
		r := apply(t, s, take(l, user(fmt.Sprint(i)), 1))[0].Result
		if r.Overflow {
			if overflowed++; r.Allowed {
				allowed++
			}
		}
		require.LessOrEqual(t, s.Stats().Keys, 1600, "one limit has four fifths at most")
	}
	assert.False(t, apply(t, s, victim)[0].Result.Allowed)
	assert.Equal(t, 18_401, overflowed, "every key beyond the bound")
	assert.Equal(t, 5*31, allowed, "they share one bucket for each group")
	assert.Equal(t, stats.Memory{Keys: 1600, MaxKeys: 2000, Overflowed: 18_401}, s.Stats())

	*now += 2 * time.Hour
	for i := range 4000 {
		r := apply(t, s, take(l, user(fmt.Sprint("new", i)), 1))[0].Result
		require.Equal(t, r.Overflow, s.Stats().Overflowed > 18_401)
		if i < 1200 {
			require.False(t, r.Overflow, "full buckets make room: %d", i)
		}
	}
	requireSound(t, s)
}

// A store without room drops a bucket of the same limit that has been full for the time of 16
// tokens, and no other.
func TestFullStoreDropsFullBuckets(t *testing.T) {
	s, now := newStore(20)
	l := per(t, 60, time.Minute)
	for i := range 8 {
		apply(t, s, take(l, user(fmt.Sprint("busy", i)), 60), take(l, user(fmt.Sprint("full", i)), 10))
	}
	*now = 26*time.Second - 1
	require.True(t, apply(t, s, take(l, user("early"), 1))[0].Result.Overflow)
	*now = 26 * time.Second
	require.False(t, apply(t, s, store.Op{Kind: store.Peek, Limit: l, Key: user("new0"), Cost: 1})[0].Result.Overflow)
	require.Equal(t, int64(60), level(t, s, l, user("full0")), "a Peek drops none")
	for i := range 8 {
		require.False(t, apply(t, s, take(l, user(fmt.Sprint("new", i)), 60))[0].Result.Overflow, "key %d", i)
	}
	assert.True(t, apply(t, s, take(l, user("late"), 1))[0].Result.Overflow)
	for i := range 8 {
		assert.Equal(t, int64(26), level(t, s, l, user(fmt.Sprint("busy", i))))
		assert.Equal(t, int64(0), level(t, s, l, user(fmt.Sprint("new", i))))
	}
	requireSound(t, s)
}

// The bucket that has been full for the longest time goes first.
func TestFullStoreKeepsWhoWasSeenLast(t *testing.T) {
	s, now := newStore(20)
	l := per(t, 60, time.Minute)
	for i := range 16 {
		*now += time.Second
		apply(t, s, take(l, user(fmt.Sprint(i)), 1))
	}
	*now += 17 * time.Second
	for i := range 16 {
		apply(t, s, take(l, user(fmt.Sprint("new", i)), 1))
		sl := &s.shards[0]
		for j := range 16 {
			k := user(fmt.Sprint(j))
			require.Equal(t, j > i, sl.find(l.ID(), &k, s.seed.Hash(&k)) != nil, "key %d after %d new ones", j, i+1)
		}
		*now += time.Second
	}
}

// One key and a new key ask in turn at the bound. If a bucket were forgotten before it is full, the
// key would get its tokens again.
func TestFullStoreForgivesNothing(t *testing.T) {
	for _, tc := range []struct {
		period time.Duration
		cost   int64 // of the new keys
	}{{3 * time.Second, 1}, {3 * time.Second, 10}, {30 * time.Second, 1}, {30 * time.Second, 10}, {30 * time.Minute, 10}} {
		s, now := newStore(50)
		l := per(t, 10, tc.period)
		allowed := 0
		for i := range 2000 {
			if apply(t, s, take(l, user("one"), 1))[0].Result.Allowed {
				allowed++
			}
			apply(t, s, take(l, user(fmt.Sprint(i)), tc.cost))
			*now += tc.period / 10 / 2000 // one token in all
		}
		assert.Equal(t, 10, allowed, "%+v", tc)
		requireSound(t, s)
	}
}

// A table keeps its size while keys come and go.
func TestTableDoesNotGrowForEver(t *testing.T) {
	s, now := newStore(1000)
	l := per(t, 1, time.Second)
	for i := range 20_000 {
		apply(t, s, take(l, user(fmt.Sprint(i)), 1))
		*now += time.Second // 61 seconds later the key is idle
	}
	assert.Less(t, s.Stats().Keys, 90)
	assert.Less(t, len(s.shards[0].slots), 150)
	requireSound(t, s)
}

// A search ends at the first free slot. So when a slot becomes free, the buckets behind it move up.
// This tries all tables of six slots with four buckets, by the slots where their searches begin.
func TestSearchesEndAfterARemoval(t *testing.T) {
	const slots, buckets = 6, 4
	ids := func(table int) (ids [buckets]uint64) {
		for i := range ids {
			first := uint64(table % slots)
			ids[i] = (first*(math.MaxUint64/slots)+1<<16)&^0xff | uint64(i+1)
			table /= slots
		}
		return ids
	}
	k := user("a")
	for table := range slots * slots * slots * slots {
		for removed := range buckets {
			s, _ := newStore(buckets)
			s.seed = key.Seed{} // all short keys have the hash 0
			s.keys.Store(buckets)
			sh := &s.shards[0]
			sh.slots = make([]slot, slots)
			for i, id := range ids(table) {
				sh.insert(id, &k, 0)
				require.Equal(t, table/[]int{1, 6, 36, 216}[i]%slots, home(sh.slots, id, 0))
			}
			sh.remove(s, sh.index(ids(table)[removed], &k, 0))
			for i, id := range ids(table) {
				require.Equal(t, i != removed, sh.find(id, &k, 0) != nil, "table %d: remove %d, then find %d", table, removed, i)
			}
			require.Equal(t, buckets-1, sh.used)
		}
	}
}

// A sweep also looks at buckets that it has moved.
func TestSweepFindsMovedBuckets(t *testing.T) {
	s, _ := newStore(100)
	s.seed = key.Seed{}
	sh := &s.shards[0]
	sh.slots = make([]slot, 20)
	const nearTheEnd = uint64(math.MaxUint64 / 10 * 9) // so they go on at the beginning of the table
	for i := range 16 {
		k := user(fmt.Sprint(i))
		require.True(t, s.setAside())
		sh.insert(nearTheEnd, &k, 0)
	}
	requireSound(t, s)
	assert.True(t, sh.sweep(s, 0, 20))
	assert.True(t, sh.sweep(s, 0, 20), "looks at as many slots as it may, and each bucket dropped is one")
	assert.False(t, sh.sweep(s, 0, 20))
	assert.Equal(t, stats.Memory{MaxKeys: 100}, s.Stats())
	requireSound(t, s)
}

// Keys without room share a bucket only under the same limit.
func TestEachLimitHasItsOwnOverflow(t *testing.T) {
	s, _ := newStore(1)
	l, other := newLimit(t, "r", 0, 2, time.Hour, 0), newLimit(t, "r", 1, 2, time.Hour, 0)
	apply(t, s, take(l, user("known"), 1))
	for _, want := range []bool{true, true, false} {
		assert.Equal(t, want, apply(t, s, take(l, user("a"), 1))[0].Result.Allowed)
	}
	got := apply(t, s, take(other, user("a"), 1))[0].Result
	assert.Equal(t, store.Result{Allowed: true, Overflow: true, Remaining: 1, ResetAfter: 30 * time.Minute}, got)
	assert.Equal(t, int64(4), s.Stats().Overflowed)
}

// A bucket stays in its place for a minute after it is full. Then new keys drop it, even if there
// is room for more.
func TestIdleBucketsAreDropped(t *testing.T) {
	s, now := newStore(1000)
	l := per(t, 1, time.Second)
	for i := range 100 {
		apply(t, s, take(l, user(fmt.Sprint("old", i)), 1))
	}
	*now += time.Second + sweepIdle - 1
	for i := range 100 {
		apply(t, s, take(l, user(fmt.Sprint("young", i)), 1))
	}
	require.Equal(t, 200, s.Stats().Keys)
	*now++
	for i := range 100 {
		apply(t, s, take(l, user(fmt.Sprint("new", i)), 1))
	}
	assert.Equal(t, 200, s.Stats().Keys)
	for _, sl := range s.shards[0].slots {
		assert.False(t, sl.id != 0 && sl.Full(*now-sweepIdle), "key %v", sl.key)
	}
}

// An attacker looks for a key that shares a bucket with a victim. The store keeps whole keys beside
// their hashes, so keys that share a shard or a slot share nothing else.
func TestCollidingKeysShareNoBucket(t *testing.T) {
	n := testsize.Of(100_000, 20_000) // some of 100,000 have the same 32 bits of any hash
	s := New(DefaultMaxKeys, nil)
	ops := []store.Op{{Limit: per(t, 1, time.Hour), Cost: 1}}
	for i := range n {
		ops[0].Key = key.Pair("k", fmt.Sprint(i))
		require.NoError(t, s.Apply(context.Background(), ops))
		require.Truef(t, ops[0].Result.Allowed, "key %d has the bucket of an earlier key", i)
	}
	assert.Equal(t, stats.Memory{Keys: n, MaxKeys: DefaultMaxKeys}, s.Stats())
	seen := map[store.Key]bool{}
	for i := range n / 10 {
		k := user(strings.Repeat("x", 30) + fmt.Sprint(i))
		require.False(t, seen[k], "hashed keys have 176 bits")
		seen[k] = true
	}
}

// The worst case of collisions: with the zero seed, all short keys have the same hash.
func TestKeysWithTheSameHash(t *testing.T) {
	s, now := newStore(DefaultMaxKeys)
	s.seed = key.Seed{}
	l, first := per(t, 1000, 1000*time.Second), user("first")
	for i := range 50 {
		k := user(fmt.Sprint(i))
		require.Equal(t, s.seed.Hash(&first), s.seed.Hash(&k))
		apply(t, s, take(l, first, 1), take(l, k, int64(10*i)))
	}
	*now = 100*time.Second + sweepIdle // the keys 1 to 10 and first are idle
	for i := range 200 {
		apply(t, s, take(l, user(fmt.Sprint("new", i)), 1))
	}
	assert.Equal(t, 239, s.Stats().Keys)
	requireSound(t, s)
	for i := range 50 {
		assert.Equal(t, min(1000, 1160-int64(10*i)), level(t, s, l, user(fmt.Sprint(i))), "key %d", i)
	}
	for i := range 200 {
		assert.Equal(t, int64(999), level(t, s, l, user(fmt.Sprint("new", i))), "new key %d", i)
	}
}

// An attacker sends keys that all meet in one shard, and so at one lock. The shard of a key depends
// on a seed that each store chooses, so keys of any shape spread evenly.
func TestFloodOfOneShard(t *testing.T) {
	const n = 20_000
	s, other := New(63*1024, nil), New(63*1024, nil)
	l := per(t, 1, time.Hour)
	var aimed []store.Key // at one shard of the other store
	for i := 0; len(aimed) < n/10 && i < 100*n; i++ {
		if k := key.Pair("k", fmt.Sprint(i)); other.shard(other.seed.Hash(&k)) == &other.shards[7] {
			aimed = append(aimed, k)
		}
	}
	require.Len(t, aimed, n/10)
	for i := range n {
		k := user(fmt.Sprint(i)) // all alike except a few bytes
		if i < len(aimed) {
			k = aimed[i]
		}
		apply(t, s, take(l, k, 1))
	}
	mean := float64(n) / float64(len(s.shards))
	for i := range s.shards {
		assert.InDelta(t, mean, s.shards[i].used, 8*math.Sqrt(mean), "shard %d", i) // 8 standard deviations
	}
}

// Slots fill, move and become free while other goroutines search. This is for the race detector.
func TestKeysComeAndGoAtOnce(t *testing.T) {
	s := New(64, nil)
	l := newLimit(t, "r", 0, 1_000_000, time.Second, 1) // full again in a microsecond
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 1))
			for range 5000 {
				op := take(l, user(fmt.Sprint(random.IntN(200))), 1)
				assert.NoError(t, s.Apply(t.Context(), []store.Op{op}))
			}
		})
	}
	all.Wait()
	assert.LessOrEqual(t, s.Stats().Keys, 64)
	requireSound(t, s)
}

// Two shards in one cache line would slow each other down.
func TestShardsFillCacheLines(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) == 8 {
		assert.Equal(t, uintptr(128), unsafe.Sizeof(shard{}))
	}
}
