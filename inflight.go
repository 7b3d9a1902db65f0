package ratelimit

import (
	"context"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A rule with InFlight has permits for each of its keys: a request holds one from before its
// tokens are taken until its handler has ended. Who holds how many is known by the name
// of the rule and the key, not by the compiled rule, so that a rule may be replaced while its
// requests are in flight.

// maxInFlight bounds Rule.InFlight.
const maxInFlight = 1_000_000

// A refusal for lack of a permit tells how long it takes, at the rate of late, until there is
// one, within these bounds. It is an estimate, and bounded so that nobody is sent
// away for the length of a download.
const (
	minInFlightWait = time.Second
	maxInFlightWait = time.Minute
)

// A permit is one of those that rule has for its key, and may be held.
type permit struct {
	rule *rule
	holder
	shard uint8
}

// A holder is who is counted.
type holder struct {
	rule string
	key  Key
}

// permits counts those that are held. It remembers nobody who holds none, so it is as large as
// there are requests in flight. It is safe for concurrent use, and must not be copied.
type permits struct {
	seed   hashSeed
	shards [permitShards]permitShard
}

// permitShards is at most 16, the bits of a shardSet.
const permitShards = 16

type permitShard struct {
	mu   sync.Mutex
	held map[holder]tally // nil until the first
	_    [48]byte         // a cache line for each
}

// A tally is how many permits are held, and how many of these by requests that have gone on: the others
// still ask the store, and may be refused.
type tally struct{ held, going int }

// shardSet is a set of shards, a bit for each.
type shardSet uint16

// of returns a permit of r for key.
func (p *permits) of(r *rule, key Key) permit {
	return permit{r, holder{r.Name, key}, uint8(p.seed.hash(&key) % permitShards)}
}

// take takes all of want, or none. It returns the one that it takes longest to come by, if there
// is one that cannot be had, and how long that takes.
func (p *permits) take(want []permit) (missing *permit, wait time.Duration) {
	locked := p.lock(want)
	defer p.unlock(locked)
	for i := range want {
		w := &want[i]
		if n := p.shards[w.shard].held[w.holder].held; n >= w.rule.InFlight {
			if d := w.rule.permitWait(n); d > wait {
				missing, wait = w, d
			}
		}
	}
	if missing != nil {
		return missing, wait
	}
	for i := range want {
		s := &p.shards[want[i].shard]
		if s.held == nil {
			s.held = map[holder]tally{}
		}
		n := s.held[want[i].holder]
		n.held++
		s.held[want[i].holder] = n
	}
	return nil, 0
}

// goOn notes that a request with what take has taken goes on, unless that are more than most says. Then it
// returns one of which there are too many, and how many these would be.
func (p *permits) goOn(taken []permit, most func(*rule) int) (missing *permit, n int) {
	locked := p.lock(taken)
	defer p.unlock(locked)
	for i := range taken {
		t := &taken[i]
		if n := p.shards[t.shard].held[t.holder].going + 1; n > most(t.rule) {
			return t, n
		}
	}
	for i := range taken {
		held, who := p.shards[taken[i].shard].held, taken[i].holder
		n := held[who]
		n.going++
		held[who] = n
	}
	return nil, 0
}

// release gives back what take has taken, of a request that has gone on or not.
func (p *permits) release(taken []permit, going bool) {
	locked := p.lock(taken)
	defer p.unlock(locked)
	for i := range taken {
		held, who := p.shards[taken[i].shard].held, taken[i].holder
		n := held[who]
		n.held--
		if going {
			n.going--
		}
		if held[who] = n; n.held == 0 {
			delete(held, who)
		}
	}
}

// lock locks the shards of all, in ascending order.
func (p *permits) lock(all []permit) shardSet {
	var set shardSet
	for i := range all {
		set |= 1 << all[i].shard
	}
	for s := set; s != 0; s &= s - 1 {
		p.shards[bits.TrailingZeros16(uint16(s))].mu.Lock()
	}
	return set
}

func (p *permits) unlock(set shardSet) {
	for s := set; s != 0; s &= s - 1 {
		p.shards[bits.TrailingZeros16(uint16(s))].mu.Unlock()
	}
}

// permitWait estimates how long it takes until one of n requests in flight may be another one:
// so many as are too many must end, and they end n in the time that one takes.
func (r *rule) permitWait(n int) time.Duration {
	wait := time.Duration(r.served.Load()) / time.Duration(n) * time.Duration(n-r.InFlight+1)
	return min(max(wait, minInFlightWait), maxInFlightWait)
}

// took notes how long a request took. Of readings at the same time, one may be lost.
func (r *rule) took(d time.Duration) {
	old := r.served.Load()
	if old == 0 {
		r.served.Store(int64(d))
		return
	}
	r.served.Store(old + (int64(d)-old)/8)
}

// A stay is the context of a request that holds permits, until it leaves.
type stay struct {
	context.Context
	limiter  *Limiter
	began    time.Time
	held     []permit
	tenure   *tenure // what it holds at the store, if that is a Leaser
	going    bool    // the permits count it as one that has gone on
	admitted bool
	left     atomic.Bool
}

type stayKey struct{}

// Value implements [context.Context].
func (s *stay) Value(key any) any {
	if key == (stayKey{}) {
		return s
	}
	return s.Context.Value(key)
}

// enter takes the permits that c asks for, but for those that the request holds already, behind
// the same decorator. It returns nil if there are none to take, and if it cannot: then c is refused.
func (l *Limiter) enter(ctx context.Context, c *check) *stay {
	outer, _ := ctx.Value(stayKey{}).(*stay)
	var want []permit
	for _, p := range c.permits {
		if !outer.holds(l, p.holder) {
			want = append(want, p)
		}
	}
	if len(want) == 0 {
		return nil
	}
	if missing, wait := l.permits.take(want); missing != nil {
		c.refuseInFlight(missing, wait)
		return nil
	}
	return &stay{Context: ctx, limiter: l, began: time.Now(), held: want}
}

// refuseInFlight refuses a request for lack of a permit.
func (c *check) refuseInFlight(p *permit, wait time.Duration) {
	c.refused = refusedBy{p.rule, p.key, ReasonInFlight, wait}
	if p.rule.forAll {
		c.refused.reason = ReasonCapacity
	}
}

// holds reports whether a request, in a stay of l, holds a permit of who.
func (s *stay) holds(l *Limiter, who holder) bool {
	for s != nil {
		if s.limiter == l && !s.left.Load() && slices.ContainsFunc(s.held, func(p permit) bool { return p.holder == who }) {
			return true
		}
		s, _ = s.Context.Value(stayKey{}).(*stay)
	}
	return false
}

// leave gives back what the request holds, the first time that it is called. On a nil stay it does
// nothing.
func (s *stay) leave() {
	if s == nil || s.left.Swap(true) {
		return
	}
	s.limiter.permits.release(s.held, s.going) // first: a store that hangs must not hold them
	if s.tenure != nil {
		s.tenure.end()
	}
	if !s.admitted {
		return
	}
	d := time.Since(s.began)
	for i := range s.held {
		s.held[i].rule.took(d)
	}
}
