// Package mapstore is an example of a store of your own: all buckets of one process in one map,
// under one mutex. Its test shows all that it takes to test a store.
//
// It drops full buckets, but has no bound: a client with many keys can fill the memory until its
// buckets are full again. The MemoryStore of package ratelimit has a bound, and many locks.
package mapstore

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/ratelimit-go/ratelimit/store"
)

// A Store is a [store.Store]. It is safe for concurrent use. Call [New] to make one.
type Store struct {
	mu      sync.Mutex
	start   time.Time
	buckets map[id]*store.Bucket
	sweepAt int // how many buckets there are at the next sweep
}

// An id names one bucket.
type id struct {
	limit uint64
	key   store.Key
}

// New returns an empty Store.
func New() *Store {
	return &Store{start: time.Now(), buckets: map[id]*store.Bucket{}, sweepAt: 1000}
}

// Apply implements [store.Store]. If a Take is denied, it puts all buckets back as they were.
func (s *Store) Apply(_ context.Context, ops []store.Op) error {
	if err := store.CheckOps(ops); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Since(s.start)
	store.Carry(ops, now, func(i int) *store.Bucket { return s.bucket(&ops[i]) })
	before, denied := map[*store.Bucket]store.Bucket{}, false
	for i := range ops {
		op, b := &ops[i], s.bucket(&ops[i])
		if _, ok := before[b]; !ok {
			before[b] = *b
		}
		if !b.Apply(op, now) && op.Kind == store.Take {
			denied = true
		}
	}
	if denied {
		for b, was := range before {
			*b = was
		}
	}
	for i := range ops {
		s.bucket(&ops[i]).Report(&ops[i], now)
	}
	s.sweep(now)
	return nil
}

// bucket returns the bucket of op. A bucket that is not there is full.
func (s *Store) bucket(op *store.Op) *store.Bucket {
	id := id{op.Limit.ID(), op.Key}
	if s.buckets[id] == nil {
		s.buckets[id] = new(store.Bucket)
	}
	return s.buckets[id]
}

// sweep drops the full buckets whenever their number has doubled. So the time that it takes is a
// constant per new bucket.
func (s *Store) sweep(now time.Duration) {
	if len(s.buckets) < s.sweepAt {
		return
	}
	maps.DeleteFunc(s.buckets, func(_ id, b *store.Bucket) bool { return b.Full(now) })
	s.sweepAt = max(1000, 2*len(s.buckets))
}
