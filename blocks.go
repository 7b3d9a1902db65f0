package ratelimit

import (
	"sync"
	"sync/atomic"
	"time"
)

// blocks remembers keys that are blocked, so that refusing them costs no trip to the store.
//
// Memory is bounded. A block that finds no room is not remembered, so that key costs a
// trip each time; it is refused all the same.
//
// It is safe for concurrent use, and must not be copied. All instants are nanoseconds since it
// was made.
type blocks struct {
	start  time.Time
	seed   hashSeed
	count  atomic.Int64  // that are held, ended ones among them
	epoch  atomic.Uint64 // counts what was lifted
	most   int           // in each shard
	shared bool          // other limiters block keys in the same store
	missed atomic.Bool   // a block of this one was not remembered
	shards [blockShards]blockShard
}

const (
	blockShards = 64

	// maxBlocks is how many blocks are remembered. They take about 12 MB.
	maxBlocks = 65_536

	// blockRecheck is how long a block is believed before the store is asked about it again, so
	// that one that was lifted elsewhere does not hold for much longer.
	blockRecheck = int64(10 * time.Second)

	// blockSweep is how many blocks a new one looks at, to find some that have ended, when there is
	// no room.
	blockSweep = 16
)

type blockShard struct {
	mu   sync.RWMutex
	held map[uint64]*blocked // by the hash of who is blocked; nil until the first
	_    [48]byte            // a cache line for each
}

// An offender is a key under a rule, by the id of the rule's block limit.
type offender struct {
	id  uint64
	key Key
}

// blocked is what is known of a block. It is immutable.
type blocked struct {
	offender
	rule    string
	end     int64 // not later than in the store, by the time of a trip
	told    int64 // not earlier, so a client who waits until then is not refused again
	checked int64 // when the store was asked
	repeats int   // how often it was blocked, this time included; 0 if that is not known
}

func newBlocks(most int, shared bool) *blocks {
	return &blocks{start: time.Now(), seed: newHashSeed(), most: (most + blockShards - 1) / blockShards, shared: shared}
}

// complete reports whether there is no block that b does not know.
func (b *blocks) complete() bool { return !b.shared && !b.missed.Load() }

func (b *blocks) now() int64 { return int64(time.Since(b.start)) }

// place returns where what is known of who is kept. Another one that has the same place, which
// nobody can bring about, is not remembered.
func (b *blocks) place(who *offender) (*blockShard, uint64) {
	h := b.seed.hash(&who.key) ^ who.id
	return &b.shards[h%blockShards], h
}

// find returns for how long who is blocked, 0 if it is not or that is not known. If ask is
// true, it was of late, and it is the caller who has to ask the store whether it still is.
func (b *blocks) find(who offender) (wait time.Duration, ask bool) {
	if b.count.Load() == 0 {
		return 0, false
	}
	known := b.look(who)
	if known == nil {
		return 0, false
	}
	now := b.now()
	switch {
	case now >= known.end:
		b.drop(known)
		return 0, false
	case now-known.checked >= blockRecheck && b.claim(known, now):
		return 0, true
	}
	return time.Duration(known.told - now), false
}

// look returns what is known of who, or nil.
func (b *blocks) look(who offender) *blocked {
	s, h := b.place(&who)
	s.mu.RLock()
	known := s.held[h]
	s.mu.RUnlock()
	if known == nil || known.offender != who {
		return nil
	}
	return known
}

// holds reports whether find would say that who is blocked. It makes nobody ask the store.
func (b *blocks) holds(who offender) bool {
	if b.count.Load() == 0 {
		return false
	}
	known, now := b.look(who), b.now()
	return known != nil && now < known.end && now-known.checked < blockRecheck
}

// claim makes the caller the one who asks the store about a block, unless somebody else is.
func (b *blocks) claim(known *blocked, now int64) bool {
	s, h := b.place(&known.offender)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[h] != known {
		return false
	}
	claimed := *known
	claimed.checked = now
	s.held[h] = &claimed
	return true
}

// unclaim says that the caller who was to ask the store about a block has not.
func (b *blocks) unclaim(who offender) {
	s, h := b.place(&who)
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.held[h]; known != nil && known.offender == who {
		again := *known
		again.checked = b.now() - blockRecheck
		s.held[h] = &again
	}
}

// drop forgets a block, unless more is known by now.
func (b *blocks) drop(known *blocked) {
	s, h := b.place(&known.offender)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[h] == known {
		b.delete(s, h)
	}
}

// lift forgets who, whatever is under way.
func (b *blocks) lift(who offender) {
	b.epoch.Add(1)
	b.forget(who)
}

func (b *blocks) forget(who offender) {
	s, h := b.place(&who)
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.held[h]; known != nil && known.offender == who {
		b.delete(s, h)
	}
}

func (b *blocks) delete(s *blockShard, h uint64) {
	delete(s.held, h)
	b.count.Add(-1)
}

// since is when the store was asked, for what it answers.
type since struct {
	at    int64
	epoch uint64
}

func (b *blocks) asking() since { return since{b.now(), b.epoch.Load()} }

// learn remembers that the store, asked then, has answered that who is blocked for d.
func (b *blocks) learn(who offender, rule string, then since, d time.Duration, repeats int) {
	now := b.now()
	fresh := &blocked{offender: who, rule: rule, end: then.at + int64(d), told: now + int64(d), checked: then.at, repeats: repeats}
	s, h := b.place(&who)
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.epoch.Load() != then.epoch {
		b.missed.Store(true)
		return // what was answered may have been lifted since
	}
	old := s.held[h]
	switch {
	case old != nil && old.offender == who:
		if fresh.repeats == 0 {
			fresh.repeats = old.repeats
		}
	case old != nil || !b.room(s, now):
		b.missed.Store(true)
		return
	default:
		b.count.Add(1)
	}
	s.held[h] = fresh
}

// room reports whether s has room for one more.
func (b *blocks) room(s *blockShard, now int64) bool {
	if s.held == nil {
		s.held = map[uint64]*blocked{}
	}
	if len(s.held) < b.most {
		return true
	}
	n := 0
	for h, known := range s.held { // which begins anywhere
		if now >= known.end {
			b.delete(s, h)
			return true
		}
		if n++; n == blockSweep {
			break
		}
	}
	return false
}

// each calls f for each block that is known and has not ended.
func (b *blocks) each(f func(known *blocked, left time.Duration)) {
	now := b.now()
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.Lock()
		for _, known := range s.held {
			if now < known.end {
				f(known, time.Duration(known.told-now))
			}
		}
		s.mu.Unlock()
	}
}
