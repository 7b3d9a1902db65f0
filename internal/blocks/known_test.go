package blocks

import (
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFind(t *testing.T) {
	w := &watch{now: hour}
	k := newKnown(w)
	assert.Equal(t, answer{}, find(k, "alice"), "nothing is known")
	learn(k, "alice", minu)
	assert.Equal(t, answer{wait: minu}, find(k, "alice"))
	assert.Equal(t, answer{}, find(k, "bob"))
	other := ID{Limit: 8, Key: alice}
	wait, ask := k.Find(other)
	assert.Equal(t, answer{}, answer{wait, ask}, "of another rule")
	w.now += 9999 * ms
	assert.Equal(t, answer{wait: minu - 9999*ms}, find(k, "alice"))
	assert.Equal(t, 1, requireSound(t, k))
}

// An entry is dropped by the first request after its end.
func TestFindAfterTheEnd(t *testing.T) {
	w := new(watch)
	k := newKnown(w)
	learn(k, "alice", sec)
	learn(k, "bob", sec)
	w.now = sec - 1
	assert.Equal(t, answer{wait: 1}, find(k, "alice"))
	w.now = sec
	assert.Equal(t, answer{}, find(k, "alice"))
	assert.Equal(t, 1, requireSound(t, k))
	assert.Equal(t, answer{}, find(k, "bob"))
	assert.Zero(t, requireSound(t, k))
}

// Every ten seconds one caller must call the store. The others are told that the block holds.
func TestFindAsksEveryTenSeconds(t *testing.T) {
	w := new(watch)
	k := newKnown(w)
	learn(k, "alice", hour)
	for range 5 {
		w.now += recheck - 1
		require.Equal(t, answer{wait: hour - w.now}, find(k, "alice"))
		w.now++
		require.Equal(t, answer{ask: true}, find(k, "alice"))
		require.Equal(t, answer{wait: hour - w.now}, find(k, "alice"), "another caller asks")
		learn(k, "alice", hour-w.now)
	}
	w.now += recheck
	require.Equal(t, answer{ask: true}, find(k, "alice"))
	k.Forget(id("alice"))
	assert.Equal(t, answer{}, find(k, "alice"), "the store has said that it was lifted")
	assert.Zero(t, requireSound(t, k))
}

// If the store does not answer, the next attempt is ten seconds later.
func TestFindWithoutAnAnswer(t *testing.T) {
	w := new(watch)
	k := newKnown(w)
	learn(k, "alice", 25*sec)
	for range 2 {
		w.now += recheck
		require.Equal(t, answer{ask: true}, find(k, "alice"))
		w.now += sec
		require.Equal(t, answer{wait: 25*sec - w.now}, find(k, "alice"))
		w.now -= sec
	}
	w.now = 25 * sec
	assert.Equal(t, answer{}, find(k, "alice"))
}

// A request that was denied for another reason calls no store. The next request does.
func TestUnclaim(t *testing.T) {
	w := new(watch)
	k := newKnown(w)
	k.Unclaim(id("alice"))
	assert.Equal(t, answer{}, find(k, "alice"), "nothing to unclaim")
	learn(k, "alice", hour)
	for range 3 {
		w.now += recheck
		require.Equal(t, answer{ask: true}, find(k, "alice"))
		require.Equal(t, answer{wait: hour - w.now}, find(k, "alice"))
		k.Unclaim(id("alice"))
		require.Equal(t, answer{ask: true}, find(k, "alice"))
	}
	k.Unclaim(id("bob"))
	assert.Equal(t, 1, requireSound(t, k))
}

// Get leaves the next call of the store to a caller of Find.
func TestGet(t *testing.T) {
	w := new(watch)
	k := newKnown(w)
	_, ok := k.Get(id("alice"))
	assert.False(t, ok)
	k.Learn(id("alice"), "p", k.Asking(), hour, 3)
	w.now = recheck
	b, ok := k.Get(id("alice"))
	require.True(t, ok)
	assert.Equal(t, Block{Rule: "p", Key: alice, Left: hour - recheck, Times: 3}, b)
	_, ok = k.Get(id("bob"))
	assert.False(t, ok)
	assert.Equal(t, answer{ask: true}, find(k, "alice"))
	w.now = hour
	_, ok = k.Get(id("alice"))
	assert.False(t, ok, "it has ended")
	assert.Equal(t, 1, requireSound(t, k), "Get drops nothing")
}

// Lift also ignores what a call of the store, which has begun before, says of any block.
func TestLift(t *testing.T) {
	w := new(watch)
	k := NewKnown(MaxKnown, false, w.read)
	learn(k, "alice", hour)
	learn(k, "bob", hour)
	before := k.Asking()
	k.Lift(id("alice"))
	assert.Equal(t, answer{}, find(k, "alice"))
	assert.Equal(t, answer{wait: hour}, find(k, "bob"))
	assert.True(t, k.Complete())
	k.Learn(id("alice"), "p", before, hour, 0)
	assert.Equal(t, answer{}, find(k, "alice"))
	assert.False(t, k.Complete(), "the answer may have been about a later block")
	learn(k, "alice", minu)
	assert.Equal(t, answer{wait: minu}, find(k, "alice"))
	assert.Equal(t, 2, requireSound(t, k))
}

func TestForget(t *testing.T) {
	k := newKnown(new(watch))
	learn(k, "alice", hour)
	then := k.Asking()
	k.Forget(id("bob"))
	assert.Equal(t, 1, requireSound(t, k))
	k.Forget(id("alice"))
	assert.Equal(t, answer{}, find(k, "alice"))
	k.Learn(id("alice"), "p", then, minu, 0)
	assert.Equal(t, answer{wait: minu}, find(k, "alice"), "unlike Lift")
}

func TestComplete(t *testing.T) {
	assert.False(t, NewKnown(MaxKnown, true, nil).Complete(), "other instances block keys")
	w := new(watch)
	k := NewKnown(1, false, w.read)
	assert.True(t, k.Complete())
	learn(k, "alice", hour)
	assert.True(t, k.Complete())
	for i := range 1000 {
		learn(k, strconv.Itoa(i), hour)
	}
	assert.False(t, k.Complete(), "some found no room")
	w.now += hour - 1
	assert.False(t, k.Complete())
	w.now++
	assert.True(t, k.Complete(), "all blocks have ended")
}

func TestShardsFillCacheLines(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) == 8 {
		assert.Equal(t, uintptr(64), unsafe.Sizeof(shard{}))
	}
}

