package store_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ratelimit-go/ratelimit/store"
)

// A Map is a whole store in one map.
type Map struct {
	mu       sync.Mutex
	start    time.Time
	families map[familyID]map[uint64]*store.Bucket
}

type familyID struct {
	rule uint64 // its limits have IDs with the same upper 56 bits
	key  store.Key
}

func NewMap() *Map {
	return &Map{start: time.Now(), families: map[familyID]map[uint64]*store.Bucket{}}
}

// family returns the buckets that the key of op has under the rule of its limit.
func (m *Map) family(op *store.Op) map[uint64]*store.Bucket {
	id := familyID{op.Limit.ID() >> 8, op.Key}
	if m.families[id] == nil {
		m.families[id] = map[uint64]*store.Bucket{}
	}
	return m.families[id]
}

// bucket returns the bucket of op. A bucket that is not there is full.
func (m *Map) bucket(op *store.Op) *store.Bucket {
	family, id := m.family(op), op.Limit.ID()
	if family[id] == nil {
		family[id] = new(store.Bucket)
	}
	return family[id]
}

// Apply puts all buckets back as they were if a Take is denied.
func (m *Map) Apply(_ context.Context, ops []store.Op) error {
	if err := store.CheckOps(ops); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Since(m.start)
	bucket := func(i int) *store.Bucket { return m.bucket(&ops[i]) }
	family := func(i int) []*store.Bucket {
		return slices.Collect(maps.Values(m.family(&ops[i])))
	}
	store.Carry(ops, now, bucket, family)
	denied, before := false, map[*store.Bucket]store.Bucket{}
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
