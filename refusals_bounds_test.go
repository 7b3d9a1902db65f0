package ratelimit

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
)

func numberedKey(i int) Key {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(i))
	return NamedKey("n", string(b[:]))
}

func TestRefusalsAreBounded(t *testing.T) {
	const keys = 1_000_000
	m := newRefusals(defaultRefusals)
	assert.LessOrEqual(t, len(m.sets)*int(unsafe.Sizeof(refusalSet{})), 6_500_000, "bytes")
	l := refusalLimit(t, "a", 0, "1 per hour")
	flood := func(now int64, from, to int) {
		ops := []Op{{Limit: l, Cost: 1, Result: Result{RetryAfter: time.Hour, ResetAfter: time.Hour}}}
		for i := from; i < to; i++ {
			ops[0].Key = numberedKey(i)
			m.learn(now, asked{at: now}, ops, false)
		}
	}
	known := func(now int64, from, to int) int {
		n := 0
		for i := from; i < to; i++ {
			if _, hit := m.answer(now, []Op{{Limit: l, Key: numberedKey(i), Cost: 1}}); hit {
				n++
			}
		}
		return n
	}
	flood(0, 0, defaultRefusals)
	first := known(0, 0, defaultRefusals)
	assert.Greater(t, first, defaultRefusals*6/7*98/100, "of as many keys as places")
	flood(0, defaultRefusals, keys)
	assert.Equal(t, first, known(0, 0, defaultRefusals), "others do not push out what is known")
	assert.Zero(t, known(0, keys-1000, keys), "all places are taken")
	flood(int64(time.Hour), keys, keys+defaultRefusals)
	assert.Greater(t, known(int64(time.Hour), keys, keys+defaultRefusals), defaultRefusals*6/7*98/100, "what is over makes room")
	assert.Zero(t, known(int64(time.Hour), 0, defaultRefusals))
}

// The limits of one key are spread, so that there is room for any number of them.
func TestRefusalsOfManyLimits(t *testing.T) {
	m, ops := refusedBatch(t, 3*setSize)
	_, hit := m.answer(2, ops)
	assert.True(t, hit)
}

func TestRefusalsAllocateNothing(t *testing.T) {
	m, ops := refusedBatch(t, 3)
	hits, n := 0, int64(1)
	assert.Zero(t, testing.AllocsPerRun(1000, func() {
		if _, hit := m.answer(n, ops); hit {
			hits++
		}
	}), "a hit")
	assert.Equal(t, 1001, hits)
	assert.Zero(t, testing.AllocsPerRun(1000, func() {
		n += int64(time.Hour)
		since, _ := m.answer(n, ops)
		for i := range ops {
			ops[i].Result = Result{RetryAfter: time.Hour, ResetAfter: time.Hour}
		}
		m.learn(n, since, ops, false)
	}), "a refusal learned")
}

// refusedBatch returns a batch of n limits on one key, the first of which has refused it,
// and the memory of that.
func refusedBatch(t testing.TB, n int) (*refusals, []Op) {
	t.Helper()
	m := newRefusals(defaultRefusals)
	ops := make([]Op, n)
	for i := range ops {
		ops[i] = Op{Limit: refusalLimit(t, "a", i, "1 per hour"), Key: UserKey("alice"), Cost: 1}
		ops[i].Result = Result{RetryAfter: time.Hour, ResetAfter: time.Hour}
	}
	m.learn(1, asked{at: 1}, ops, false)
	return m, ops
}

func benchRefused(b *testing.B, limits int) {
	m, ops := refusedBatch(b, limits)
	b.ReportAllocs()
	for b.Loop() {
		if _, hit := m.answer(2, ops); !hit {
			b.Fatal("not refused")
		}
	}
}

func BenchmarkRefusalsHit(b *testing.B) { benchRefused(b, 1) }

func BenchmarkRefusalsHitThree(b *testing.B) { benchRefused(b, 3) }

func BenchmarkRefusalsMiss(b *testing.B) {
	m, ops := refusedBatch(b, 1)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		ops[0].Key.mid = uint64(i)
		m.answer(2, ops)
	}
}

func BenchmarkRefusalsHitManyKeys(b *testing.B) {
	m, ops := refusedBatch(b, 1)
	for i := range defaultRefusals / 2 {
		ops[0].Key = numberedKey(i)
		m.learn(1, asked{at: 1}, ops, false)
	}
	b.RunParallel(func(pb *testing.PB) {
		rnd, ops := rand.New(rand.NewPCG(1, 2)), append([]Op(nil), ops...)
		for pb.Next() {
			ops[0].Key = numberedKey(rnd.IntN(defaultRefusals / 2))
			m.answer(2, ops)
		}
	})
}
