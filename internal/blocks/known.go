package blocks

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/key"
)

// Known remembers the blocks that an instance has begun or heard of from the store. It is safe for
// concurrent use and must not be copied. Make it with [NewKnown].
//
// Its memory is bounded. A block that finds no room is not remembered, so each request of its key
// needs a call of the store, which denies it. All instants are times since any beginning that the
// clock chooses.
type Known struct {
	clock  func() time.Duration
	seed   key.Seed
	count  atomic.Int64  // of entries, including entries of ended blocks
	epoch  atomic.Uint64 // counts the calls of Lift
	most   int           // entries per shard
	shared bool          // other instances block keys in the same store
	missed atomic.Int64  // when the last block ends that was not remembered; 0 if none was
	shards [shardCount]shard
}

// MaxKnown is how many blocks a limiter remembers. They take about 8 MB.
const MaxKnown = 65_536

const (
	shardCount = 64

	// recheck is how long an answer of the store is trusted, so that the end of a block that
	// another instance has lifted is seen.
	recheck = 10 * time.Second

	// If there is no room for a new block, sweepStep is how many entries it looks at to find an
	// ended block.
	sweepStep = 16
)

type shard struct {
	mu   sync.RWMutex
	held map[uint64]*entry // by the hash of the ID; nil until the first
	_    [32]byte          // fills a cache line on 64 bits
}

// An ID names a block: [Buckets.ID] makes it.
type ID struct {
	Limit uint64 // the ID of the limit of blocks
	Key   key.Key
}

// An entry is what is known of a block. It is immutable.
type entry struct {
	id      ID
	rule    string
	end     time.Duration // at most as late as in the store, by the time of one call
	told    time.Duration // at least as late, so a client that waits as told is not denied again
	checked time.Duration // when the store was last called about it
	times   int           // how often the key was blocked, including this time; 0 if unknown
}

// NewKnown returns a Known that has room for most blocks. If shared is true, other instances block
// keys in the same store. It reads instants from clock. If clock is nil, it uses the monotonic
// clock.
func NewKnown(most int, shared bool, clock func() time.Duration) *Known {
	if clock == nil {
		start := time.Now()
		clock = func() time.Duration { return time.Since(start) }
	}
	perShard := (most + shardCount - 1) / shardCount
	return &Known{clock: clock, seed: key.NewSeed(), most: perShard, shared: shared}
}

// Complete reports whether k knows every block that there is.
func (k *Known) Complete() bool {
	missed := k.missed.Load()
	return !k.shared && (missed == 0 || k.clock() >= time.Duration(missed))
}

// miss notes that k does not remember a block that ends then.
func (k *Known) miss(end time.Duration) {
	for {
		missed := k.missed.Load()
		if int64(end) <= missed || k.missed.CompareAndSwap(missed, int64(end)) {
			return
		}
	}
}

// place returns where the entry of id is kept. No client can choose keys that share a place. If two
// blocks do, the later one is not remembered.
func (k *Known) place(id *ID) (*shard, uint64) {
	h := k.seed.Hash(&id.Key) ^ id.Limit
	return &k.shards[h%shardCount], h
}

// Find returns the rest of a block, or 0 if k does not know of one. If ask is true, there was a
// block when the store was last called. Then the caller must call the store, and tell k by Learn,
// Forget or Unclaim what came of it: other callers are told meanwhile that the block holds.
func (k *Known) Find(id ID) (wait time.Duration, ask bool) {
	if k.count.Load() == 0 {
		return 0, false
	}
	e := k.look(&id)
	if e == nil {
		return 0, false
	}
	now := k.clock()
	switch {
	case now >= e.end:
		k.drop(e)
		return 0, false
	case now-e.checked >= recheck && k.claim(e, now):
		return 0, true
	}
	return e.told - now, false
}

// Get returns the block of id, if k knows it and it has not ended. Unlike Find, Get never makes the
// caller call the store.
func (k *Known) Get(id ID) (b Block, ok bool) {
	if k.count.Load() == 0 {
		return b, false
	}
	e, now := k.look(&id), k.clock()
	if e == nil || now >= e.end {
		return b, false
	}
	return Block{Rule: e.rule, Key: e.id.Key, Left: e.told - now, Times: e.times}, true
}

// look returns the entry of id, or nil.
func (k *Known) look(id *ID) *entry {
	s, h := k.place(id)
	s.mu.RLock()
	e := s.held[h]
	s.mu.RUnlock()
	if e == nil || e.id != *id {
		return nil
	}
	return e
}

// claim leaves it to the caller to call the store about e. It reports false if another caller does.
func (k *Known) claim(e *entry, now time.Duration) bool {
	s, h := k.place(&e.id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[h] != e {
		return false
	}
	claimed := *e
	claimed.checked = now
	s.held[h] = &claimed
	return true
}

// Unclaim says that a caller to which Find said ask has not called the store. The next caller of
// Find is to do it.
func (k *Known) Unclaim(id ID) {
	s, h := k.place(&id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.held[h]; e != nil && e.id == id {
		again := *e
		again.checked = k.clock() - recheck
		s.held[h] = &again
	}
}

// Lift forgets the block of id, and ignores the answers to calls of the store that have begun.
func (k *Known) Lift(id ID) {
	k.epoch.Add(1)
	k.Forget(id)
}

// Forget forgets the block of id.
func (k *Known) Forget(id ID) {
	s, h := k.place(&id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.held[h]; e != nil && e.id == id {
		k.delete(s, h)
	}
}

// drop forgets e, unless another entry has replaced it.
func (k *Known) drop(e *entry) {
	s, h := k.place(&e.id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[h] == e {
		k.delete(s, h)
	}
}

func (k *Known) delete(s *shard, h uint64) {
	delete(s.held, h)
	k.count.Add(-1)
}
