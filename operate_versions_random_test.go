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

// moved reports whether one of limits has the bucket of another one in other, because both have
// periods that are much alike. The faster of two rates fills a bucket that they share.
func moved(limits, other []*store.Limit) bool {
	for i, l := range limits {
		if l.Index() > 0 && other[i].Index() > 0 && l.Index() != other[i].Index() {
			return true
		}
	}
	return false
}

// Versions of up to four limits with random numbers, of which one often has one limit more, allow
// at one instant at most as much as the larger one. Their limits may change places, because their
// periods are alike.
func TestRandomVersionsAllowNoMoreAtOnce(t *testing.T) {
	for seed := range uint64(testsize.Of(4000, 400)) {
		rnd := rand.New(rand.NewPCG(seed, 77))
		limits := randomLimits(rnd)
		versions := [][]pace.Limit{limits[1:], limits}
		if rnd.IntN(2) == 0 {
			versions[1] = randomLimits(rnd)
		}
		a, b := compiled(t, versions[0]), compiled(t, versions[1])
		now := time.Unix(0, 0)
		s := ratelimit.NewMemoryStore(ratelimit.MemoryConfig{Clock: func() time.Time { return now }})
		for range 5 {
			taken := int64(0)
			for range 6 {
				taken += takePart(t, s, [][]*store.Limit{a, b}[rnd.IntN(2)], 1+rnd.Int64N(4))
			}
			require.LessOrEqual(t, taken, max(smallest(a), smallest(b)), "seed %d: %v", seed, versions)
			now = now.Add(time.Duration(rnd.Int64N(1 << (30 + rnd.IntN(27)))))
		}
	}
}

// randomLimits returns two to four different limits.
func randomLimits(rnd *rand.Rand) (limits []pace.Limit) {
	counts := []int64{1, 2, 5, 10, 60, 100, 600, 1000, 3000, 6000}
	periods := []time.Duration{time.Second, 10 * time.Second, time.Minute, 10 * time.Minute, time.Hour, 24 * time.Hour}
	for _, i := range rnd.Perm(60)[:2+rnd.IntN(3)] {
		l := pace.Limit{Count: counts[i/6], Period: periods[i%6]}
		if rnd.IntN(2) == 0 {
			l.Burst = 1 + rnd.Int64N(1<<rnd.IntN(11))
		}
		limits = append(limits, l)
	}
	return limits
}

// smallest returns the smallest burst of limits: so many requests they allow at one instant.
func smallest(limits []*store.Limit) int64 {
	burst := limits[0].Burst()
	for _, l := range limits {
		burst = min(burst, l.Burst())
	}
	return burst
}

// takePart takes a part of what limits leave of user a, and returns how much that was.
func takePart(t *testing.T, s store.Store, limits []*store.Limit, part int64) int64 {
	ops, left := charged(limits), smallest(limits)
	for i := range ops {
		ops[i].Kind = store.Peek
	}
	require.NoError(t, s.Apply(t.Context(), ops))
	for i := range ops {
		left = min(left, ops[i].Result.Remaining)
	}
	for i := range ops {
		ops[i].Kind, ops[i].Cost = store.Take, (left+part-1)/part
	}
	require.NoError(t, s.Apply(t.Context(), ops))
	require.True(t, allowed(ops), "%d of %d left", ops[0].Cost, left)
	return ops[0].Cost
}

func allowed(ops []store.Op) bool {
	for i := range ops {
		if !ops[i].Result.Allowed {
			return false
		}
	}
	return true
}
