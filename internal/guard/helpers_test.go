package guard

import (
	"context"
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/key"
	"github.com/ratelimit-go/ratelimit/internal/memory"
	"github.com/ratelimit-go/ratelimit/internal/storefake"
	"github.com/ratelimit-go/ratelimit/store"
)

const ms = time.Millisecond

func newLimit(t testing.TB, rule string, index int, count int64, period time.Duration, burst int64) *store.Limit {
	t.Helper()
	l, err := store.NewLimit(rule, index, count, period, burst)
	require.NoError(t, err)
	return l
}

func user(name string) store.Key { return key.Text(key.User, name) }

// numberedKey returns a key of its own for each i.
func numberedKey(i int) store.Key {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(i))
	return key.Pair("n", string(b[:]))
}

func take(l *store.Limit, k store.Key, cost int64) store.Op {
	return store.Op{Limit: l, Key: k, Cost: cost}
}

// newMemory returns a store in memory without a noteworthy bound.
func newMemory(clock func() time.Duration) *memory.Store {
	return memory.New(memory.DefaultMaxKeys, clock)
}

// failing is a store that always fails. It panics if it has no error.
type failing struct{ err error }

func (s failing) Apply(context.Context, []store.Op) error {
	if s.err == nil {
		panic("store")
	}
	return s.err
}

// allowing is a store that allows every op.
func allowing(_ context.Context, ops []store.Op) error {
	for i := range ops {
		ops[i].Result = store.Result{Allowed: true}
	}
	return nil
}

// stalling is a store that never answers. It keeps the contract and returns when ctx is done.
func stalling(ctx context.Context, _ []store.Op) error {
	<-ctx.Done()
	return ctx.Err()
}

func newMortal() *storefake.Mortal { return &storefake.Mortal{Store: newMemory(nil)} }

// mapStore is a small and obvious store that shows its buckets.
type mapStore struct {
	clock   func() time.Duration
	mu      sync.Mutex
	buckets map[bucketID]store.Bucket
}

type bucketID struct {
	limit uint64
	key   store.Key
}

func newMapStore(clock func() time.Duration) *mapStore {
	return &mapStore{clock: clock, buckets: map[bucketID]store.Bucket{}}
}

func idOf(op *store.Op) bucketID { return bucketID{op.Limit.ID(), op.Key} }

func (m *mapStore) Apply(_ context.Context, ops []store.Op) error {
	if err := store.CheckOps(ops); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now, denied, after := m.clock(), false, map[bucketID]store.Bucket{}
	for i := range ops {
		op := &ops[i]
		b, ok := after[idOf(op)]
		if !ok {
			b = m.buckets[idOf(op)]
		}
		if !b.Apply(op, now) && op.Kind == store.Take {
			denied = true
		}
		after[idOf(op)] = b
	}
	if !denied {
		for id, b := range after {
			m.buckets[id] = b
		}
	}
	for i := range ops {
		b := m.buckets[idOf(&ops[i])]
		b.Report(&ops[i], now)
		m.buckets[idOf(&ops[i])] = b
	}
	return nil
}

// remaining returns how many tokens the bucket of op had at an instant, if no op has touched it
// since.
func (m *mapStore) remaining(op *store.Op, at time.Duration) int64 {
	b, told := m.buckets[idOf(op)], *op
	told.Result = store.Result{}
	b.Report(&told, at)
	return told.Result.Remaining
}
