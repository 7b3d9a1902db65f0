package ratelimit

import (
	"hash/maphash"
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
	seed   maphash.Seed
	count  atomic.Int64  // that are held, ended ones among them
	epoch  atomic.Uint64 // counts what was lifted
	most   int           // in each shard
	shards [blockShards]blockShard
}

const (
	blockShards = 64

	// maxBlocks is how many blocks are remembered. They take about 10 MB.
	maxBlocks = 65_536

	// blockRecheck is how long a block is believed before the store is asked about it again, so
	// that one that was lifted elsewhere does not hold for much longer.
	blockRecheck = int64(10 * time.Second)

	// blockSweep is how many blocks a new one looks at, to find some that have ended, when there is no room.
	blockSweep = 16
)

type blockShard struct {
	mu   sync.RWMutex
	held map[offender]blocked // nil until the first
	_    [32]byte             // a cache line for each
}

// An offender is a key under a rule, by the id of the rule's block limit.
type offender struct {
	id  uint64
	key Key
}

// blocked is what is known of a block.
type blocked struct {
	rule    string
	end     int64 // not later than in the store, by the time of a trip
	told    int64 // not earlier, so a client who waits until then is not refused again
	checked int64 // when the store was asked
	repeats int   // how often it was blocked, this time included; 0 if that is not known
}

func newBlocks(most int) *blocks {
	return &blocks{start: time.Now(), seed: maphash.MakeSeed(), most: (most + blockShards - 1) / blockShards}
}

func (b *blocks) now() int64 { return int64(time.Since(b.start)) }

func (b *blocks) shard(who offender) *blockShard {
	return &b.shards[maphash.Comparable(b.seed, who)%blockShards]
}

// find returns for how long who is blocked, 0 if it is not or that is not known. If ask is
// true, it was of late, and it is the caller who has to ask the store whether it still is.
func (b *blocks) find(who offender) (wait time.Duration, ask bool) {
	if b.count.Load() == 0 {
		return 0, false
	}
	s := b.shard(who)
	s.mu.RLock()
	known, ok := s.held[who]
	s.mu.RUnlock()
	if !ok {
		return 0, false
	}
	now := b.now()
	switch {
	case now >= known.end:
		b.drop(who, known)
		return 0, false
	case now-known.checked >= blockRecheck && b.claim(who, now):
		return 0, true
	}
	return time.Duration(known.told - now), false
}

// claim makes the caller the one who asks the store about who, unless somebody else is.
func (b *blocks) claim(who offender, now int64) bool {
	s := b.shard(who)
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.held[who]
	if !ok || now-known.checked < blockRecheck {
		return false
	}
	known.checked = now
	s.held[who] = known
	return true
}

// drop forgets what is known of who, unless it has changed.
func (b *blocks) drop(who offender, known blocked) {
	s := b.shard(who)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[who] == known {
		b.delete(s, who)
	}
}

// lift forgets who, whatever is under way.
func (b *blocks) lift(who offender) {
	b.epoch.Add(1)
	b.forget(who)
}

func (b *blocks) forget(who offender) {
	s := b.shard(who)
	s.mu.Lock()
	defer s.mu.Unlock()
	b.delete(s, who)
}

func (b *blocks) delete(s *blockShard, who offender) {
	if _, ok := s.held[who]; ok {
		delete(s.held, who)
		b.count.Add(-1)
	}
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
	fresh := blocked{rule: rule, end: then.at + int64(d), told: now + int64(d), checked: then.at, repeats: repeats}
	s := b.shard(who)
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.epoch.Load() != then.epoch {
		return // what was answered may have been lifted since
	}
	old, ok := s.held[who]
	switch {
	case ok:
		if fresh.repeats == 0 {
			fresh.repeats = old.repeats
		}
	case !b.room(s, now):
		return
	default:
		b.count.Add(1)
	}
	s.held[who] = fresh
}

// room reports whether s has room for one more.
func (b *blocks) room(s *blockShard, now int64) bool {
	if s.held == nil {
		s.held = map[offender]blocked{}
	}
	if len(s.held) < b.most {
		return true
	}
	n := 0
	for who, known := range s.held { // which begins anywhere
		if now >= known.end {
			b.delete(s, who)
			return true
		}
		if n++; n == blockSweep {
			break
		}
	}
	return false
}

// each calls f for each block that is known and has not ended.
func (b *blocks) each(f func(who offender, known blocked, left time.Duration)) {
	now := b.now()
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.RLock()
		for who, known := range s.held {
			if now < known.end {
				f(who, known, time.Duration(known.told-now))
			}
		}
		s.mu.RUnlock()
	}
}
