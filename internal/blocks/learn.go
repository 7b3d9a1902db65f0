package blocks

import (
	"fmt"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/key"
	"github.com/ratelimit-go/ratelimit/store"
)

// An Instant is when a call of the store began: see [Known.Asking].
type Instant struct {
	at    time.Duration
	epoch uint64 // of the Known
}

// Asking returns the present Instant. Call it before the store, and pass it to Learn.
func (k *Known) Asking() Instant { return Instant{at: k.clock(), epoch: k.epoch.Load()} }

// Learn remembers that a call of the store, which began at then, has said that the key is blocked
// for d. The block is the times-th of the key. If times is 0, that is unknown.
func (k *Known) Learn(id ID, rule string, then Instant, d time.Duration, times int) {
	now := k.clock()
	k.learn(&entry{id: id, rule: rule, end: then.at + d, told: now + d, checked: then.at, times: times}, then)
}

// ByHand remembers a block for d that is not for violations, instead of any other block of id. The
// store has given answer to a call that began at then. If it has no room, Find never asks about the
// block. Then the error says so, and whether k knows the block. The number of blocks that hold, in
// the store or in k, is 1 or 0.
func (k *Known) ByHand(
	id ID, rule string, then Instant, d time.Duration, answer *store.Result,
) (n int64, err error) {
	k.Forget(id)
	d = Round(d)
	if !answer.Overflow {
		k.Learn(id, rule, then, d, 0)
		return 1, nil
	}
	end, where := k.clock()+d, "it is not blocked"
	k.learn(&entry{id: id, rule: rule, end: end, told: end, checked: end}, then)
	if _, ok := k.Get(id); ok {
		n, where = 1, "only this process blocks it"
	}
	return n, fmt.Errorf("ratelimit: rule %q: the store has no room for %v: %s", rule, id.Key, where)
}

// learn remembers fresh, which is known since then.
func (k *Known) learn(fresh *entry, then Instant) {
	id, now, times := fresh.id, k.clock(), fresh.times
	s, h := k.place(&id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if k.epoch.Load() != then.epoch {
		k.miss(fresh.told)
		return // the block may have been lifted since the store answered
	}
	old := s.held[h]
	switch {
	case old != nil && old.id == id:
		if times == 0 {
			fresh.times = old.times
		}
	case old != nil || !k.room(s, now):
		k.miss(fresh.told)
		return
	default:
		k.count.Add(1)
	}
	s.held[h] = fresh
}

// room reports whether s has room for one more entry.
func (k *Known) room(s *shard, now time.Duration) bool {
	if s.held == nil {
		s.held = map[uint64]*entry{}
	}
	if len(s.held) < k.most {
		return true
	}
	n := 0
	for h, e := range s.held { // a map starts anywhere
		if now >= e.end {
			k.delete(s, h)
			return true
		}
		if n++; n == sweepStep {
			break
		}
	}
	return false
}

// A Block is a block that has not ended.
type Block struct {
	Rule  string
	Key   key.Key
	Left  time.Duration // the rest of it
	Times int           // how often the key was blocked, including this time; 0 if unknown
}

// Each calls f for each block that k knows. It holds locks meanwhile, so f must not use k.
func (k *Known) Each(f func(Block)) {
	now := k.clock()
	for i := range k.shards {
		s := &k.shards[i]
		s.mu.Lock()
		for _, e := range s.held {
			if now < e.end {
				f(Block{Rule: e.rule, Key: e.id.Key, Left: e.told - now, Times: e.times})
			}
		}
		s.mu.Unlock()
	}
}
