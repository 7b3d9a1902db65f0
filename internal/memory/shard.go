package memory

import (
	"math/bits"
	"sync"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/tally"
	"github.com/ratelimit-go/ratelimit/store"
)

// A shard is one part of a Store: a hash table with open addressing and linear probing. Its slots
// hold no pointers, so the garbage collector does not look into them. The limits of one rule on one
// key have the same home slot, so they lie side by side and one cache miss finds them all.
type shard struct {
	mu     sync.Mutex
	now    time.Duration // the latest instant used; time does not go back behind it
	slots  []slot
	used   int
	hand   int  // where sweeping goes on
	shared bool // it holds buckets that keys without room share
	counts tally.Cache
	_      [32]byte // fills two cache lines on 64 bits
}

// A slot is free if its id is 0.
type slot struct {
	id  uint64 // of the limit
	key store.Key
	store.Bucket
}

const (
	// sweepIdle is how long a bucket is kept after it is full. A client that returns by then finds
	// it in its place, which is three times as fast as making it again.
	sweepIdle = time.Minute

	sweepStep = 8  // slots looked at for each new key
	sweepFull = 64 // slots looked at for each new key that has no room
)

// tick returns the later of now and all instants before it. Readings of the clock may arrive out of
// order.
func (sh *shard) tick(now time.Duration) time.Duration {
	sh.now = max(sh.now, now)
	return sh.now
}

// home returns where to look first in slots for the key with this hash under the limit id.
func home(slots []slot, id, hash uint64) int {
	hi, _ := bits.Mul64(hash^id&^0xff, uint64(len(slots)))
	return int(hi)
}

func (sh *shard) next(i int) int {
	if i++; i < len(sh.slots) {
		return i
	}
	return 0
}

// find returns the bucket of key under the limit id, or nil. The pointer is valid until a slot
// moves, in reserve or sweep.
func (sh *shard) find(id uint64, key *store.Key, hash uint64) *store.Bucket {
	if i := sh.index(id, key, hash); i >= 0 {
		return &sh.slots[i].Bucket
	}
	return nil
}

// index returns the slot of key under the limit id, or -1.
func (sh *shard) index(id uint64, key *store.Key, hash uint64) int {
	if len(sh.slots) == 0 {
		return -1
	}
	for i := home(sh.slots, id, hash); ; i = sh.next(i) {
		sl := &sh.slots[i]
		if sl.is(id, key) {
			return i
		}
		if sl.id == 0 {
			return -1
		}
	}
}

// kin returns the buckets that the key of op has under its rule, without the limits that skip
// reports. It allocates nothing if it finds none.
func (sh *shard) kin(op *store.Op, hash uint64, skip func(id uint64) bool) (kin []*store.Bucket) {
	if len(sh.slots) == 0 {
		return nil
	}
	id := op.Limit.ID()
	for i := home(sh.slots, id, hash); sh.slots[i].id != 0; i = sh.next(i) {
		if sl := &sh.slots[i]; sl.is(id&^0xff|sl.id&0xff, &op.Key) && !skip(sl.id) {
			kin = append(kin, &sl.Bucket)
		}
	}
	return kin
}

func (sl *slot) is(id uint64, key *store.Key) bool { return sl.id == id && sl.key == *key }

// insert adds a full bucket for a key that find did not find. There must be a free slot left over:
// see reserve.
func (sh *shard) insert(id uint64, key *store.Key, hash uint64) *store.Bucket {
	i := home(sh.slots, id, hash)
	for sh.slots[i].id != 0 {
		i = sh.next(i)
	}
	sh.used++
	sh.slots[i] = slot{id: id, key: *key}
	return &sh.slots[i].Bucket
}

