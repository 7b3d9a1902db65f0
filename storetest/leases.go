package storetest

import (
	"context"
	"sync"
	"time"

	"github.com/ratelimit-go/ratelimit"
)

// Leases is a [ratelimit.Leaser] in memory, slow and simple. With a Store beside it in one struct
// it stands for a server that several Limiters share. It is safe for concurrent use.
type Leases struct {
	now func() time.Time
	mu  sync.Mutex
	all map[counted]map[[16]byte]time.Time // the ends of those that are held
}

// counted is what leases are counted under.
type counted struct {
	rule string
	key  ratelimit.Key
}

var _ ratelimit.Leaser = (*Leases)(nil)

// NewLeases returns Leases that read the time from now, nil meaning [time.Now].
func NewLeases(now func() time.Time) *Leases {
	if now == nil {
		now = time.Now
	}
	return &Leases{now: now, all: map[counted]map[[16]byte]time.Time{}}
}

// Lease implements [ratelimit.Leaser].
func (s *Leases) Lease(ctx context.Context, kind ratelimit.LeaseKind, leases []ratelimit.Lease) error {
	if err := ratelimit.CheckLeases(kind, leases); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.expire(now)
	if kind == ratelimit.LeaseAcquire {
		s.acquire(now, leases)
		return nil
	}
	for i := range leases {
		e := &leases[i]
		_, e.Granted = s.of(e)[e.ID]
		if kind == ratelimit.LeaseRelease {
			delete(s.of(e), e.ID)
		} else {
			s.of(e)[e.ID] = now.Add(e.TTL)
		}
	}
	return nil
}

// acquire takes leases one after another, and gives back what is new if one cannot be had.
func (s *Leases) acquire(now time.Time, leases []ratelimit.Lease) {
	refused := false
	var fresh []*ratelimit.Lease
	for i := range leases {
		e := &leases[i]
		_, held := s.of(e)[e.ID]
		e.Granted = held || len(s.of(e)) < e.Max
		refused = refused || !e.Granted
		if !held && e.Granted {
			s.of(e)[e.ID] = now.Add(e.TTL)
			fresh = append(fresh, e)
		}
	}
	for i := range leases {
		if e := &leases[i]; !refused {
			s.of(e)[e.ID] = now.Add(e.TTL)
		}
	}
	for _, e := range fresh {
		if refused {
			delete(s.of(e), e.ID)
		}
	}
}

// of returns the leases that e is counted with.
func (s *Leases) of(e *ratelimit.Lease) map[[16]byte]time.Time {
	who := counted{e.Rule, e.Key}
	if s.all[who] == nil {
		s.all[who] = map[[16]byte]time.Time{}
	}
	return s.all[who]
}

// expire drops what has ended.
func (s *Leases) expire(now time.Time) {
	for who, held := range s.all {
		for id, end := range held {
			if !now.Before(end) {
				delete(held, id)
			}
		}
		if len(held) == 0 {
			delete(s.all, who)
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
