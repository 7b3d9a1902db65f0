package storetest

import (
	"context"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"time"

	"github.com/ratelimit-go/ratelimit"
)

func randomCases() []testCase {
	return []testCase{
		{"random ops agree with rational numbers", "Every answer is that of a token bucket which rounds nothing but its answers.", randomOps},
		{"no more than burst and rate", "In any time t no more tokens are taken than the burst and t times the rate.", conservation},
	}
}

// randomLimits go from one token per year to a million per second.
func randomLimits() []string {
	return []string{
		"1 per year", "3 per 7 years", "1 per day", "999_983 per day", "999_983 per day burst 17", "100 per minute", "7 per 3 seconds",
		"3 per second burst 1", "11 per 13 hours burst 1000", "1 per minute burst 1_000_000", "1_000_000 per second",
		"1_000_000 per second burst 1", "997 per 991 seconds burst 89", "86_399 per day burst 1",
	}
}

const seeds = 10

// randomOps is a conversation of the store with random clients, and Exact hears it too.
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

type schedule struct {
	*check
	seed   uint64
	rnd    *rand.Rand
	limits []*ratelimit.NamedLimit
	keys   []ratelimit.Key
	oracle *Exact
	end    time.Duration // how far to advance at most

	wait time.Duration // the last RetryAfter
	left int64         // the last Remaining
}

func newSchedule(c *check, seed uint64, budget time.Duration) *schedule {
	s := &schedule{check: c, seed: seed, rnd: rand.New(rand.NewPCG(seed, 0)), end: c.advanced + budget}
	epoch := time.Unix(1_000_000_000, 0)
	s.oracle = NewExact(func() time.Time { return epoch.Add(c.advanced) })
	texts := randomLimits()
	for i, n := range s.rnd.Perm(len(texts))[:4] {
		// Two rules of two limits each, different ones for each seed.
		s.limits = append(s.limits, c.named(fmt.Sprintf("seed %d, rule %d", seed, i/2), i%2, texts[n]))
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
			s.fatalf("seed %d, step %d, after %v: Apply(%s): %s\ngot  %+v\nwant %+v", s.seed, step, s.advanced, show(ops), wrong, got, want)
		}
		last := s.rnd.IntN(len(ops))
		s.left = got[last].Remaining
		if got[last].RetryAfter > 0 {
			s.wait = got[last].RetryAfter
		}
	}
}

// step returns how long to wait: often not at all, often just long enough or too short.
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
		return time.Duration(s.rnd.Float64() * float64(timeOf(l, l.Limit().Burst)))
	}
}

func (s *schedule) ops() []ratelimit.Op {
	ops := make([]ratelimit.Op, 1+s.rnd.IntN(5)*s.rnd.IntN(2))
	for i := range ops {
		op := &ops[i]
		op.Limit = s.limits[s.rnd.IntN(len(s.limits))]
		op.Key = s.keys[s.rnd.IntN(len(s.keys))]
		op.Cost = s.cost(op.Limit.Limit().Burst)
		switch n := s.rnd.IntN(20); {
		case n < 14:
			op.Kind = ratelimit.OpTake
		case n < 17:
			op.Kind = ratelimit.OpPeek
		case n < 18:
			op.Kind = ratelimit.OpCredit
		case n < 19:
			op.Kind = ratelimit.OpDrain
		default:
			op.Kind = ratelimit.OpReset
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

func (s *schedule) ask(ops []ratelimit.Op) []ratelimit.Result {
	s.Helper()
	if err := s.oracle.Apply(context.Background(), ops); err != nil {
		s.Fatalf("storetest: Exact: %v", err)
	}
	results := make([]ratelimit.Result, len(ops))
	for i := range ops {
		results[i], ops[i].Result = ops[i].Result, ratelimit.Result{}
	}
	return results
}

// compare returns what is wrong with got. If a decision was so close that the store's
// clock may explain why it is another than the oracle's, neither is wrong. All buckets
// are made full then, to go on from one state.
func (s *schedule) compare(ops []ratelimit.Op, got, want []ratelimit.Result) string {
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

func (s *schedule) compareOne(l *ratelimit.NamedLimit, got, want ratelimit.Result) string {
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
	var ops []ratelimit.Op
	for _, l := range s.limits {
		for _, key := range s.keys {
			ops = append(ops, reset(l, key))
		}
	}
	s.apply(ops...)
	s.ask(ops)
}

// conservation counts what a greedy client gets, and looks at nothing else.
func conservation(c *check) {
	for i, text := range randomLimits() {
		c.restart()
		rnd := rand.New(rand.NewPCG(uint64(i), 1))
		l := c.named("r", i, text)
		m := newMeter(c, l)
		patience := float64(timeOf(l, 1))
		if !c.exact() {
			patience = min(patience, float64(c.unit()/20))
		} else {
			patience = min(patience, float64(7*24*time.Hour)) // of 100 steps for each limit
		}
		for step := range c.steps(300) {
			op := take(l, user("a"), 1+rnd.Int64N(3))
			if rnd.IntN(4) == 0 {
				op.Cost = rnd.Int64N(l.Limit().Burst + 1)
			}
			if c.one(op).Allowed {
				m.admit(fmt.Sprintf("%s, step %d", text, step), op.Cost)
			}
			if rnd.IntN(2) == 0 {
				c.advance(time.Duration(rnd.Float64() * 2 * patience))
			}
		}
	}
}

// A meter holds what was admitted against one limit, for all intervals at once: the
// sum over the worst interval so far is the debt of a bucket that never says no.
type meter struct {
	c     *check
	limit ratelimit.Limit
	debt  *big.Rat
	at    time.Duration
}

func newMeter(c *check, l *ratelimit.NamedLimit) *meter {
	return &meter{c: c, limit: l.Limit(), debt: new(big.Rat), at: c.latest()}
}

// latest is the latest time that the store's clock may show.
func (c *check) latest() time.Duration { return c.advanced + c.slack() }

func (m *meter) admit(what string, n int64) {
	m.c.Helper()
	now := m.c.latest()
	rate := big.NewRat(m.limit.Count, int64(m.limit.Period))
	back := new(big.Rat).Mul(rate, whole(int64(now-m.at)))
	m.at = now
	if m.debt.Sub(m.debt, back); m.debt.Sign() < 0 {
		m.debt.SetInt64(0)
	}
	m.debt.Add(m.debt, whole(n))
	blur := new(big.Rat).Mul(rate, whole(int64(m.c.h.Resolution)))
	if over := new(big.Rat).Sub(m.debt, whole(m.limit.Burst)); over.Cmp(blur) > 0 {
		m.c.fatalf("%s: the take of %d is %s tokens too many", what, n, over.FloatString(9))
	}
}
