package memory

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/key"
	"github.com/ratelimit-go/ratelimit/store"
)

// newFullStore returns a store that has no room for other keys, a limit of 10 per hour, and the
// instant that its clock shows.
func newFullStore(t *testing.T) (s *Store, l *store.Limit, now *time.Duration) {
	t.Helper()
	s, now = newStore(1)
	apply(t, s, take(newLimit(t, "other", 0, 1, year, 0), user("known"), 1))
	return s, per(t, 10, time.Hour), now
}

// A batch on keys that share a bucket changes it as one bucket. A Refund or Reset refunds only
// what its batch has taken, or what it says was taken from there.
func TestBatchesOnASharedBucket(t *testing.T) {
	op := func(kind store.Kind, k string, cost int64) func(*store.Limit) store.Op {
		return func(l *store.Limit) store.Op { return store.Op{Kind: kind, Limit: l, Key: user(k), Cost: cost} }
	}
	shared := func(k string, cost int64) func(*store.Limit) store.Op {
		return func(l *store.Limit) store.Op {
			return store.Op{Kind: store.Refund, Shared: true, Limit: l, Key: user(k), Cost: cost}
		}
	}
	for _, tc := range []struct {
		name string
		ops  []func(*store.Limit) store.Op
		left int64 // of 6 tokens in a bucket of 10
	}{
		{"a take", []func(*store.Limit) store.Op{op(store.Take, "a", 2)}, 4},
		{"two keys", []func(*store.Limit) store.Op{op(store.Take, "a", 2), op(store.Take, "b", 3)}, 1},
		{"two keys, too much", []func(*store.Limit) store.Op{op(store.Take, "a", 4), op(store.Take, "b", 3)}, 6},
		{"a take up to", []func(*store.Limit) store.Op{op(store.TakeUpTo, "a", 9)}, 0},
		{"a refund", []func(*store.Limit) store.Op{op(store.Refund, "a", 2)}, 6},
		{"a reset", []func(*store.Limit) store.Op{op(store.Reset, "a", 0)}, 6},
		{"a peek and a refund", []func(*store.Limit) store.Op{op(store.Peek, "a", 2), op(store.Refund, "a", 2)}, 6},
		{"a take and its refund", []func(*store.Limit) store.Op{op(store.Take, "a", 5), op(store.Refund, "a", 3)}, 4},
		{"a take and a larger refund", []func(*store.Limit) store.Op{op(store.Take, "a", 5), op(store.Refund, "a", 8)}, 6},
		{"a take and a reset", []func(*store.Limit) store.Op{op(store.Take, "a", 5), op(store.Reset, "a", 0)}, 6},
		{"a reset and a take", []func(*store.Limit) store.Op{op(store.Reset, "a", 0), op(store.Take, "a", 5)}, 1},
		{"a refund of a shared bucket", []func(*store.Limit) store.Op{shared("a", 3)}, 9},
		{"the same beside a take", []func(*store.Limit) store.Op{op(store.Take, "a", 1), shared("a", 3)}, 8},
		{"the same of another key", []func(*store.Limit) store.Op{shared("b", 30), op(store.Take, "a", 1)}, 9},
	} {
		s, l, _ := newFullStore(t)
		require.True(t, apply(t, s, take(l, user("z"), 4))[0].Result.Overflow)
		var ops []store.Op
		for _, make := range tc.ops {
			ops = append(ops, make(l))
		}
		apply(t, s, ops...)
		assert.Equal(t, tc.left, level(t, s, l, user("y")), tc.name)
		assert.Equal(t, 1, s.Stats().Keys)
		requireSound(t, s)
	}
}

// A Refund of a shared bucket goes there even if the key has a place by now.
func TestSharedRefundOfAKeyWithRoom(t *testing.T) {
	s, l, now := newFullStore(t)
	apply(t, s, take(l, user("a"), 4))
	*now = year + sweepIdle
	apply(t, s, take(l, user("a"), 4))
	require.Equal(t, int64(6), level(t, s, l, user("a")))
	apply(t, s, store.Op{Kind: store.Refund, Shared: true, Limit: l, Key: user("a"), Cost: 4})
	assert.Equal(t, int64(6), level(t, s, l, user("a")))
}

