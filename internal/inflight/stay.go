package inflight

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ratelimit-go/ratelimit/store"
)

// A Stay is the context of a request that holds permits, until Leave. Lease, Allow and Leave do
// nothing on a nil Stay. Only the goroutine that serves the request may call them. As a context, a
// Stay is safe for concurrent use.
type Stay struct {
	context.Context
	counter *Counter
	began   time.Time
	held    []Permit
	tenure  *tenure // its leases; nil without a store for them
	going   bool    // whether Counter.GoOn was told
	allowed bool
	left    atomic.Bool
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
// has another rule or key. A request that passes the same decorator twice counts once: Enter leaves
// out the permits that an outer Stay in ctx holds. The Stay is nil if no permit is left to take, or
// if the request is denied.
func (c *Counter) Enter(ctx context.Context, want []Permit) (*Stay, *Denial) {
	if len(want) == 0 {
		return nil, nil
	}
	outer, _ := ctx.Value(stayKey{}).(*Stay)
	held := make([]Permit, 0, len(want))
	for i := range want {
		if !outer.holds(c, &want[i]) {
			held = append(held, want[i])
		}
	}
	if len(held) == 0 {
		return nil, nil
	}
	if missing, wait := c.Take(held); missing != nil {
		return nil, &Denial{Permit: missing, Wait: wait}
	}
	return &Stay{Context: ctx, counter: c, began: time.Now(), held: held}, nil
}

// holds reports whether a request in s, or in a Stay around it, holds a permit of c like p.
func (s *Stay) holds(c *Counter, p *Permit) bool {
	same := func(held Permit) bool { return held.holder() == p.holder() }
	for s != nil {
		if s.counter == c && !s.left.Load() && slices.ContainsFunc(s.held, same) {
			return true
		}
		s, _ = s.Context.Value(stayKey{}).(*Stay)
	}
	return false
}

// Lease acquires a lease for each permit, and renews the leases until Leave. If the store fails,
// the request goes on if the Alone of its permits allows it. If l is nil, Lease does nothing.
func (s *Stay) Lease(l *Leases) *Denial {
	if s == nil || l == nil {
		return nil
	}
	t := newTenure(s.Context, l, s.held)
	s.tenure = t // even if acquire fails: if only the answer was lost, there is a lease to release
	if err := t.ask(store.Acquire); err != nil {
		if denial := s.goOnAlone(err); denial != nil {
			return denial
		}
	} else if i := t.missing(); i >= 0 {
		s.tenure = nil
		p := &s.held[i]
		return &Denial{Permit: p, Wait: p.Meter.Wait(p.Max, p.Max)}
	} else {
		t.known = true
		s.counter.GoOn(s.held, false)
	}
	s.going = true
	t.arm()
	return nil
}

// goOnAlone has the request go on with permits of this process only. It returns why not.
func (s *Stay) goOnAlone(err error) *Denial {
	if slices.ContainsFunc(s.held, func(p Permit) bool { return p.Alone == 0 }) {
		return &Denial{Err: err}
	}
	if p, n := s.counter.GoOn(s.held, true); p != nil {
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
	s.counter.Release(s.held, s.going) // first, so that a store that hangs does not hold them
	if s.tenure != nil {
		s.tenure.end()
	}
	if !s.allowed {
		return
	}
	d := time.Since(s.began)
	for i := range s.held {
		s.held[i].Meter.Took(d)
	}
}
