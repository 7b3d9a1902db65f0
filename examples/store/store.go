// Package mapstore is an example of a store of your own: all buckets of one process in one map,
// under one mutex. Its test shows all that it takes to test a store.
//
// It drops full buckets, but has no bound: a client with many keys can fill the memory until its
// buckets are full again. The MemoryStore of package ratelimit has a bound, and many locks.
package mapstore

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ratelimit-go/ratelimit/store"
)

// A Store is a [store.Store]. It is safe for concurrent use. Call [New] to make one.
type Store struct {
	mu       sync.Mutex
	start    time.Time
	families map[id]family
	sweepAt  int // how many families there are at the next sweep
}

// An id names a family.
type id struct {
	rule uint64 // its limits have IDs with the same upper 56 bits
	key  store.Key
}

// A family is the buckets of one rule and key, by the ID of their limit.
type family map[uint64]*store.Bucket

// New returns an empty Store.
func New() *Store {
	return &Store{start: time.Now(), families: map[id]family{}, sweepAt: 1000}
}

// Apply implements [store.Store]. If a Take is denied, it puts all buckets back as they were.
func (s *Store) Apply(_ context.Context, ops []store.Op) error {
	if err := store.CheckOps(ops); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Since(s.start)
	bucket := func(i int) *store.Bucket { return s.bucket(&ops[i]) }
	family := func(i int) []*store.Bucket {
		return slices.Collect(maps.Values(s.family(&ops[i])))
	}
	store.Carry(ops, now, bucket, family)
	before, denied := map[*store.Bucket]store.Bucket{}, false
	for i := range ops {
		op, b := &ops[i], bucket(i)
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
	} else {
		store.Spread(ops, now, bucket, family)
	}
	for i := range ops {
		bucket(i).Report(&ops[i], now)
	}
	s.sweep(now)
	return nil
}

// family returns the buckets that the key of op has under the rule of its limit.
func (s *Store) family(op *store.Op) family {
	id := id{op.Limit.ID() >> 8, op.Key}
	if s.families[id] == nil {
		s.families[id] = family{}
	}
	return s.families[id]
}

// bucket returns the bucket of op. A bucket that is not there is full.
func (s *Store) bucket(op *store.Op) *store.Bucket {
	family, id := s.family(op), op.Limit.ID()
	if family[id] == nil {
		family[id] = new(store.Bucket)
	}
	return family[id]
}

// sweep drops the families whose buckets are all full, whenever there are twice as many. So the
// time that it takes is a constant per new family.
func (s *Store) sweep(now time.Duration) {
	if len(s.families) < s.sweepAt {
		return
	}
	maps.DeleteFunc(s.families, func(_ id, f family) bool {
		for _, b := range f {
			if !b.Full(now) {
				return false
			}
		}
		return true
	})
	s.sweepAt = max(1000, 2*len(s.families))
}
