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
	buckets map[id]store.Bucket
	sweepAt int // how many buckets there are at the next sweep
}

// An id names one bucket.
type id struct {
	limit uint64
	key   store.Key
}

func idOf(op *store.Op) id { return id{op.Limit.ID(), op.Key} }

// New returns an empty Store.
func New() *Store {
	return &Store{start: time.Now(), buckets: map[id]store.Bucket{}, sweepAt: 1000}
}

// Apply implements [store.Store]. It applies ops to copies of their buckets. If no Take is denied,
// it keeps the copies.
func (s *Store) Apply(_ context.Context, ops []store.Op) error {
	if err := store.CheckOps(ops); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Since(s.start)
	after, denied := map[id]store.Bucket{}, false
	for i := range ops {
		op := &ops[i]
		b, ok := after[idOf(op)]
		if !ok {
			b = s.buckets[idOf(op)] // a bucket that is not there is full
		}
		if !b.Apply(op, now) && op.Kind == store.Take {
			denied = true
		}
		after[idOf(op)] = b
	}
	if !denied {
		maps.Copy(s.buckets, after)
	}
	for i := range ops {
		op := &ops[i]
		b := s.buckets[idOf(op)]
		b.Report(op, now)
		s.buckets[idOf(op)] = b
	}
	s.sweep(now)
	return nil
}

// sweep drops the full buckets whenever their number has doubled. So the time that it takes is a
// constant per new bucket.
func (s *Store) sweep(now time.Duration) {
	if len(s.buckets) < s.sweepAt {
		return
	}
	maps.DeleteFunc(s.buckets, func(_ id, b store.Bucket) bool { return b.Full(now) })
	s.sweepAt = max(1000, 2*len(s.buckets))
}
