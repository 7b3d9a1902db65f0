package ratelimit_test

import (
	"context"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// Promise 1: ten million decisions on one bucket, asked for more often than it fills, admit exactly
// floor(burst + rate*t), whatever fraction of a nanosecond a token takes.
func TestNoDriftInTenMillionDecisions(t *testing.T) {
	decisions := 10_000_000
	if raceEnabled || testing.Short() {
		decisions = 200_000
	}
	for _, tc := range []struct {
		limits string
		step   time.Duration // at most, between decisions: less than a token takes, so that no bucket is ever full
	}{
		{"1 per day burst 2", 25 * time.Minute},
		{"7 per second", time.Second / 7},
		{"1_000_000 per second", time.Microsecond},
		{"3 per 7 nanoseconds", 2},
		{"999_983 per day burst 17", 86 * time.Millisecond},
	} {
		now := time.Duration(0)
		store := ratelimit.NewClockStore(10, func() time.Duration { return now })
		ops := []ratelimit.Op{{Limit: named(t, "r", 0, tc.limits), Key: ratelimit.UserKey("a")}}
		admit := func(cost int64) bool {
			ops[0].Cost = cost
			if err := store.Apply(context.Background(), ops); err != nil {
				t.Fatal(err)
			}
			return ops[0].Result.Allowed
		}
		limit := ops[0].Limit.Limit()
		require.True(t, admit(limit.Burst), tc.limits)
		admitted, random := limit.Burst, uint64(1)
		for range decisions {
			random = random*6364136223846793005 + 1442695040888963407 // Knuth's MMIX
			now += time.Duration(random>>16) % (tc.step + 1)
			if admit(1) {
				admitted++
			}
		}
		due := new(big.Int).Mul(big.NewInt(int64(now)), big.NewInt(limit.Count))
		due.Div(due, big.NewInt(int64(limit.Period))).Add(due, big.NewInt(limit.Burst))
		assert.Equal(t, due.Int64(), admitted, "%s, after %v", tc.limits, now)
	}
}