// A key that must share no bucket is decided on a full one, which is forgotten.
func TestAloneWithoutRoom(t *testing.T) {
	s, l, _ := newFullStore(t)
	apply(t, s, take(l, user("z"), 10))
	for range 3 {
		ops := apply(t, s,
			store.Op{Alone: true, Limit: l, Key: user("a"), Cost: 10},
			store.Op{Alone: true, Kind: store.Refund, Limit: l, Key: user("a"), Cost: 4})
		for i := range ops {
			assert.Equal(t, store.Result{Allowed: true, Overflow: true, Remaining: 10}, ops[i].Result)
		}
	}
	assert.Zero(t, level(t, s, l, user("y")), "the bucket of the others")
}

// Addresses share a bucket with their network only, as long as there are not too many networks.
func TestNetworksShareNoBucket(t *testing.T) {
	s, l, _ := newFullStore(t)
	ask := func(a, b, c byte) bool {
		return apply(t, s, take(l, key.Addr(netip.AddrFrom4([4]byte{10, a, b, c}), 64), 5))[0].Result.Allowed
	}
	for n := range byte(64) {
		require.Equal(t, []bool{true, true, false}, []bool{ask(n, 1, 1), ask(n, 1, 2), ask(n, 1, 3)}, "network %d", n)
	}
	assert.Equal(t, []bool{true, true, false}, []bool{ask(100, 1, 1), ask(101, 1, 1), ask(102, 1, 1)}, "the rest shares one")
	assert.Len(t, s.overflow.tables, 1)
	requireSound(t, s)
}

// Networks of one provider have half of the buckets. Then they share one for each /16 or /32, and
// other networks have buckets of their own.
func TestWideNetworksShareABucket(t *testing.T) {
	v4 := func(a, b byte) store.Key { return key.Addr(netip.AddrFrom4([4]byte{10, a, b, 1}), 64) }
	v6 := func(a, b byte) store.Key {
		return key.Addr(netip.AddrFrom16([16]byte{0x20, 1, 0xd, a, 0, b, 0, 1}), 64)
	}
	for name, address := range map[string]func(wide, narrow byte) store.Key{"IPv4": v4, "IPv6": v6} {
		s, l, _ := newFullStore(t)
		for n := range 32 { // of 64
			require.True(t, apply(t, s, take(l, address(1, byte(n)), 10))[0].Result.Allowed)
		}
		require.True(t, apply(t, s, take(l, address(1, 100), 10))[0].Result.Allowed, "the bucket of the wide network")
		for n := range 100 {
			require.False(t, apply(t, s, take(l, address(1, byte(101+n)), 1))[0].Result.Allowed)
		}
		for n := range 31 {
			require.True(t, apply(t, s, take(l, address(byte(10+n), 1), 10))[0].Result.Allowed, "%s: %d", name, n)
		}
		require.EqualValues(t, 10, level(t, s, l, address(0, 0)), "the rest shares one")
		requireSound(t, s)
	}
}

// A narrow network does not share the bucket of the wide network with the same first address.
func TestWideNetworkIsNoNarrowOne(t *testing.T) {
	s, l, _ := newFullStore(t)
	ask := func(b byte) bool {
		return apply(t, s, take(l, key.Addr(netip.AddrFrom4([4]byte{10, 0, b, 1}), 64), 10))[0].Result.Allowed
	}
	for b := range byte(33) { // 32 narrow ones, and 10.0.0.0/16
		require.True(t, ask(b))
	}
	require.False(t, ask(34))
	require.False(t, ask(0))
}

// Tables of shared buckets do not pile up while limits come and go.
func TestSharedBucketsOfOldLimitsAreForgotten(t *testing.T) {
	s, _, now := newFullStore(t)
	for i := range 1000 {
		*now += time.Minute
		apply(t, s, take(newLimit(t, fmt.Sprint("old", i), 0, 1, time.Minute, 0), user("a"), 1))
	}
	assert.LessOrEqual(t, len(s.overflow.tables), 66)
}

// Many goroutines on shared buckets get at most what they hold. This is for the race detector, too.
func TestSharedBucketsFromManyGoroutines(t *testing.T) {
	s, l, _ := newFullStore(t)
	var all sync.WaitGroup
	var mu sync.Mutex
	allowed := 0
	for w := range 4 {
		all.Go(func() {
			for i := range 200 {
				ops := []store.Op{take(l, user(fmt.Sprint(w, i)), 1), take(l, user(fmt.Sprint(i, w)), 1)}
				assert.NoError(t, s.Apply(context.Background(), ops))
				if ops[0].Result.Allowed && ops[1].Result.Allowed {
					mu.Lock()
					allowed += 2
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	assert.Equal(t, 10, allowed)
}
