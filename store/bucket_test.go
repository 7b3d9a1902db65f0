package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/key"
	"github.com/ratelimit-go/ratelimit/store"
)

func limit(t testing.TB, count int64, period time.Duration, burst int64) *store.Limit {
	t.Helper()
	l, err := store.NewLimit("r", 0, count, period, burst)
	require.NoError(t, err)
	return l
}

func BenchmarkBucket(b *testing.B) {
	for name, cost := range map[string]int64{"one token": 1, "two tokens": 2} {
		b.Run(name, func(b *testing.B) {
			op := store.Op{Limit: limit(b, 1_000_000_000, time.Second, 0), Key: key.Text(key.User, "a"), Cost: cost}
			var bucket store.Bucket
			now := time.Duration(0)
			for range b.N {
				now += 10
				if !bucket.Apply(&op, now) {
					b.Fatal("denied")
				}
				bucket.Report(&op, now)
			}
		})
	}
}
