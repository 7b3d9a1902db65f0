package ratelimit_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/pace"
	"github.com/ratelimit-go/ratelimit/internal/testsize"
	"github.com/ratelimit-go/ratelimit/store"
)

// compiled returns limits of a rule as a limiter gives them to a store.
func compiled(t *testing.T, limits []pace.Limit) (all []*store.Limit) {
	for i, place := range pace.Places(limits) {
		l, err := store.NewLimit("r", place, limits[i].Count, limits[i].Period, limits[i].Burst)
		require.NoError(t, err)
		all = append(all, l.Versioned())
	}
	return all
}

// charged returns ops with which one request of user a is charged.
func charged(limits []*store.Limit) (ops []store.Op) {
	for _, l := range limits {
		ops = append(ops, store.Op{Limit: l, Key: ratelimit.UserKey("a"), Cost: 1})
	}
	return ops
}

// A fleet with a policy, and with any limit more, never allows more than the policy.
func TestAnyLimitMoreAllowsNoMore(t *testing.T) {
	periods := []time.Duration{time.Second, 10 * time.Second, time.Minute, 10 * time.Minute, time.Hour, 24 * time.Hour}
	for seed := range uint64(testsize.Of(1000, 60)) {
		rnd := rand.New(rand.NewPCG(seed, 4))
		var limits []pace.Limit
		for range 2 + rnd.IntN(2) {
			limits = append(limits, pace.Limit{Count: 1 + rnd.Int64N(100), Period: periods[rnd.IntN(len(periods))]})
			if last := &limits[len(limits)-1]; rnd.IntN(3) == 0 {
				last.Burst = 1 + rnd.Int64N(2*last.Count)
			}
		}
		policy, more := compiled(t, limits[1:]), compiled(t, limits)
		if moved(policy, more[1:]) {
			continue
		}
		now := time.Unix(0, 0)
		clock := ratelimit.MemoryConfig{Clock: func() time.Time { return now }}
		fleet, alone := ratelimit.NewMemoryStore(clock), ratelimit.NewMemoryStore(clock)
		for range 200 {
			version := [][]*store.Limit{policy, more}[rnd.IntN(2)]
			for range 1 + rnd.IntN(120) {
				ops, meter := charged(version), charged(policy)
				require.NoError(t, fleet.Apply(t.Context(), ops))
				if !allowed(ops) {
					break
				}
				require.NoError(t, alone.Apply(t.Context(), meter))
				require.True(t, allowed(meter), "seed %d: %v", seed, limits)
			}
			if rnd.IntN(2) == 0 {
				now = now.Add(time.Duration(rnd.Int64N(int64(periods[rnd.IntN(len(periods))]))))
			}
		}
	}
}

// moved reports whether one of limits has another bucket in other, because both have limits of
// periods that are much alike.
func moved(limits, other []*store.Limit) bool {
	for i, l := range limits {
		if l.Index() > 0 && other[i].Index() > 0 && l.Index() != other[i].Index() {
			return true
		}
	}
	return false
}

func allowed(ops []store.Op) bool {
	for i := range ops {
		if !ops[i].Result.Allowed {
			return false
		}
	}
	return true
}
