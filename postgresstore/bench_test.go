package postgresstore_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/postgresstore"
	"github.com/ratelimit-go/ratelimit/postgresstore/internal/pgtest"
	"github.com/ratelimit-go/ratelimit/store"
)

// BenchmarkThreeLimits has 64 callers and decisions with three limits.
func BenchmarkThreeLimits(b *testing.B) {
	server := pgtest.Start(b, "shared_buffers=512MB")
	var limits []*store.Limit
	for i, text := range []string{"1000000 per hour", "100000 per minute", "10000 per second"} {
		limits = append(limits, limit(b, "r", i, text))
	}
	for _, keys := range []int{1, 1000, 100_000} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			s := newStore(b, server, postgresstore.Config{})
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					k := ratelimit.UserKey(fmt.Sprint(rand.IntN(keys)))
					ops := make([]store.Op, len(limits))
					for i := range ops {
						ops[i] = store.Op{Limit: limits[i], Key: k, Cost: 1}
					}
					require.NoError(b, s.Apply(b.Context(), ops))
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "decisions/s")
		})
	}
}