// reserve makes the table large enough for n more buckets, at most four fifths full.
func (sh *shard) reserve(s *Store, n int) {
	if (sh.used+n)*5 <= len(sh.slots)*4 {
		return
	}
	old := sh.slots
	sh.slots = make([]slot, max(len(old)*5/4, (sh.used+n)*5/4)+4)
	sh.used, sh.hand = 0, 0
	for i := range old {
		if sl := &old[i]; sl.id != 0 {
			*sh.insert(sl.id, &sl.key, s.seed.Hash(&sl.key)) = sl.Bucket
		}
	}
}

// makeRoom drops a few idle buckets. It reports whether the key of op gets a bucket of its own, and
// whether room for it is set aside. If the store has no room, makeRoom drops a bucket of the same
// limit that has been full for some time, but only if the new one is to be charged.
func (s *Store) makeRoom(sh *shard, op *store.Op, now time.Duration, charges bool) (own, room bool) {
	sh.sweep(s, now-sweepIdle, sweepStep)
	if s.setAsideFor(op) || sh.sweep(s, now-sweepIdle, sweepFull/2) && s.setAsideFor(op) {
		return true, true
	}
	i := sh.victim(op.Limit, now)
	if i < 0 || !charges {
		return i >= 0, false
	}
	sh.remove(s, i)
	room = s.setAside()
	return room, room
}

// victim returns the slot of a bucket of l that may be dropped for another one, or -1. That is the
// one, of a few, that has been full for the longest time.
//
// It must have been full for the time of 16 tokens, or for sweepIdle if that is less. Clients that
// make a sixteenth of the requests that they may make keep their buckets in every flood.
func (sh *shard) victim(l *store.Limit, now time.Duration) int {
	const tokens = 16
	best, longest := -1, tokens*min(sweepIdle/tokens, l.Period()/time.Duration(l.Count()))
	i := sh.hand - 1
	for range min(sweepFull, len(sh.slots)) {
		i = sh.next(i)
		if sl := &sh.slots[i]; sl.id == l.ID() && sl.Idle(now) >= longest {
			best, longest = i, sl.Idle(now)
		}
	}
	return best
}

// setAsideFor sets room for one more bucket aside, for the limit and key of op. It reports false if
// the store is full, or if the limit or the network of the key already holds its share.
func (s *Store) setAsideFor(op *store.Op) bool {
	free := s.maxKeys - s.keys.Load()
	return (free > s.maxKeys/2 || s.census.allows(&s.seed, op.Limit.ID(), &op.Key, free)) && s.setAside()
}

// setAside sets room for one more bucket aside, and reports whether there was any.
func (s *Store) setAside() bool {
	if s.keys.Add(1) <= s.maxKeys {
		return true
	}
	s.keys.Add(-1)
	return false
}

// sweep looks at the next n slots, frees those whose buckets were full at the instant now, and
// reports whether it freed any.
func (sh *shard) sweep(s *Store, now time.Duration, n int) bool {
	freed := false
	for range min(n, len(sh.slots)) {
		if sh.hand >= len(sh.slots) {
			sh.hand = 0
		}
		if sl := &sh.slots[sh.hand]; sl.id != 0 && sl.Full(now) {
			sh.remove(s, sh.hand)
			freed = true
			continue // another bucket may have moved to this slot
		}
		sh.hand++
	}
	return freed
}

// remove drops the bucket in slot i and moves the slots behind it up, so that no search ends early
// (Knuth, TAOCP vol. 3, 6.4, algorithm R).
func (sh *shard) remove(s *Store, i int) {
	n, sl := len(sh.slots), &sh.slots[i]
	if !sh.shared {
		s.keys.Add(-1)
		s.census.add(&s.seed, sl.id, &sl.key, s.seed.Hash(&sl.key), -1)
	}
	for j := sh.next(i); sh.slots[j].id != 0; j = sh.next(j) {
		sl := &sh.slots[j]
		home := home(sh.slots, sl.id, s.seed.Hash(&sl.key))
		if (j-home+n)%n >= (j-i+n)%n {
			sh.slots[i] = *sl
			i = j
		}
	}
	sh.slots[i] = slot{}
	sh.used--
}
