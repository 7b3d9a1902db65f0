package storetest

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/ratelimit-go/ratelimit/store"
)

func randomCases() []testCase {
	const (
		exact = "Every answer is the exact answer of a token bucket. Only answers are rounded."
		bound = "In any time t, takes of at most the burst and t times the rate are allowed."
	)
	return []testCase{
		{"random ops agree with rational numbers", exact, randomOps},
		{"takes stay within burst and rate", bound, withinRate},
	}
}

// randomLimits go from one token per year to a million per second.
func randomLimits() []numbers {
	return []numbers{
		per(1, year), per(3, 7*year), per(1, day), per(999_983, day), per(999_983, day).holding(17),
		per(100, time.Minute), per(7, 3*time.Second), per(3, time.Second).holding(1),
		per(11, 13*time.Hour).holding(1000), per(1, time.Minute).holding(1_000_000),
		per(1_000_000, time.Second), per(1_000_000, time.Second).holding(1),
		per(997, 991*time.Second).holding(89), per(86_399, day).holding(1),
	}
}

const seeds = 10

// randomOps sends random ops to the store and to an Exact, and compares the answers.
func randomOps(c *check) {
	budget, steps := 10*365*24*time.Hour, 300
	if !c.exact() {
		budget, steps = 200*time.Millisecond, 60
	}
	for seed := range uint64(seeds) {
		c.restart()
		newSchedule(c, seed, budget).run(steps)
	}
}

// A schedule is a random conversation with a store.
type schedule struct {
	*check
	seed   uint64
	rnd    *rand.Rand
	limits []*store.Limit
	keys   []store.Key
	oracle *Exact
	end    time.Duration // how far to advance at most

	wait time.Duration // the last RetryAfter
	left int64         // the last Remaining
}

func newSchedule(c *check, seed uint64, budget time.Duration) *schedule {
	s := &schedule{check: c, seed: seed, rnd: rand.New(rand.NewPCG(seed, 0)), end: c.advanced + budget}
	epoch := time.Unix(1_000_000_000, 0)
	s.oracle = NewExact(func() time.Time { return epoch.Add(c.advanced) })
	all := randomLimits()
	for i, n := range s.rnd.Perm(len(all))[:4] {
		// Two rules of two limits each, different ones for each seed.
		s.limits = append(s.limits, c.limit(fmt.Sprintf("seed %d, rule %d", seed, i/2), i%2, all[n]))
	}
	for _, id := range []string{"a", "b", "c"} {
		s.keys = append(s.keys, user(id))
	}
	return s
}

func (s *schedule) run(steps int) {
	s.Helper()
	for step := range steps {
		s.advance(min(s.step(), s.end-s.advanced))
		ops := s.ops()
		got := s.apply(ops...)
		want := s.ask(ops)
		if wrong := s.compare(ops, got, want); wrong != "" {
			s.fatalf("seed %d, step %d, after %v: Apply(%s): %s\ngot  %+v\nwant %+v",
				s.seed, step, s.advanced, show(ops), wrong, got, want)
		}
		last := s.rnd.IntN(len(ops))
		s.left = got[last].Remaining
		if got[last].RetryAfter > 0 {
			s.wait = got[last].RetryAfter
		}
	}
}

// step returns how long to wait. It is often zero, and often just long enough or just too short.
func (s *schedule) step() time.Duration {
	l := s.limits[s.rnd.IntN(len(s.limits))]
	switch n := s.rnd.IntN(20); {
	case n < 8:
		return 0
	case n < 13:
		return s.wait
	case n < 15:
		return s.wait - 1
	case n < 19:
		return time.Duration(s.rnd.Float64() * 3 * float64(timeOf(l, 1)))
	default:
		return time.Duration(s.rnd.Float64() * float64(timeOf(l, l.Burst())))
	}
}

func (s *schedule) ops() []store.Op {
	ops := make([]store.Op, 1+s.rnd.IntN(5)*s.rnd.IntN(2))
	for i := range ops {
		op := &ops[i]
		op.Limit = s.limits[s.rnd.IntN(len(s.limits))]
		op.Key = s.keys[s.rnd.IntN(len(s.keys))]
		op.Cost = s.cost(op.Limit.Burst())
		switch n := s.rnd.IntN(20); {
		case n < 14:
			op.Kind = store.Take
		case n < 17:
			op.Kind = store.Peek
		case n < 18:
			op.Kind = store.Refund
		case n < 19:
			op.Kind = store.TakeUpTo
		default:
			op.Kind = store.Reset
		}
	}
	return ops
}

func (s *schedule) cost(burst int64) int64 {
	switch n := s.rnd.IntN(20); {
	case n < 8:
		return 1
	case n < 11:
		return s.rnd.Int64N(4)
	case n < 14:
		return s.left
	case n < 15:
		return s.left + 1
	case n < 19:
		return s.rnd.Int64N(burst + 2)
	default:
		return math.MaxInt64 - s.rnd.Int64N(3)
	}
}

func (s *schedule) ask(ops []store.Op) []store.Result {
	s.Helper()
	if err := s.oracle.Apply(context.Background(), ops); err != nil {
		s.Fatalf("storetest: Exact: %v", err)
	}
	results := make([]store.Result, len(ops))
	for i := range ops {
		results[i], ops[i].Result = ops[i].Result, store.Result{}
	}
	return results
}

// compare returns what is wrong with got. If the answers differ because the store's clock and the
// oracle's lie on different sides of a close decision, no answer is wrong. Then compare makes all
// buckets full, so that both go on from the same state.
func (s *schedule) compare(ops []store.Op, got, want []store.Result) string {
	s.Helper()
	for i := range got {
		if got[i].Allowed == want[i].Allowed {
			continue
		}
		if max(got[i].RetryAfter, want[i].RetryAfter) > 2*s.slack() {
			return fmt.Sprintf("op %d: Allowed is %t", i, got[i].Allowed)
		}
		s.resetAll()
		return ""
	}
	for i := range got {
		if wrong := s.compareOne(ops[i].Limit, got[i], want[i]); wrong != "" {
			return fmt.Sprintf("op %d: %s", i, wrong)
		}
	}
	return ""
}

func (s *schedule) compareOne(l *store.Limit, got, want store.Result) string {
	if s.exact() {
		if got != want {
			return "not the same"
		}
		return ""
	}
	slack := 2 * s.slack()
	switch {
	case (got.RetryAfter - want.RetryAfter).Abs() > slack:
		return "RetryAfter is wrong"
	case (got.ResetAfter - want.ResetAfter).Abs() > slack:
		return "ResetAfter is wrong"
	case max(got.Remaining, want.Remaining)-min(got.Remaining, want.Remaining) > 1+tokensIn(l, slack):
		return "Remaining is wrong"
	}
	return ""
}

func (s *schedule) resetAll() {
	s.Helper()
	var ops []store.Op
	for _, l := range s.limits {
		for _, k := range s.keys {
			ops = append(ops, reset(l, k))
		}
	}
	s.apply(ops...)
	s.ask(ops)
}
