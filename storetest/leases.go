package storetest

import (
	"context"
	"sync"
	"time"

	"github.com/ratelimit-go/ratelimit/store"
)

// Leases is a slow and simple [store.Leaser] in memory. Embed it beside a Store in one struct to
// simulate a server that several instances share. It is safe for concurrent use. The zero Leases is
// not usable: call [NewLeases].
type Leases struct {
	now func() time.Time
	mu  sync.Mutex
	all map[counted]map[[16]byte]time.Time // when each held lease ends, by its ID
}

// counted names one count of leases.
type counted struct {
	rule string
	key  store.Key
}

var _ store.Leaser = (*Leases)(nil)

// NewLeases returns empty Leases that read the time from now. Nil means [time.Now].
func NewLeases(now func() time.Time) *Leases {
	if now == nil {
		now = time.Now
	}
	return &Leases{now: now, all: map[counted]map[[16]byte]time.Time{}}
}

// Lease implements [store.Leaser].
func (s *Leases) Lease(ctx context.Context, kind store.LeaseKind, leases []store.Lease) error {
	if err := store.CheckLeases(kind, leases); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.expire(now)
	if kind == store.Acquire {
		s.acquire(now, leases)
		return nil
	}
	for i := range leases {
		e := &leases[i]
		_, e.Granted = s.of(e)[e.ID]
		if kind == store.Release {
			delete(s.of(e), e.ID)
		} else {
			s.of(e)[e.ID] = now.Add(e.TTL)
		}
	}
	return nil
}

// acquire takes leases one after another. If one is denied, it releases the leases that it took.
func (s *Leases) acquire(now time.Time, leases []store.Lease) {
	denied := false
	var fresh []*store.Lease
	for i := range leases {
		e := &leases[i]
		_, held := s.of(e)[e.ID]
		e.Granted = held || len(s.of(e)) < e.Max
		denied = denied || !e.Granted
		if !held && e.Granted {
			s.of(e)[e.ID] = now.Add(e.TTL)
			fresh = append(fresh, e)
		}
	}
	for i := range leases {
		if e := &leases[i]; !denied {
			s.of(e)[e.ID] = now.Add(e.TTL)
		}
	}
	for _, e := range fresh {
		if denied {
			delete(s.of(e), e.ID)
		}
	}
}

// of returns the leases that count together with e.
func (s *Leases) of(e *store.Lease) map[[16]byte]time.Time {
	id := counted{e.Rule, e.Key}
	if s.all[id] == nil {
		s.all[id] = map[[16]byte]time.Time{}
	}
	return s.all[id]
}

// expire drops the leases that have ended.
func (s *Leases) expire(now time.Time) {
	for under, held := range s.all {
		for id, end := range held {
			if !now.Before(end) {
				delete(held, id)
			}
		}
		if len(held) == 0 {
			delete(s.all, under)
		}
	}
}

// Len returns how many leases are held.
func (s *Leases) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(s.now())
	n := 0
	for _, held := range s.all {
		n += len(held)
	}
	return n
}
