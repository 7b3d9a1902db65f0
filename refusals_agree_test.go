package ratelimit

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// bucketOf returns the state of op's bucket.
func bucketOf(s *MemoryStore, op *Op, now time.Duration) bucket {
	hash := s.seed.hash(&op.Key)
	if b := s.shard(hash).find(op.Limit.id, &op.Key, hash); b != nil {
		return *b
	}
	return bucket{full: int64(now), pace: op.Limit.pace}
}

// remainingBefore returns what is left in op's bucket, less what came in the last ns.
func remainingBefore(s *MemoryStore, op *Op, now time.Duration, ns int64) int64 {
	b, l := bucketOf(s, op, now), op.Limit
	before := l.add(b.debt(int64(now)), span{ns: ns})
	if !before.atMost(l.fill) {
		return 0
	}
	return l.tokens(l.sub(l.fill, before))
}

// schedule is random ops on a few buckets, through a frontStore and on a twin of the store
// behind it. Both decide at the same instants.
type schedule struct {
	testing.TB
	*frontStore
	rnd    *rand.Rand
	twin   *MemoryStore
	limits []*NamedLimit
	waits  []time.Duration // that were told of late
	last   []Op            // refused of late
	trip   time.Duration   // the longest trip
}

func (s *schedule) ops() []Op {
	if s.last != nil && s.rnd.IntN(3) > 0 {
		return append([]Op(nil), s.last...)
	}
	ops := make([]Op, 1+s.rnd.IntN(3))
	kind := OpTake
	if s.rnd.IntN(20) == 0 {
		kind = OpKind(s.rnd.IntN(4))
	}
	for i := range ops {
		l := s.limits[s.rnd.IntN(len(s.limits))]
		cost := 1 + s.rnd.Int64N(3)
		if s.rnd.IntN(20) == 0 {
			cost = s.rnd.Int64N(l.limit.Burst + 2)
		}
		ops[i] = Op{Kind: kind, Limit: l, Key: UserKey(string(rune('a' + s.rnd.IntN(3)))), Cost: cost}
		if s.rnd.IntN(40) == 0 {
			ops[i].Kind = OpKind(s.rnd.IntN(4))
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
	want := append([]Op(nil), ops...)
	asked, hits := false, s.hits
	s.decided = func() { asked = true; require.NoError(s, s.twin.Apply(context.Background(), want)) }
	require.NoError(s, s.frontStore.Apply(context.Background(), ops))
	if !asked {
		require.NoError(s, s.twin.Apply(context.Background(), want))
	}
	refused := false
	for i := range ops {
		s.compare(n, &ops[i], &want[i], s.hits > hits)
		refused = refused || !want[i].Result.Allowed
		if w := want[i].Result.RetryAfter; w > 0 {
			s.waits, s.last = append(s.waits, s.time+w), want
		}
	}
	require.True(s, refused || s.hits == hits, "step %d: refused what the store allows", n)
}

func (s *schedule) compare(n int, got, want *Op, hit bool) {
	s.Helper()
	if !hit {
		require.Equal(s, want.Result, got.Result, "step %d", n)
		return
	}
	if b := bucketOf(s.twin, got, s.time); b.pace != got.Limit.pace && !b.isFull(int64(s.time)) {
		return // no Result tells at which rate the bucket is judged
	}
	g, w := got.Result, want.Result
	require.Equal(s, w.Allowed, g.Allowed, "step %d: %v cost %d: want %+v, got %+v", n, got.Limit.limit, got.Cost, w, g)
	require.Equal(s, w.Never, g.Never, "step %d", n)
	slack := 2 * s.trip
	if got.Limit.count > 1 {
		slack++
	}
	requireWithin(s, w.RetryAfter, g.RetryAfter, slack, n)
	requireWithin(s, w.ResetAfter, g.ResetAfter, slack, n)
	require.LessOrEqual(s, g.Remaining, w.Remaining, "step %d", n)
	require.GreaterOrEqual(s, g.Remaining, remainingBefore(s.twin, got, s.time, int64(slack)), "step %d: %v", n, got.Limit.limit)
}

func requireWithin(t testing.TB, want, got, slack time.Duration, n int) {
	t.Helper()
	require.GreaterOrEqual(t, got, want, "step %d", n)
	require.LessOrEqual(t, got, want+slack, "step %d", n)
}

// pass lets time go by: often to the instant where a wait that was told is over, or to one
// nanosecond before or after it.
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

func TestRefusalsAgreeWithTheStore(t *testing.T) {
	texts := []string{"3 per second", "7 per 11 seconds burst 2", "10 per minute", "999983 per day burst 17", "1 per day", "5 per second burst 8", "2 per second burst 10"}
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
			for run := range 8 {
				f := newFrontStore()
				s := &schedule{TB: t, frontStore: f, trip: tc.trip, rnd: rand.New(rand.NewPCG(uint64(seed), uint64(run)))}
				s.twin = NewClockStore(0, func() time.Duration { return f.time })
				for i := range 3 {
					s.limits = append(s.limits, refusalLimit(t, "a", i, texts[s.rnd.IntN(len(texts))]))
				}
				for n := range 2000 {
					if tc.changes && s.rnd.IntN(50) == 0 {
						i := s.rnd.IntN(3)
						s.limits[i] = refusalLimit(t, "a", i, texts[s.rnd.IntN(len(texts))])
					}
					s.step(n)
					s.pass()
				}
				hits, trips = hits+f.hits, trips+f.trips
			}
			t.Logf("%d hits, %d trips", hits, trips)
			assert.Greater(t, hits, 2000)
		})
	}
}
