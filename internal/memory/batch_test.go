package memory

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/store"
)

// A denial charges nothing, whichever op it denies.
func TestAllOrNothing(t *testing.T) {
	s, _ := newStore(1000)
	k := user("a")
	small, large := newLimit(t, "r", 0, 1, time.Hour, 0), newLimit(t, "r", 1, 10, time.Hour, 0)
	apply(t, s, take(small, k, 1))
	for _, order := range [][]*store.Limit{{small, large}, {large, small}} {
		ops := apply(t, s, take(order[0], k, 1), take(order[1], k, 1), store.Op{Kind: store.Refund, Limit: small, Key: k, Cost: 1})
		assert.False(t, ops[0].Result.Allowed && ops[1].Result.Allowed)
	}
	assert.Equal(t, int64(10), level(t, s, large, k))
	assert.Equal(t, int64(0), level(t, s, small, k))
}

func TestOneBucketTwiceInABatchIsChargedForBoth(t *testing.T) {
	s, _ := newStore(1000)
	l, k := per(t, 10, time.Hour), user("a")
	ops := apply(t, s, take(l, k, 6), take(l, k, 6))
	assert.True(t, ops[0].Result.Allowed)
	assert.False(t, ops[1].Result.Allowed)
	assert.Equal(t, int64(10), ops[0].Result.Remaining)
}

func TestOneBucketTwiceInABatchWithoutRoom(t *testing.T) {
	s, _ := newStore(1)
	l := per(t, 10, 10*time.Second)
	apply(t, s, take(l, user("known"), 1))
	for _, op := range apply(t, s, take(l, user("a"), 1), take(l, user("a"), 2)) {
		assert.Equal(t, store.Result{Allowed: true, Overflow: true, Remaining: 7, ResetAfter: 3 * time.Second}, op.Result)
	}
}

// A bucket that the store does not hold, and that carries what another version of the rule has
// charged, is reported as the batch leaves it.
func TestRefundOfACarriedBucket(t *testing.T) {
	s, _ := newStore(1000)
	one := newLimit(t, "r", 3, 10, time.Hour, 0).Versioned()
	k, slower := user("a"), newLimit(t, "r", 0, 20, 24*time.Hour, 0).Versioned()
	apply(t, s, take(newLimit(t, "r", 0, 10, time.Hour, 0).Versioned(), k, 8))
	refund := func(l *store.Limit) store.Op { return store.Op{Kind: store.Refund, Limit: l, Key: k, Cost: 3} }
	for _, left := range []int64{5, 8, 10} {
		assert.Equal(t, left, apply(t, s, refund(slower), refund(one))[1].Result.Remaining)
	}
}

// Two batches that lock the same shards in different orders would wait for each other.
func TestShardsAreLockedInOneOrder(t *testing.T) {
	s, _ := newStore(10 * keysPerShard)
	var ops []store.Op
	for i := range 200 {
		ops = append(ops, take(per(t, 1, time.Hour), user(fmt.Sprint(i%50)), 1))
	}
	places := make([]place, len(ops))
	locked := s.hashAll(ops, places, nil)
	want := map[uint32]bool{}
	for i := range ops {
		require.Equal(t, s.seed.Hash(&ops[i].Key), places[i].hash)
		want[uint32(places[i].hash&s.mask)] = true
	}
	assert.Equal(t, slices.Sorted(maps.Keys(want)), locked)
}

// Making room for one op of a batch may drop the full bucket of another op. The other op must then
// find a full bucket, not a store without room.
func TestSweepWithinABatch(t *testing.T) {
	s, now := newStore(8)
	l := per(t, 3, time.Second)
	op := func(name string) store.Op { return take(l, user(name), 1) }
	for i := range 50 {
		apply(t, s, op("old"))
		*now += time.Minute
		for _, o := range apply(t, s, op("old"), op(fmt.Sprint(i)), op(fmt.Sprint("x", i))) {
			require.Equal(t, store.Result{Allowed: true, Remaining: 2, ResetAfter: 333333334}, o.Result)
		}
	}
}

