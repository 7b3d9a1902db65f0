package storetest_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/key"
	"github.com/ratelimit-go/ratelimit/store"
	"github.com/ratelimit-go/ratelimit/storetest"
)

// A manual is a clock that moves only when a test says so.
type manual struct{ now time.Time }

func newManual() *manual { return &manual{now: time.Unix(1_700_000_000, 0)} }

func (m *manual) Now() time.Time          { return m.now }
func (m *manual) Advance(d time.Duration) { m.now = m.now.Add(d) }
func (m *manual) Rewind(d time.Duration)  { m.now = m.now.Add(-d) }

// harness returns the Harness of the stores that newStore makes, on one manual clock.
func harness(newStore func(*manual) store.Store) storetest.Harness {
	clock := newManual()
	return storetest.Harness{
		New:     func(testing.TB) store.Store { return newStore(clock) },
		Advance: clock.Advance,
		Rewind:  clock.Rewind,
	}
}

func user(id string) store.Key { return key.Text(key.User, id) }

// An id names one bucket.
type id struct {
	rule  string
	index int
	key   store.Key
}

func idOf(op *store.Op) id { return id{op.Limit.Rule(), op.Limit.Index(), op.Key} }

// buckets is a correct Store. It forgets nothing.
type buckets struct {
	mu    sync.Mutex
	clock func() time.Time
	start time.Time
	now   time.Duration
	all   map[id]*store.Bucket

	careless bool // it does not call store.Carry
	selfish  bool // it does not call store.Spread
}

func newBuckets(clock func() time.Time) *buckets {
	return &buckets{clock: clock, start: clock(), all: map[id]*store.Bucket{}}
}

func (s *buckets) Apply(ctx context.Context, ops []store.Op) error {
	if err := store.CheckOps(ops); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	s.now = max(s.now, s.clock().Sub(s.start))
	bucket := func(i int) *store.Bucket { return s.bucket(&ops[i]) }
	family := func(i int) (kin []*store.Bucket) {
		for id, b := range s.all {
			if id.key == ops[i].Key && id.rule == ops[i].Limit.Rule() {
				kin = append(kin, b)
			}
		}
		return kin
	}
	if !s.careless {
		store.Carry(ops, s.now, bucket, family)
	}
	denied, before := false, map[*store.Bucket]store.Bucket{}
	for i := range ops {
		op, b := &ops[i], s.bucket(&ops[i])
		if _, ok := before[b]; !ok {
			before[b] = *b
		}
		if !b.Apply(op, s.now) && op.Kind == store.Take {
			denied = true
		}
	}
	if denied {
		for b, was := range before {
			*b = was
		}
	} else if !s.selfish {
		store.Spread(ops, s.now, bucket, family)
	}
	for i := range ops {
		s.bucket(&ops[i]).Report(&ops[i], s.now)
	}
	return nil
}

func (s *buckets) bucket(op *store.Op) *store.Bucket {
	if s.all[idOf(op)] == nil {
		s.all[idOf(op)] = new(store.Bucket)
	}
	return s.all[idOf(op)]
}
