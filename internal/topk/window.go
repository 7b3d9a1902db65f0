package topk

import (
	"sync"
	"sync/atomic"
	"time"
)

// A Window counts keys over the time that has just passed: between one and two spans. It is two
// Sketches, of which the older one is dropped at the end of each span. So a client that was busy
// yesterday does not hide a client that is busy now. It is safe for concurrent use.
type Window[K comparable] struct {
	counters int
	span     time.Duration
	hash     func(K) uint64
	mu       sync.Mutex // held to replace now
	now      atomic.Pointer[spans[K]]
}

// spans is the current span and the span before.
type spans[K comparable] struct {
	from         time.Time // when current began
	current, old *Sketch[K]
	oldFrom      time.Time
}

// NewWindow returns an empty Window of two Sketches with the given number of counters each.
func NewWindow[K comparable](counters int, span time.Duration, hash func(K) uint64) *Window[K] {
	return &Window[K]{counters: counters, span: span, hash: hash}
}

// Add counts k once, at the time now, and keeps last as its last value.
func (w *Window[K]) Add(k K, last int64, now time.Time) { w.at(now).current.Add(k, last) }

// Top returns the n keys with the highest counts since from, highest first. It copies only these: a
// page asks for the top of eight Sketches of 1,000 counters once per second.
func (w *Window[K]) Top(n int, now time.Time) (counts []Count[K], from time.Time) {
	s := w.at(now)
	best := make([]Count[K], 0, n+1)
	for i := range s.current.shards {
		both(&s.current.shards[i], &s.old.shards[i], func(c *Count[K]) { best = insert(best, n, c) })
	}
	return best, s.oldFrom
}

// both calls f with the sum of the counts of each key in two shards of the same keys.
func both[K comparable](now, old *shard[K], f func(c *Count[K])) {
	now.mu.Lock() // always before old.mu
	defer now.mu.Unlock()
	old.mu.Lock()
	defer old.mu.Unlock()
	var c Count[K] // one for all calls of f, because it is allocated
	for _, n := range now.heap {
		c, _ = old.find(n.Key)
		c.N, c.Error, c.Last = c.N+n.N, c.Error+n.Error, n.Last
		f(&c)
	}
	for _, n := range old.heap {
		ok := false
		if c, ok = now.find(n.Key); !ok {
			c.N, c.Error, c.Last = c.N+n.N, c.Error+n.Error, n.Last
			f(&c)
		}
	}
}

// at returns the spans at the time now. It begins a new span when the current one has ended.
func (w *Window[K]) at(now time.Time) *spans[K] {
	if s := w.now.Load(); s != nil && now.Sub(s.from) < w.span {
		return s
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.now.Load()
	if s != nil && now.Sub(s.from) < w.span {
		return s
	}
	next := &spans[K]{from: now, current: New(w.counters, w.hash), oldFrom: now}
	if s != nil && now.Sub(s.from) < 2*w.span {
		next.old, next.oldFrom = s.current, s.from
	} else {
		next.old = New(w.counters, w.hash)
	}
	w.now.Store(next)
	return next
}
