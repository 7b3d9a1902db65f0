package guard

import (
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"

	"github.com/ratelimit-go/ratelimit/internal/testsize"
	"github.com/ratelimit-go/ratelimit/store"
)

// A million keys are denied. In the smaller size there is less room, for an eighth of the keys.
func TestDenialsAreBounded(t *testing.T) {
	t.Parallel()
	m := newDenials(maxDenials)
	assert.LessOrEqual(t, len(m.sets)*int(unsafe.Sizeof(denialSet{})), 6_500_000, "bytes")
	room, keys := testsize.Of(maxDenials, 8192), testsize.Of(1_000_000, 8*8192)
	m = newDenials(room)
	l := newLimit(t, "a", 0, 1, time.Hour, 0)
	flood := func(now time.Duration, from, to int) {
		ops := []store.Op{take(l, store.Key{}, 1)}
		ops[0].Result = store.Result{RetryAfter: time.Hour, ResetAfter: time.Hour}
		for i := from; i < to; i++ {
			ops[0].Key = numberedKey(i)
			m.learn(now, start{at: now}, ops, false)
		}
	}
	known := func(now time.Duration, from, to int) int {
		n, ops := 0, []store.Op{take(l, store.Key{}, 1)}
		for i := from; i < to; i++ {
			ops[0].Key = numberedKey(i)
			if _, hit := m.answer(now, ops); hit {
				n++
			}
		}
		return n
	}
	flood(0, 0, room)
	first := known(0, 0, room)
	assert.Greater(t, first, room*6/7*98/100, "with as many keys as there is room for")
	flood(0, room, keys)
	assert.Equal(t, first, known(0, 0, room), "other keys do not push out what is known")
	assert.Zero(t, known(0, keys-1000, keys), "there is no room left")
	flood(time.Hour, keys, keys+room)
	assert.Greater(t, known(time.Hour, keys, keys+room), room*6/7*98/100, "what has ended makes room")
	assert.Zero(t, known(time.Hour, 0, room))
}

// The limits of one key are spread over the sets, so there is room for any number of them.
func TestDenialsOfManyLimits(t *testing.T) {
	m, ops := deniedBatch(t, 3*setSize)
	_, hit := m.answer(2, ops)
	assert.True(t, hit)
}

func TestDenialsAllocateNothing(t *testing.T) {
	m, ops := deniedBatch(t, 3)
	hits, now := 0, time.Duration(1)
	assert.Zero(t, testing.AllocsPerRun(1000, func() {
		if _, hit := m.answer(now, ops); hit {
			hits++
		}
	}), "a hit")
	assert.Equal(t, 1001, hits)
	assert.Zero(t, testing.AllocsPerRun(1000, func() {
		now += time.Hour
		began, _ := m.answer(now, ops)
		for i := range ops {
			ops[i].Result = store.Result{RetryAfter: time.Hour, ResetAfter: time.Hour}
		}
		m.learn(now, began, ops, false)
	}), "a denial learned")
}

// deniedBatch returns a batch of n limits on one key, which a store has denied, and the memory of
// that.
func deniedBatch(t testing.TB, n int) (*denials, []store.Op) {
	t.Helper()
	m := newDenials(maxDenials)
	ops := make([]store.Op, n)
	for i := range ops {
		ops[i] = take(newLimit(t, "a", i, 1, time.Hour, 0), user("alice"), 1)
		ops[i].Result = store.Result{RetryAfter: time.Hour, ResetAfter: time.Hour}
	}
	m.learn(1, start{at: 1}, ops, false)
	return m, ops
}

func BenchmarkDenials(b *testing.B) {
	hit := func(limits int) func(b *testing.B) {
		return func(b *testing.B) {
			m, ops := deniedBatch(b, limits)
			b.ReportAllocs()
			for b.Loop() {
				if _, hit := m.answer(2, ops); !hit {
					b.Fatal("not denied")
				}
			}
		}
	}
	b.Run("hit", hit(1))
	b.Run("hit of three", hit(3))
	b.Run("miss", func(b *testing.B) {
		m, ops := deniedBatch(b, 1)
		var keys [1024]store.Key
		for i := range keys {
			keys[i] = numberedKey(i)
		}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			ops[0].Key = keys[i%len(keys)]
			m.answer(2, ops)
		}
	})
	b.Run("hit of many keys", func(b *testing.B) {
		m, ops := deniedBatch(b, 1)
		for i := range maxDenials / 2 {
			ops[0].Key = numberedKey(i)
			m.learn(1, start{at: 1}, ops, false)
		}
		b.RunParallel(func(pb *testing.PB) {
			rnd, ops := rand.New(rand.NewPCG(1, 2)), append([]store.Op(nil), ops...)
			for pb.Next() {
				ops[0].Key = numberedKey(rnd.IntN(maxDenials / 2))
				m.answer(2, ops)
			}
		})
	})
}
