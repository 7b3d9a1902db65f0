package memory

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/key"
	"github.com/ratelimit-go/ratelimit/store"
)

// endless returns the limit of a rule that allows every op of a benchmark.
func endless(b *testing.B) *store.Limit {
	b.Helper()
	return newLimit(b, "r", 0, 1_000_000, time.Second, 1_000_000_000)
}

// client returns the key of the address 192.0.2.1.
func client() store.Key { return key.Addr(netip.MustParseAddr("192.0.2.1"), 64) }

// manyClients returns the keys of 100,000 addresses.
func manyClients() []store.Key {
	keys := make([]store.Key, 100_000)
	for i := range keys {
		keys[i] = key.Addr(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 64)
	}
	return keys
}

// benchApply takes one token of each limit for one client.
func benchApply(b *testing.B, s *Store, limits ...*store.Limit) {
	b.Helper()
	var ops []store.Op
	for _, l := range limits {
		ops = append(ops, take(l, client(), 1))
	}
	b.ReportAllocs()
	for b.Loop() {
		_ = s.Apply(context.Background(), ops)
	}
}

func BenchmarkHotKey(b *testing.B) { benchApply(b, New(DefaultMaxKeys, nil), endless(b)) }

func BenchmarkHotKeyParallel(b *testing.B) {
	s, l := New(DefaultMaxKeys, nil), endless(b)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		ops := []store.Op{take(l, client(), 1)}
		for pb.Next() {
			_ = s.Apply(context.Background(), ops)
		}
	})
}

func BenchmarkThreeLimits(b *testing.B) {
	benchApply(b, New(DefaultMaxKeys, nil), endless(b),
		newLimit(b, "r", 1, 50_000_000, time.Minute, 1_000_000_000), newLimit(b, "r", 2, 3_000_000_000, time.Hour, 0))
}

func BenchmarkDenied(b *testing.B) { benchApply(b, New(DefaultMaxKeys, nil), per(b, 1, day)) }

func BenchmarkRandomKeysParallel(b *testing.B) {
	s, l, keys := New(DefaultMaxKeys, nil), endless(b), manyClients()
	for _, k := range keys {
		apply(b, s, take(l, k, 1))
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		random := rand.New(rand.NewPCG(rand.Uint64(), 1))
		ops := []store.Op{take(l, client(), 1)}
		for pb.Next() {
			ops[0].Key = keys[random.IntN(len(keys))]
			_ = s.Apply(context.Background(), ops)
		}
	})
}

// BenchmarkIdleKey has clients that return when their buckets are full: after a second, when the
// store still holds the bucket, or after ten minutes, when it must make a new bucket.
func BenchmarkIdleKey(b *testing.B) {
	l, keys := newLimit(b, "r", 0, 1_000_000, time.Second, 1), manyClients()
	for _, bc := range []struct {
		name string
		step time.Duration // between ops of one client
	}{
		{"found", time.Second},
		{"made", 10 * sweepIdle},
	} {
		b.Run(bc.name, func(b *testing.B) {
			s, now := newStore(DefaultMaxKeys)
			ops := []store.Op{take(l, client(), 1)}
			for i := 0; b.Loop(); i++ {
				ops[0].Key = keys[i%len(keys)]
				*now += bc.step / time.Duration(len(keys))
				_ = s.Apply(context.Background(), ops)
			}
		})
	}
}
