package blocks

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/store"
)

// A call of the store takes time. The block ends by the time before the call, and a client is told
// to wait by the time after it.
func TestLearnOfASlowAnswer(t *testing.T) {
	w := &watch{now: hour}
	k := newKnown(w)
	then := k.Asking()
	w.now += 2 * sec
	k.Learn(id("alice"), "p", then, minu, 0)
	assert.Equal(t, answer{wait: minu}, find(k, "alice"))
	w.now = hour + recheck - 1
	assert.Equal(t, answer{wait: minu + 2*sec - recheck + 1}, find(k, "alice"))
	w.now = hour + recheck
	assert.Equal(t, answer{ask: true}, find(k, "alice"), "ten seconds after the call began")
	w.now = hour + minu
	assert.Equal(t, answer{}, find(k, "alice"))
}

// An answer about a known block replaces it, but keeps how often the key was blocked.
func TestLearnAgain(t *testing.T) {
	w := new(watch)
	k := newKnown(w)
	for _, row := range []struct {
		d           time.Duration
		times, want int
	}{
		{d: hour, times: 0, want: 0}, {d: minu, times: 2, want: 2}, {d: day, times: 0, want: 2}, {d: hour, times: 3, want: 3},
	} {
		k.Learn(id("alice"), "p", k.Asking(), row.d, row.times)
		b, ok := k.Get(id("alice"))
		require.True(t, ok)
		assert.Equal(t, Block{Rule: "p", Key: alice, Left: row.d, Times: row.want}, b)
		assert.Equal(t, 1, requireSound(t, k))
	}
}

// names returns n names of users.
func names(from, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = strconv.Itoa(from + i)
	}
	return all
}

// known returns how many of the named users k knows to be blocked.
func known(k *Known, names []string) (n int) {
	for _, name := range names {
		if _, ok := k.Get(id(name)); ok {
			n++
		}
	}
	return n
}

// The memory is bounded. A block that finds no room is not remembered, and replaces no other block.
func TestLearnWithoutRoom(t *testing.T) {
	w := new(watch)
	k := NewKnown(1000, false, w.read)
	first, second := names(0, 2000), names(2000, 2000)
	for _, name := range first {
		learn(k, name, hour)
	}
	held := requireSound(t, k)
	assert.InDelta(t, 1000, held, shardCount)
	assert.Equal(t, held, known(k, first))
	assert.False(t, k.Complete())
	for _, name := range second {
		learn(k, name, hour)
	}
	assert.Equal(t, held, known(k, first))
	assert.Equal(t, held+known(k, second), requireSound(t, k))
	for _, name := range first { // a known block needs no room
		learn(k, name, 2*hour)
	}
	assert.Equal(t, held, known(k, first))

	third := names(4000, 20000) // many for each shard
	w.now = 2 * hour            // all blocks have ended
	for _, name := range third {
		learn(k, name, hour)
	}
	assert.Equal(t, requireSound(t, k), known(k, third), "ended blocks have made room")
	assert.InDelta(t, 1000, requireSound(t, k), shardCount)
}

// A new block looks at 16 entries to find an ended block. A flood must not make each search long.
func TestRoomIsSearchedForBriefly(t *testing.T) {
	w := new(watch)
	k := NewKnown(shardCount*1000, false, w.read)
	s := &k.shards[0]
	require.True(t, k.room(s, w.now))
	for i := range 999 {
		s.held[uint64(i)] = &entry{end: hour}
	}
	assert.True(t, k.room(s, w.now), "one more")
	s.held[999] = &entry{end: hour}
	assert.False(t, k.room(s, w.now))
	s.held[999] = &entry{end: 0}
	found := 0
	for range 1000 { // each search begins anywhere
		if k.count.Store(1000); k.room(s, w.now) {
			found++
			s.held[999] = &entry{end: 0}
		}
	}
	assert.Greater(t, found, 0)
	assert.Less(t, found, 100, "a search of all entries would have found it each time")
}

func TestEach(t *testing.T) {
	w := new(watch)
	k := newKnown(w)
	learn(k, "carol", sec)
	k.Learn(id("alice"), "p", k.Asking(), hour, 2)
	k.Learn(id("bob"), "q", k.Asking(), minu, 0)
	w.now = recheck
	var all []Block
	k.Each(func(b Block) { all = append(all, b) })
	assert.ElementsMatch(t, []Block{
		{Rule: "p", Key: alice, Left: hour - recheck, Times: 2}, {Rule: "q", Key: user("bob"), Left: minu - recheck},
	}, all)
	assert.Equal(t, 3, requireSound(t, k), "Each drops nothing")
	assert.Equal(t, answer{ask: true}, find(k, "alice"), "and does not ask instead of a request")
}

// A block that the store does not know holds until its end, and Find never asks about it.
func TestByHandWithoutRoom(t *testing.T) {
	var w watch
	k := newKnown(&w)
	full := &store.Result{Allowed: true, Overflow: true}
	n, err := k.ByHand(id("a"), "p", k.Asking(), hour, full)
	require.EqualError(t, err,
		`ratelimit: rule "p": the store has no room for user:a: only this process blocks it`)
	require.Equal(t, int64(1), n)
	for ; w.now < hour; w.now += minu {
		require.Equal(t, answer{wait: hour - w.now}, find(k, "a"))
	}
	assert.Zero(t, find(k, "a"))
	requireSound(t, k)

	none := NewKnown(0, true, w.read)
	n, err = none.ByHand(id("a"), "p", none.Asking(), hour, full)
	require.EqualError(t, err, `ratelimit: rule "p": the store has no room for user:a: it is not blocked`)
	assert.Zero(t, n)
	assert.Zero(t, find(none, "a"))

	n, err = none.ByHand(id("a"), "p", none.Asking(), hour, &store.Result{Allowed: true})
	require.NoError(t, err)
	assert.Equal(t, int64(1), n, "the store knows the block")
}
