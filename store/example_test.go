package store_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ratelimit-go/ratelimit/store"
)

// A Map is a whole store in one map.
type Map struct {
	mu      sync.Mutex
	start   time.Time
	buckets map[bucketID]*store.Bucket
}

type bucketID struct {
	limit uint64
	key   store.Key
}

func NewMap() *Map { return &Map{start: time.Now(), buckets: map[bucketID]*store.Bucket{}} }

// bucket returns the bucket of op. A bucket that is not there is full.
func (m *Map) bucket(op *store.Op) *store.Bucket {
	id := bucketID{op.Limit.ID(), op.Key}
	if m.buckets[id] == nil {
		m.buckets[id] = new(store.Bucket)
	}
	return m.buckets[id]
}

// Apply puts all buckets back as they were if a Take is denied.
func (m *Map) Apply(_ context.Context, ops []store.Op) error {
	if err := store.CheckOps(ops); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Since(m.start)
	store.Carry(ops, now, func(i int) *store.Bucket { return m.bucket(&ops[i]) })
	denied, before := false, map[*store.Bucket]store.Bucket{}
	for i := range ops {
		op, b := &ops[i], m.bucket(&ops[i])
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
		m.bucket(&ops[i]).Report(&ops[i], now)
	}
	return nil
}

// A store for one process, its buckets in a map. It forgets nothing: examples/store has a store
// that drops full buckets.
func Example() {
	limit, err := store.NewLimit("login", 0, 2, time.Minute, 0) // 2 per minute
	if err != nil {
		panic(err)
	}
	var alice store.Key
	if err := alice.UnmarshalText([]byte("user:alice")); err != nil {
		panic(err)
	}
	s := NewMap()
	for range 3 {
		ops := []store.Op{{Limit: limit, Key: alice, Cost: 1}}
		if err := s.Apply(context.Background(), ops); err != nil {
			panic(err)
		}
		fmt.Println(ops[0].Result.Allowed, ops[0].Result.Remaining)
	}
	// Output:
	// true 1
	// true 0
	// false 0
}
