package inflight

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ratelimit-go/ratelimit/store"
)

// A Stay is the context of a request that holds permits, until Leave. Lease, Join, Allow and Leave
// do nothing on a nil Stay. Only the goroutine that serves the request may call them. As a context,
// a Stay is safe for concurrent use once its request is handed on.
type Stay struct {
	context.Context
	counter *Counter
	groups  [2]group // of Enter, and of Join
	joined  bool
	later   []Permit // for Join
	allowed bool
	left    atomic.Bool
}

// A group is the permits that were taken in one step, and their leases.
type group struct {
	held   []Permit
	began  time.Time
	tenure *tenure // nil without a store for leases
	going  bool    // whether Counter.GoOn was told
}

type stayKey struct{}

// Value implements [context.Context].
func (s *Stay) Value(key any) any {
	if key == (stayKey{}) {
		return s
	}
	return s.Context.Value(key)
}

// Enter takes the permits in want for a request with the context ctx, or none of them. Each permit
// has another rule or key. A later permit is not taken, but if it is not free at this moment, the
// request is denied. A request that passes the same decorator twice counts once: Enter leaves out
// the permits that an outer Stay in ctx holds. The Stay is nil if no permit is left to take, or if
// the request is denied.
func (c *Counter) Enter(ctx context.Context, want []Permit) (*Stay, *Denial) {
	if len(want) == 0 {
		return nil, nil
	}
	outer, _ := ctx.Value(stayKey{}).(*Stay)
	all, now := make([]Permit, 0, len(want)), 0
	for _, later := range []bool{false, true} {
		for i := range want {
			if want[i].Later == later && !outer.holds(c, &want[i]) {
				all = append(all, want[i])
			}
		}
		if !later {
			now = len(all)
		}
	}
	if len(all) == 0 {
		return nil, nil
	}
	if missing, wait := c.take(all[:now], all); missing != nil {
		return nil, &Denial{Permit: missing, Wait: wait}
	}
	s := &Stay{Context: ctx, counter: c, later: all[now:]}
	s.groups[0] = group{held: all[:now], began: time.Now()}
	return s, nil
}

// Join takes the later permits, or none of them. Call it at most once.
func (s *Stay) Join() *Denial {
	if s == nil || len(s.later) == 0 {
		return nil
	}
	if missing, wait := s.counter.Take(s.later); missing != nil {
		return &Denial{Permit: missing, Wait: wait}
	}
	s.joined = true
	s.groups[1] = group{held: s.later, began: time.Now()}
	return nil
}

// holds reports whether a request in s, or in a Stay around it, holds a permit of c like p.
func (s *Stay) holds(c *Counter, p *Permit) bool {
	same := func(held Permit) bool { return held.holder() == p.holder() }
	for s != nil {
		if s.counter == c && !s.left.Load() && (slices.ContainsFunc(s.groups[0].held, same) ||
			slices.ContainsFunc(s.groups[1].held, same)) {
			return true
		}
		s, _ = s.Context.Value(stayKey{}).(*Stay)
	}
	return false
}

// Lease acquires a lease for each permit that Enter or, after it, Join has taken, and renews the
// leases until Leave. If the store fails, the request goes on if the Alone of its permits allows
// it. If l is nil, Lease does nothing.
func (s *Stay) Lease(l *Leases) *Denial {
	if s == nil || l == nil {
		return nil
	}
	g := &s.groups[0]
	if s.joined {
		g = &s.groups[1]
	}
	if len(g.held) == 0 || g.tenure != nil {
		return nil
	}
	t := newTenure(s.Context, l, g.held)
	g.tenure = t // even if acquire fails: if only the answer was lost, there is a lease to release
	if err := t.ask(store.Acquire); err != nil {
		if denial := s.counter.goOnAlone(g.held, err); denial != nil {
			return denial
		}
	} else if i := t.missing(); i >= 0 {
		g.tenure = nil
		p := &g.held[i]
		return &Denial{Permit: p, Wait: p.Meter.Wait(p.Max, p.Max)}
	} else {
		t.known = true
		s.counter.GoOn(g.held, false)
	}
	g.going = true
	t.arm()
	return nil
}

// goOnAlone has a request go on with permits of this process only. It returns why not.
func (c *Counter) goOnAlone(held []Permit, err error) *Denial {
	if slices.ContainsFunc(held, func(p Permit) bool { return p.Alone == 0 }) {
		return &Denial{Err: err}
	}
	if p, n := c.GoOn(held, true); p != nil {
		return &Denial{Permit: p, Wait: p.Meter.Wait(n, p.Max)}
	}
	return nil
}

// Allow notes that the request is allowed, so that Leave tells the Meters how long it took.
func (s *Stay) Allow() {
	if s != nil {
		s.allowed = true
	}
}

// Leave releases the permits, and then the leases. After the first call it does nothing. It waits
// for a renewal that is under way, so nothing is left running.
func (s *Stay) Leave() {
	if s == nil || s.left.Swap(true) {
		return
	}
	for i := range s.groups { // first, so that a store that hangs does not hold them
		s.counter.Release(s.groups[i].held, s.groups[i].going)
	}
	for i := range s.groups {
		g := &s.groups[i]
		if g.tenure != nil {
			defer g.tenure.end() // deferred, because a function that the store calls may end the goroutine
		}
		for j := range g.held {
			if s.allowed {
				g.held[j].Meter.Took(time.Since(g.began))
			}
		}
	}
}
