package guard

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/pace"
	"github.com/ratelimit-go/ratelimit/internal/testsize"
	"github.com/ratelimit-go/ratelimit/store"
)

// schedule is random ops on a few buckets, through a front and on a twin of the store behind it.
// Both decide at the same instants.
type schedule struct {
	testing.TB
	*front
	rnd    *rand.Rand
	twin   *mapStore
	limits []*store.Limit
	waits  []time.Duration // instants at which recent denials end
	last   []store.Op      // denied recently
	trip   time.Duration   // the longest trip, one way
}

func (s *schedule) ops() []store.Op {
	if s.last != nil && s.rnd.IntN(3) > 0 {
		return append([]store.Op(nil), s.last...)
	}
	ops := make([]store.Op, 1+s.rnd.IntN(3))
	kind := store.Take
	if s.rnd.IntN(20) == 0 {
		kind = store.Kind(s.rnd.IntN(4))
	}
	for i := range ops {
		l := s.limits[s.rnd.IntN(len(s.limits))]
		cost := 1 + s.rnd.Int64N(3)
		if s.rnd.IntN(20) == 0 {
			cost = s.rnd.Int64N(l.Burst() + 2)
		}
		ops[i] = store.Op{Kind: kind, Limit: l, Key: user(string(rune('a' + s.rnd.IntN(3)))), Cost: cost}
		if s.rnd.IntN(40) == 0 {
			ops[i].Kind = store.Kind(s.rnd.IntN(4))
		}
	}
	return ops
}

// step makes one batch happen and compares the answers.
func (s *schedule) step(n int) {
	s.before, s.after = 0, 0
	if s.trip > 0 {
		s.before, s.after = time.Duration(s.rnd.Int64N(int64(s.trip))), time.Duration(s.rnd.Int64N(int64(s.trip)))
	}
	ops := s.ops()
	want := append([]store.Op(nil), ops...)
	called, hits := false, s.hits
	s.decided = func() { called = true; require.NoError(s, s.twin.Apply(context.Background(), want)) }
	require.NoError(s, s.Apply(context.Background(), ops))
	if !called {
		require.NoError(s, s.twin.Apply(context.Background(), want))
	}
	denied := false
	for i := range ops {
		s.compare(n, &ops[i], &want[i], s.hits > hits)
		denied = denied || !want[i].Result.Allowed
		if w := want[i].Result.RetryAfter; w > 0 {
			s.waits, s.last = append(s.waits, s.time+w), want
		}
	}
	require.True(s, denied || s.hits == hits, "step %d: denied a batch that the store allows", n)
}

func (s *schedule) compare(n int, got, want *store.Op, hit bool) {
	s.Helper()
	if !hit {
		require.Equal(s, want.Result, got.Result, "step %d", n)
		return
	}
	l := got.Limit
	if b := s.twin.buckets[idOf(got)]; !b.FillsAt(l) && !b.Full(s.time) {
		return // no Result tells at which rate the bucket is judged
	}
	g, w := got.Result, want.Result
	require.Equal(s, w.Allowed, g.Allowed, "step %d: %d per %v cost %d: want %+v, got %+v", n, l.Count(), l.Period(), got.Cost, w, g)
	require.Equal(s, w.ExceedsBurst, g.ExceedsBurst, "step %d", n)
	slack := 2 * s.trip
	if pace.Of(l.Count(), l.Period()).Count > 1 {
		slack++
	}
	requireWithin(s, w.RetryAfter, g.RetryAfter, slack, n)
	requireWithin(s, w.ResetAfter, g.ResetAfter, slack, n)
	require.LessOrEqual(s, g.Remaining, w.Remaining, "step %d", n)
	require.GreaterOrEqual(s, g.Remaining, s.twin.remaining(got, s.time-slack), "step %d: %d per %v", n, l.Count(), l.Period())
}

func requireWithin(t testing.TB, want, got, slack time.Duration, n int) {
	t.Helper()
	require.GreaterOrEqual(t, got, want, "step %d", n)
	require.LessOrEqual(t, got, want+slack, "step %d", n)
}

// pass lets time go by: often to the instant at which a denial ends, or to a nanosecond before or
// after it.
func (s *schedule) pass() {
	switch {
	case len(s.waits) > 0 && s.rnd.IntN(3) > 0:
		i := s.rnd.IntN(len(s.waits))
		at := s.waits[i] + time.Duration(s.rnd.IntN(3)-1)
		s.waits = append(s.waits[:i], s.waits[i+1:]...)
		if at-s.time < time.Minute {
			s.time = max(s.time, at)
		}
	case s.rnd.IntN(2) == 0:
		s.time += time.Duration(s.rnd.Int64N(int64(3 * time.Second)))
	default:
		s.time += time.Duration(s.rnd.Int64N(3))
	}
	if len(s.waits) > 20 {
		s.waits = s.waits[10:]
	}
}

// randomLimit returns limit number i of a rule, with numbers that rnd chooses.
func randomLimit(t testing.TB, rnd *rand.Rand, i int) *store.Limit {
	t.Helper()
	limits := []pace.Limit{
		{Count: 3, Period: time.Second},
		{Count: 7, Period: 11 * time.Second, Burst: 2},
		{Count: 10, Period: time.Minute},
		{Count: 999_983, Period: 24 * time.Hour, Burst: 17},
		{Count: 1, Period: 24 * time.Hour},
		{Count: 5, Period: time.Second, Burst: 8},
		{Count: 2, Period: time.Second, Burst: 10},
	}
	l := limits[rnd.IntN(len(limits))]
	return newLimit(t, "a", i, l.Count, l.Period, l.Burst)
}

func TestDenialsAgreeWithTheStore(t *testing.T) {
	t.Parallel()
	runs := testsize.Of(8, 2)
	for seed, tc := range []struct {
		name    string
		trip    time.Duration
		changes bool
	}{
		{"at once", 0, false},
		{"while a trip takes time", 20 * time.Millisecond, false},
		{"while limits change", 0, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			hits, trips := 0, 0
			for run := range runs {
				f := newFront()
				s := &schedule{TB: t, front: f, trip: tc.trip, rnd: rand.New(rand.NewPCG(uint64(seed), uint64(run)))}
				s.twin = newMapStore(func() time.Duration { return f.time })
				for i := range 3 {
					s.limits = append(s.limits, randomLimit(t, s.rnd, i))
				}
				for n := range 1000 {
					if tc.changes && s.rnd.IntN(50) == 0 {
						i := s.rnd.IntN(3)
						s.limits[i] = randomLimit(t, s.rnd, i)
					}
					s.step(n)
					s.pass()
				}
				hits, trips = hits+f.hits, trips+f.trips
			}
			t.Logf("%d hits, %d trips", hits, trips)
			assert.Greater(t, hits, runs*1000/8)
		})
	}
}
