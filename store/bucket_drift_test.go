package store_test

import (
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/testsize"
	"github.com/ratelimit-go/ratelimit/store"
)

// Ten million decisions on one bucket, more often than it fills, allow exactly floor(burst +
// rate*t) tokens, even if a token takes no whole number of nanoseconds.
func TestNoDriftInTenMillionDecisions(t *testing.T) {
	decisions := testsize.Of(10_000_000, 100_000)
	for _, row := range []struct {
		name  string
		limit *store.Limit
		step  time.Duration // at most, between decisions: less than a token takes, so the bucket is never full
	}{
		{"1 per day, burst 2", limit(t, 1, day, 2), 25 * time.Minute},
		{"7 per second", limit(t, 7, time.Second, 0), time.Second / 7},
		{"1000000 per second", limit(t, 1_000_000, time.Second, 0), time.Microsecond},
		{"3 per 7 nanoseconds", limit(t, 3, 7, 0), 2},
		{"999983 per day, burst 17", limit(t, 999_983, day, 17), 86 * time.Millisecond},
	} {
		var b store.Bucket
		now, l := time.Duration(0), row.limit
		require.True(t, b.Apply(&store.Op{Limit: l, Key: alice, Cost: l.Burst()}, now), row.name)
		allowed, random := l.Burst(), uint64(1)
		op := store.Op{Limit: l, Key: alice, Cost: 1}
		for range decisions {
			random = random*6364136223846793005 + 1442695040888963407 // Knuth's MMIX
			now += time.Duration(random>>16) % (row.step + 1)
			if b.Apply(&op, now) {
				allowed++
			}
		}
		due := new(big.Int).Mul(big.NewInt(int64(now)), big.NewInt(l.Count()))
		due.Div(due, big.NewInt(int64(l.Period()))).Add(due, big.NewInt(l.Burst()))
		assert.Equal(t, due.Int64(), allowed, "%s, after %v", row.name, now)
	}
}
