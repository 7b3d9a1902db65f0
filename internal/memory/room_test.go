package memory

import (
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/ratelimit-go/ratelimit/internal/key"
	"github.com/ratelimit-go/ratelimit/internal/tally"
	"github.com/ratelimit-go/ratelimit/store"
)

// A store without room counts no bucket that it did not set aside.
func TestSetAside(t *testing.T) {
	s := New(64, nil)
	s.keys.Store(63)
	assert.True(t, s.setAside())
	assert.False(t, s.setAside())
	assert.EqualValues(t, 64, s.keys.Load())
}

// Ten buckets are of one limit, and of one network. Each has its share of the free places.
func TestSharesOfTheFreePlaces(t *testing.T) {
	var c census
	c.prepare(1000)
	seed := key.NewSeed()
	address := func(text string) store.Key { return key.Addr(netip.MustParseAddr(text), 64) }
	one := address("2001:db8:1:1::1")
	c.add(&seed, 1, &one, 0, 10)
	allowed := func(id uint64, k store.Key, free int64) bool { return c.allows(&seed, id, &k, free) }

	assert.False(t, allowed(1, user("alice"), 2), "the limit has four times the free places")
	assert.True(t, allowed(1, user("alice"), 3))
	assert.True(t, allowed(2, user("alice"), 1))
	assert.False(t, allowed(2, user("alice"), 0))
	assert.False(t, allowed(2, one, 159), "its network has a 16th of the free places")
	assert.True(t, allowed(2, one, 160))

	_, wide, _ := key.Network(one)
	c.narrow = [len(c.narrow)]atomic.Int32{}
	assert.False(t, allowed(2, one, 9), "the wide network has as many as are free")
	assert.True(t, allowed(2, one, 10))
	assert.EqualValues(t, 10, c.wide[seed.Hash(&wide)%256].Load())
}

// In a store that is more than half empty, every key finds room.
func TestSharesCountFromHalfFullOn(t *testing.T) {
	s, _ := newStore(1000)
	l := newLimit(t, "r", 0, 10, time.Hour, 0)
	var overflowed [2]int // before and after
	for i := range 1000 {
		k := key.Addr(netip.AddrFrom4([4]byte{192, 0, 2 + byte(i/250), byte(i % 250)}), 32)
		if apply(t, s, take(l, k, 1))[0].Result.Overflow {
			overflowed[i/500]++
		}
	}
	assert.Zero(t, overflowed[0])
	assert.Greater(t, overflowed[1], 400, "of one limit and four networks")
}

// Of 65,536 keys or more, it counts one in a power of two.
func TestCensusOfALargeStore(t *testing.T) {
	for maxKeys, want := range map[int]uint{1: 0, 65_535: 0, 65_536: 1, 131_072: 2, 262_144: 3, 1 << 20: 5} {
		var c census
		c.prepare(maxKeys)
		assert.Equal(t, want, c.factor, maxKeys)
	}
	var c census
	c.prepare(262_144)
	seed, k := key.NewSeed(), user("alice")
	for hash, want := range map[uint64]int64{0: 8, 1 << 15: 8, 1 << 16: 0, 1 << 17: 0, 1 << 18: 0, 1 << 19: 8} {
		before := c.has(c.ofLimit(1))
		c.add(&seed, 1, &k, hash, 1)
		assert.Equal(t, want, c.has(c.ofLimit(1))-before, "%x", hash)
	}
}