// Two blocks can share a place by chance. The later block is not remembered.
func TestBlocksThatShareAPlace(t *testing.T) {
	w := new(watch)
	k := NewKnown(MaxKnown, false, w.read)
	learn(k, "alice", hour)
	aliceID, bobID := id("alice"), id("bob")
	shard, h := k.place(&aliceID)
	e := shard.held[h]
	e.id = bobID // as if the hashes were equal
	assert.Equal(t, answer{}, find(k, "alice"))
	_, ok := k.Get(aliceID)
	assert.False(t, ok)
	learn(k, "alice", hour)
	assert.Equal(t, answer{}, find(k, "alice"))
	assert.False(t, k.Complete())
	k.Forget(aliceID)
	k.Unclaim(aliceID)
	assert.Same(t, e, shard.held[h])
}

// Between the reading of an entry and the lock, another goroutine may replace the entry.
func TestEntryThatIsReplaced(t *testing.T) {
	w := new(watch)
	k := newKnown(w)
	learn(k, "alice", hour)
	aliceID := id("alice")
	old := k.look(&aliceID)
	learn(k, "alice", 2*hour)
	assert.False(t, k.claim(old, w.now))
	k.drop(old)
	assert.Equal(t, answer{wait: 2 * hour}, find(k, "alice"))
	assert.Equal(t, 1, requireSound(t, k))
	k.drop(k.look(&aliceID))
	assert.Zero(t, requireSound(t, k))
	assert.False(t, k.claim(old, w.now))
}

// Of many requests of a blocked key at once, one calls the store.
func TestOneOfManyRequestsAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := NewKnown(MaxKnown, true, nil)
		learn(k, "alice", hour)
		for i := range 3 {
			time.Sleep(recheck)
			var asking atomic.Int32
			var wg sync.WaitGroup
			for range 100 {
				wg.Go(func() {
					switch a := find(k, "alice"); {
					case a.ask:
						asking.Add(1)
					default:
						assert.Equal(t, hour-time.Duration(i+1)*recheck, a.wait)
					}
				})
			}
			wg.Wait()
			assert.Equal(t, int32(1), asking.Load())
		}
	})
}

// Goroutines that learn, find and lift at once leave a Known that is sound.
func TestKnownByManyGoroutines(t *testing.T) {
	w := new(atomic.Int64)
	k := NewKnown(256, false, func() time.Duration { return time.Duration(w.Load()) })
	var wg sync.WaitGroup
	for seed := range uint64(8) {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(1, seed))
			for range 2000 {
				w.Add(int64(5 * ms))
				name := strconv.Itoa(rnd.IntN(400))
				switch rnd.IntN(8) {
				case 0:
					k.Lift(id(name))
				case 1:
					k.Forget(id(name))
				case 2:
					k.Unclaim(id(name))
				case 3:
					k.Each(func(b Block) { assert.Equal(t, "p", b.Rule) })
				case 4, 5:
					learn(k, name, time.Duration(rnd.Int64N(int64(20*sec))))
				default:
					if a := find(k, name); a.ask {
						assert.Zero(t, a.wait)
					}
				}
			}
		})
	}
	wg.Wait()
	assert.Positive(t, requireSound(t, k))
	w.Add(int64(hour))
	for i := range 400 {
		assert.Equal(t, answer{}, find(k, strconv.Itoa(i)))
	}
	assert.Zero(t, requireSound(t, k))
}

// Every request of a rule that blocks keys calls Find, mostly for a key that is not blocked.
func BenchmarkKnownFind(b *testing.B) {
	nothing, others := NewKnown(MaxKnown, false, nil), NewKnown(MaxKnown, false, nil)
	for i := range 1000 {
		learn(others, strconv.Itoa(i), day)
	}
	for _, bc := range []struct {
		name  string
		known *Known
		id    ID
		wait  bool
	}{
		{name: "no block", known: nothing, id: id("alice")},
		{name: "other blocks", known: others, id: id("alice")},
		{name: "blocked", known: others, id: id("1"), wait: true},
	} {
		b.Run(bc.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if wait, _ := bc.known.Find(bc.id); (wait > 0) != bc.wait {
					b.Fatal(wait)
				}
			}
		})
	}
}
