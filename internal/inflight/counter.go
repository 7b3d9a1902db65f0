package inflight

import (
	"math/bits"
	"sync"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/key"
)

// A Counter counts the permits that the requests of this process hold. It keeps nothing of keys
// that hold no permit, so it is as large as there are requests in flight. It is safe for concurrent
// use and must not be copied. Make it with [NewCounter].
type Counter struct {
	seed   key.Seed
	shards [shardCount]shard
}

// shardCount is at most 16, the bits of a shardSet.
const shardCount = 16

type shard struct {
	mu   sync.Mutex
	held map[holder]tally // nil until the first
	_    [48]byte         // fills a cache line
}

// A tally is how many permits are held, and how many of them by requests that have gone on. The
// others are still calling the store, which may deny them.
type tally struct{ held, going int }

// shardSet is a set of shards, a bit for each.
type shardSet uint16

// NewCounter returns a Counter of no requests.
func NewCounter() *Counter { return &Counter{seed: key.NewSeed()} }

// Take takes all permits in want, or none of them. Each permit has another rule or key. If permits
// are missing, Take returns the one with the longest wait, and that wait.
func (c *Counter) Take(want []Permit) (missing *Permit, wait time.Duration) {
	return c.take(want, want)
}

// take is Take. It takes permits only if all in look are free too, which begin with want.
func (c *Counter) take(want, look []Permit) (missing *Permit, wait time.Duration) {
	locked := c.lock(look)
	defer c.unlock(locked)
	for i := range look {
		p := &look[i]
		if n := c.shard(p).held[p.holder()].held; n >= p.Max {
			if d := p.Meter.Wait(n, p.Max); missing == nil || d > wait {
				missing, wait = p, d
			}
		}
	}
	if missing != nil {
		return missing, wait
	}
	for i := range want {
		c.change(&want[i], 1, 0)
	}
	return nil, 0
}

// GoOn notes that a request with these permits goes on after its call of the store. If the call has
// failed, alone is true. Then GoOn notes nothing if more than Alone requests with one of the
// permits would have gone on. It returns that permit, and how many requests that would be.
func (c *Counter) GoOn(taken []Permit, alone bool) (missing *Permit, n int) {
	locked := c.lock(taken)
	defer c.unlock(locked)
	for i := range taken {
		p := &taken[i]
		if n := c.shard(p).held[p.holder()].going + 1; alone && n > p.Alone {
			return p, n
		}
	}
	for i := range taken {
		c.change(&taken[i], 0, 1)
	}
	return nil, 0
}

// Release releases permits that Take has taken. If GoOn has noted that their request goes on, going
// is true.
func (c *Counter) Release(taken []Permit, going bool) {
	locked := c.lock(taken)
	defer c.unlock(locked)
	gone := 0
	if going {
		gone = -1
	}
	for i := range taken {
		c.change(&taken[i], -1, gone)
	}
}

// Held returns how many permits are held, and by how many keys of rules. It reads the shards one
// after another, not at one instant.
func (c *Counter) Held() (permits, holders int) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		for _, n := range s.held {
			permits += n.held
		}
		holders += len(s.held)
		s.mu.Unlock()
	}
	return permits, holders
}

// Free returns how many more permits like p can be taken.
func (c *Counter) Free(p Permit) int64 {
	locked := c.lock([]Permit{p})
	defer c.unlock(locked)
	return int64(max(p.Max-c.shard(&p).held[p.holder()].held, 0))
}

// ByRule returns how many permits are held under each rule. It reads the shards one after another,
// not at one instant.
func (c *Counter) ByRule() map[string]int64 {
	permits := map[string]int64{}
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		for who, n := range s.held {
			permits[who.rule] += int64(n.held)
		}
		s.mu.Unlock()
	}
	return permits
}

// change adds to the tally of p, and forgets a holder that holds nothing more. Its shard is locked.
func (c *Counter) change(p *Permit, held, going int) {
	s, who := c.shard(p), p.holder()
	if s.held == nil {
		s.held = map[holder]tally{}
	}
	n := s.held[who]
	n.held += held
	n.going += going
	if n.held == 0 {
		delete(s.held, who)
		return
	}
	s.held[who] = n
}

// shard returns where the holder of p is counted.
func (c *Counter) shard(p *Permit) *shard { return &c.shards[c.index(p)] }

func (c *Counter) index(p *Permit) uint64 { return c.seed.Hash(&p.Key) % shardCount }

// lock locks the shards of all, in ascending order.
func (c *Counter) lock(all []Permit) shardSet {
	var set shardSet
	for i := range all {
		set |= 1 << c.index(&all[i])
	}
	for s := set; s != 0; s &= s - 1 {
		c.shards[bits.TrailingZeros16(uint16(s))].mu.Lock()
	}
	return set
}

func (c *Counter) unlock(set shardSet) {
	for s := set; s != 0; s &= s - 1 {
		c.shards[bits.TrailingZeros16(uint16(s))].mu.Unlock()
	}
}