// To make room for one op, a batch may drop the full bucket of another op that it has found before.
// Then it puts both into the table, which needs free slots for both. A search in a table without a
// free slot never ends, and holds the lock of its shard.
func TestTableKeepsFreeSlots(t *testing.T) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		random := rand.New(rand.NewPCG(1, 2))
		limits := []*store.Limit{ // of several routes, two for each request
			newLimit(t, "r", 0, 2, time.Second, 0), newLimit(t, "r", 1, 9, time.Second, 0),
			newLimit(t, "r", 2, 3, time.Minute, 0), newLimit(t, "r", 3, 5, time.Second, 0),
		}
		for range 500 {
			s, now := newStore(1000)
			for range 60 {
				k := user(fmt.Sprint(random.IntN(4)))
				first, second := limits[random.IntN(2)], limits[1+random.IntN(2)]
				assert.NoError(t, s.Apply(context.Background(), []store.Op{take(first, k, 1), take(second, k, 1)}))
				*now += time.Duration(random.IntN(30)) * 100 * time.Millisecond
			}
		}
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("a decision does not end")
	}
}

// Each shard remembers the latest instant that it used. A batch over several shards is decided at
// the latest of them, for all of its buckets.
func TestBatchUsesTheLatestClockOfItsShards(t *testing.T) {
	s, now := newStore(DefaultMaxKeys)
	l := per(t, 60, time.Minute)
	early, late := user("a"), user("b")
	for i := 0; s.shard(s.seed.Hash(&early)) == s.shard(s.seed.Hash(&late)); i++ {
		late = user(fmt.Sprint("b", i))
	}
	apply(t, s, take(l, early, 60))
	*now = 10 * time.Second
	apply(t, s, take(l, late, 60))
	*now = time.Second
	ops := apply(t, s, take(l, early, 10), take(l, late, 0))
	assert.Equal(t, store.Result{Allowed: true, ResetAfter: time.Minute}, ops[0].Result)
	assert.Equal(t, store.Result{Allowed: true, ResetAfter: time.Minute}, ops[1].Result)
	assert.Equal(t, int64(0), level(t, s, l, early), "the instant holds for the next call too")
}

// The buckets that keys without room share have a clock of their own.
func TestOverflowClockDoesNotGoBack(t *testing.T) {
	s, now := newStore(1)
	l := per(t, 60, time.Minute)
	apply(t, s, take(l, user("known"), 60))
	*now = 10 * time.Second
	op := take(l, user("a"), 60)
	require.True(t, apply(t, s, op)[0].Result.Overflow)
	s.shards[0].now, *now = 0, 0 // as in a shard that was not used since
	got := apply(t, s, take(l, user("b"), 1))[0].Result
	assert.Equal(t, store.Result{Overflow: true, RetryAfter: time.Second, ResetAfter: time.Minute}, got)
}

// Ops that leave a bucket full leave no trace of a key that the store does not hold. Room that was
// set aside for them is free again.
func TestFullBucketsTakeNoRoom(t *testing.T) {
	s, _ := newStore(10)
	l, spent := per(t, 10, time.Hour), user("spent")
	apply(t, s, take(l, spent, 10))
	for _, ops := range [][]store.Op{
		{take(l, user("a"), 0)},
		{take(l, user("a"), 1), {Kind: store.Refund, Limit: l, Key: user("a"), Cost: 1}},
		{take(l, user("a"), 11)},
		{take(l, user("a"), 1), take(l, spent, 1)},
		{{Kind: store.Peek, Limit: l, Key: user("a"), Cost: 1}, {Kind: store.Reset, Limit: l, Key: user("b")}},
	} {
		apply(t, s, ops...)
		require.Equal(t, 1, s.Stats().Keys)
		require.Equal(t, int64(10), level(t, s, l, user("a")))
	}
}
