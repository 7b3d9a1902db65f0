package guard

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/ratelimit-go/ratelimit/store"
)

// setSize is how many buckets a set has room for.
const setSize = 8

// A denialSet is where the memory keeps some buckets. It holds no pointers, so the garbage
// collector does not look into it.
type denialSet struct {
	live  atomic.Int64 // from this instant on the set knows nothing
	mu    sync.Mutex
	epoch uint64 // of the latest refund or reset of a bucket whose place is here
	slots [setSize]denial
}

func (s *denialSet) answer(now time.Duration, op *store.Op) bool {
	if s.empty(now) {
		return false
	}
	s.mu.Lock() // no defer: nothing below can panic
	d := s.find(op)
	known := d != nil && d.answer(now, op)
	s.mu.Unlock()
	return known
}

// learn replaces what is known about the bucket of op by what the store said. If the batch was not
// denied, end is 0. Then learn only updates what is known already.
func (s *denialSet) learn(now time.Duration, began start, op *store.Op, end time.Duration) {
	if end == 0 && s.empty(now) {
		return
	}
	fresh, ok := newDenial(now, began.at, op, end)
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.find(op)
	ok = ok && s.epoch <= began.epoch
	switch {
	case ok && end > 0:
		s.put(d, &fresh, now)
	case d == nil:
	case ok && d.of(op.Limit) && !d.disproved(op):
		d.Bucket = fresh.Bucket
	default:
		*d = denial{}
	}
}

// put replaces d by fresh. If d is nil, it uses a free slot, if the set has one.
func (s *denialSet) put(d, fresh *denial, now time.Duration) {
	if d == nil {
		d = s.room(now)
	}
	if d != nil {
		*d = *fresh
		s.live.Store(max(s.live.Load(), int64(fresh.until)))
	}
}

func (s *denialSet) forget(epoch uint64, op *store.Op) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch = max(s.epoch, epoch)
	if d := s.find(op); d != nil {
		*d = denial{}
	}
}

// empty reports whether the set knows nothing at the instant now. It takes no lock.
func (s *denialSet) empty(now time.Duration) bool { return int64(now) >= s.live.Load() }

func (s *denialSet) find(op *store.Op) *denial {
	for i := range s.slots {
		if d := &s.slots[i]; d.id == op.Limit.ID() && d.key == op.Key {
			return d
		}
	}
	return nil
}

// room returns a free slot, or nil.
func (s *denialSet) room(now time.Duration) *denial {
	for i := range s.slots {
		if d := &s.slots[i]; d.id == 0 || now >= d.until {
			return d
		}
	}
	return nil
}