// Every key that has a bucket takes the short way, in every slot.
func TestEveryBucketIsKnown(t *testing.T) {
	s := New(64, nil)
	l := newLimit(t, "r", 0, 10, time.Hour, 0)
	for i := range 32 {
		op := take(l, user(fmt.Sprint(i)), 1)
		assert.False(t, s.ApplyKnown([]store.Op{op}, nil))
		assert.NoError(t, s.Apply(t.Context(), []store.Op{op}))
		assert.True(t, s.ApplyKnown([]store.Op{op}, nil))
	}

	s = New(64, nil)
	other := newLimit(t, "r", 1, 10, time.Minute, 0)
	for i := range 16 {
		ops := []store.Op{take(l, user(fmt.Sprint(i)), 1), take(other, user(fmt.Sprint(i)), 1)}
		assert.False(t, s.ApplyKnown(ops, nil))
		assert.NoError(t, s.Apply(t.Context(), ops))
		assert.True(t, s.ApplyKnown(ops, nil))
		slices.Reverse(ops)
		assert.True(t, s.ApplyKnown(ops, nil))
	}
}

// A full bucket makes room for another network, when all places of networks are taken. Each network
// is of another /16.
func TestNetworksLeaveTheirSharedBuckets(t *testing.T) {
	s, l, now := newFullStore(t)
	network := func(i int) store.Key {
		return key.Addr(netip.AddrFrom4([4]byte{192, byte(i), 0, 1}), 32)
	}
	for i := range 64 {
		apply(t, s, take(l, network(i), 1))
	}
	apply(t, s, take(l, network(100), 10))
	assert.Zero(t, level(t, s, l, network(101)), "networks without a place share one bucket")
	assert.EqualValues(t, 9, level(t, s, l, network(63)))

	*now += time.Hour
	apply(t, s, take(l, network(102), 10))
	assert.Zero(t, level(t, s, l, network(102)))
	assert.EqualValues(t, 10, level(t, s, l, network(103)))
	apply(t, s, take(l, network(103), 1))
	assert.EqualValues(t, 9, level(t, s, l, network(103)))
	assert.EqualValues(t, 10, level(t, s, l, network(104)))
}

// A Take of no tokens, a Peek, a Refund and a Reset leave no bucket.
func TestOpsThatLeaveNoBucket(t *testing.T) {
	s, _ := newStore(64)
	l := per(t, 10, time.Hour)
	for _, op := range []store.Op{
		take(l, user("a"), 0),
		{Kind: store.TakeUpTo, Limit: l, Key: user("a")},
		{Kind: store.Peek, Limit: l, Key: user("a"), Cost: 3},
		{Kind: store.Refund, Limit: l, Key: user("a"), Cost: 3},
		{Kind: store.Reset, Limit: l, Key: user("a")},
	} {
		apply(t, s, op)
		assert.Zero(t, s.Stats().Keys, op.Kind)
	}
	apply(t, s, take(l, user("a"), 1))
	assert.Equal(t, 1, s.Stats().Keys)
}

// In a full store, an idle bucket makes room only for a key that is charged.
func TestIdleBucketsStayUntilAKeyIsCharged(t *testing.T) {
	s, now := newStore(1)
	l := per(t, 1000, time.Second)
	apply(t, s, take(l, user("known"), 1))
	*now = 100 * time.Millisecond
	for _, op := range []store.Op{
		take(l, user("other"), 0),
		{Kind: store.TakeUpTo, Limit: l, Key: user("other")},
		{Kind: store.Peek, Limit: l, Key: user("other"), Cost: 1},
	} {
		apply(t, s, op)
		assert.Equal(t, 1, s.Stats().Keys, op.Kind)
	}
	assert.False(t, apply(t, s, take(l, user("other"), 1))[0].Result.Overflow)
	assert.Equal(t, 1, s.Stats().Keys)
}

// Count moves what the short way has counted to the rule.
func TestCount(t *testing.T) {
	s, _ := newStore(64)
	l, rule := per(t, 10, time.Hour), new(tally.Rule)
	op := take(l, user("a"), 1)
	apply(t, s, op)
	for range 3 {
		assert.True(t, s.ApplyKnown([]store.Op{op}, rule))
	}
	s.Count()
	assert.EqualValues(t, 3, rule.Outcomes[tally.Allowed].Load())
	s.Count()
	assert.EqualValues(t, 3, rule.Outcomes[tally.Allowed].Load())
}
