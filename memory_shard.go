package ratelimit

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// A shard is one part of a MemoryStore: a hash table with open addressing and linear
// probing. Its slots hold no pointers, so the garbage collector does not look
// into them. The limits of one rule on one key have the same home slot, so they
// lie side by side and one cache miss finds them all.
type shard struct {
	mu    sync.Mutex
	now   int64 // the latest instant used; time does not go back behind it
	slots []slot
	used  int
	hand  int                     // where sweeping goes on
	table *atomic.Pointer[[]slot] // slots again, in MemoryStore.tables: see warm
}

// A slot is free if its id is 0.
type slot struct {
	id  uint64 // of the limit; it is written atomically, for warm
	key Key
	bucket
}

const (
	// sweepIdle is how long a bucket is kept after it is full, in nanoseconds: a client that
	// comes back by then finds it in its place, which is five times as fast as making it anew.
	sweepIdle = int64(time.Minute)

	sweepStep = 8  // slots looked at for each new key
	sweepFull = 64 // slots looked at for each new key when the store is full
)

// tick returns the later of now and all instants before it. Readings of the clock
// may arrive out of order.
func (sh *shard) tick(now int64) int64 {
	sh.now = max(sh.now, now)
	return sh.now
}

// home returns where to look first in slots for the key with this hash under the limit id.
func home(slots []slot, id, hash uint64) int {
	hi, _ := bits.Mul64(hash^id&^0xff, uint64(len(slots)))
	return int(hi)
}

// warm loads the line of the first slot of a key before the lock of its shard is asked for. What
// it reads does not matter: a line that another processor had last is then fetched before the lock is
// taken, and nobody waits for it behind that lock. For several limits, whose slots are
// more lines than this one, it makes no difference.
func (s *MemoryStore) warm(id, hash uint64) {
	if slots := s.tables[hash&s.mask].Load(); slots != nil {
		atomic.LoadUint64(&(*slots)[home(*slots, id, hash)].id)
	}
}

func (sh *shard) next(i int) int {
	if i++; i < len(sh.slots) {
		return i
	}
	return 0
}

// find returns the bucket of key under the limit id, or nil. The pointer is valid
// until a slot moves, in reserve or sweep.
func (sh *shard) find(id uint64, key *Key, hash uint64) *bucket {
	if i := sh.index(id, key, hash); i >= 0 {
		return &sh.slots[i].bucket
	}
	return nil
}

// index returns the slot of key under the limit id, or -1.
func (sh *shard) index(id uint64, key *Key, hash uint64) int {
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

func (sl *slot) is(id uint64, key *Key) bool { return sl.id == id && sl.key == *key }

func (sl *slot) set(to *slot) {
	atomic.StoreUint64(&sl.id, to.id)
	sl.key, sl.bucket = to.key, to.bucket
}

// insert adds a full bucket for a key that find did not find. There must be a
// free slot left over, see reserve.
func (sh *shard) insert(id uint64, key *Key, hash uint64) *bucket {
	i := home(sh.slots, id, hash)
	for sh.slots[i].id != 0 {
		i = sh.next(i)
	}
	sh.used++
	sh.slots[i].set(&slot{id: id, key: *key})
	return &sh.slots[i].bucket
}

// reserve makes the table large enough for n more buckets, at most four fifths full.
func (sh *shard) reserve(s *MemoryStore, n int) {
	if (sh.used+n)*5 <= len(sh.slots)*4 {
		return
	}
	old := sh.slots
	slots := make([]slot, max(len(old)*5/4, (sh.used+n)*5/4)+4)
	sh.slots = slots
	sh.table.Store(&slots)
	sh.used, sh.hand = 0, 0
	for i := range old {
		if sl := &old[i]; sl.id != 0 {
			*sh.insert(sl.id, &sl.key, s.seed.hash(&sl.key)) = sl.bucket
		}
	}
}

// makeRoom drops a few buckets that are idle, and reports whether the store has room for
// one more, which it then sets aside. If it has none, whatever is full has to go.
func (s *MemoryStore) makeRoom(sh *shard, now int64) bool {
	sh.sweep(s, now-sweepIdle, sweepStep)
	return s.setAside() || sh.sweep(s, now, sweepFull) && s.setAside()
}

// setAside takes room for one more bucket, if there is any.
func (s *MemoryStore) setAside() bool {
	if s.keys.Add(1) <= s.maxKeys {
		return true
	}
	s.keys.Add(-1)
	return false
}

// sweep looks at the next n slots, frees those whose buckets were full at the instant
// given, and reports whether there were any.
func (sh *shard) sweep(s *MemoryStore, now int64, n int) bool {
	freed := false
	for range min(n, len(sh.slots)) {
		if sh.hand >= len(sh.slots) {
			sh.hand = 0
		}
		if sl := &sh.slots[sh.hand]; sl.id != 0 && sl.isFull(now) {
			sh.remove(s, sh.hand)
			s.keys.Add(-1)
			freed = true
			continue // another bucket may have moved to this slot
		}
		sh.hand++
	}
	return freed
}

// remove frees slot i and moves the slots behind it up, so that no search ends
// early (Knuth, TAOCP vol. 3, 6.4, algorithm R).
func (sh *shard) remove(s *MemoryStore, i int) {
	n := len(sh.slots)
	for j := sh.next(i); sh.slots[j].id != 0; j = sh.next(j) {
		sl := &sh.slots[j]
		home := home(sh.slots, sl.id, s.seed.hash(&sl.key))
		if (j-home+n)%n >= (j-i+n)%n {
			sh.slots[i].set(sl)
			i = j
		}
	}
	sh.slots[i].set(new(slot))
	sh.used--
}
