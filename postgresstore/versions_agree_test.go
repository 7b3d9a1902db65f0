package postgresstore_test

import (
	"context"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/postgresstore"
	"github.com/ratelimit-go/ratelimit/postgresstore/internal/pgtest"
	"github.com/ratelimit-go/ratelimit/store"
)

// A goStore decides by package store, as its documentation shows, for one key and one rule.
type goStore struct {
	clock   *clock
	buckets map[int]*store.Bucket // by index
}

func (s *goStore) Apply(_ context.Context, ops []store.Op) error {
	now := s.clock.now
	if s.full() {
		clear(s.buckets) // as the server does
	}
	for i := range ops {
		if n := ops[i].Limit.Index(); s.buckets[n] == nil {
			s.buckets[n] = new(store.Bucket)
		}
	}
	bucket := func(i int) *store.Bucket { return s.buckets[ops[i].Limit.Index()] }
	family := func(int) []*store.Bucket { return slices.Collect(maps.Values(s.buckets)) }
	store.Carry(ops, now, bucket, family)
	before := map[*store.Bucket]store.Bucket{}
	for _, b := range s.buckets {
		before[b] = *b
	}
	denied := false
	for i := range ops {
		denied = !bucket(i).Apply(&ops[i], now) && ops[i].Kind == store.Take || denied
	}
	if denied {
		for b, was := range before {
			*b = was
		}
	} else {
		store.Spread(ops, now, bucket, family)
	}
	for i := range ops {
		bucket(i).Report(&ops[i], now)
	}
	return nil
}

func (s *goStore) full() bool {
	for _, b := range s.buckets {
		if !b.Full(s.clock.now) {
			return false
		}
	}
	return true
}

// anyVersions returns some versions of a rule. Most of them share limits.
func anyVersions(t *testing.T, rnd *rand.Rand) (versions [][]*store.Limit) {
	for range 2 + rnd.IntN(3) {
		var version []*store.Limit
		for index := range 4 {
			if index > 0 && rnd.IntN(2) == 0 {
				continue
			}
			period := []time.Duration{time.Hour, time.Minute, 7 * time.Second, time.Second}[index]
			burst := int64(0)
			switch n := rnd.IntN(12); {
			case n < 3:
				burst = 1 + rnd.Int64N(40)
			case n == 3 && index == 3:
				burst = 5_000_000_000 // a row keeps smaller ones
			}
			l, err := store.NewLimit("r", index, 5+3*rnd.Int64N(3), period, burst)
			require.NoError(t, err)
			version = append(version, l.Versioned())
		}
		versions = append(versions, version)
	}
	return versions
}

// The store and package store give every version of a rule the same answers, for ops of all kinds.
func TestVersionsAgreeWithPackageStore(t *testing.T) {
	t.Parallel()
	server := pgtest.Database(t)
	s := newStore(t, server, postgresstore.Config{})
	c := newClock(t, server, s)
	kinds := []store.Kind{store.Take, store.Take, store.Peek, store.Refund, store.TakeUpTo, store.Reset}
	for seed := range uint64(40) {
		server.Exec(empty)
		rnd := rand.New(rand.NewPCG(seed, 0))
		want := &goStore{clock: c, buckets: map[int]*store.Bucket{}}
		versions := anyVersions(t, rnd)
		for step := range 150 {
			kind, cost := store.Take, 1+rnd.Int64N(3)
			if rnd.IntN(3) == 0 {
				kind, cost = kinds[rnd.IntN(len(kinds))], []int64{rnd.Int64N(20), math.MaxInt64}[rnd.IntN(9)/8]
			}
			var ops []store.Op
			for _, l := range versions[rnd.IntN(len(versions))] {
				ops = append(ops, store.Op{Kind: kind, Limit: l, Key: ratelimit.UserKey("a"), Cost: cost})
			}
			rnd.Shuffle(len(ops), func(i, j int) { ops[i], ops[j] = ops[j], ops[i] })
			got := slices.Clone(ops)
			require.NoError(t, want.Apply(t.Context(), ops))
			require.NoError(t, s.Apply(t.Context(), got))
			require.Equal(t, ops, got, "seed %d, step %d: %v", seed, step, kind)
			if rnd.IntN(3) == 0 {
				most := []time.Duration{time.Second, 10 * time.Second, time.Hour}[rnd.IntN(3)]
				c.advance(time.Duration(rnd.Int64N(int64(most))))
			}
		}
	}
}
