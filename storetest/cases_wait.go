package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/ratelimit-go/ratelimit"
)

func waitCases() []testCase {
	const retry = "RetryAfter is the shortest time after which the same op would be allowed, rounded up."
	return []testCase{
		{"a retry in time is allowed", retry, retryInTime},
		{"a retry of a batch in time is allowed", retry, retryBatchInTime},
		{"waits are rounded up", "RetryAfter and ResetAfter are rounded up.", waitsRoundUp},
		{"remaining is rounded down", "Remaining is the number of whole tokens in the bucket. Fractions are cut off.", remainingRoundsDown},
		{"a bucket is full after ResetAfter", "ResetAfter is the time until the bucket is full.", fullAfterReset},
		{"a bucket does not overflow", "A bucket never holds more than its burst.", noMoreThanBurst},
		{"forgetting never forgives", "A bucket may be forgotten only when it is full again.", forgettingNeverForgives},
	}
}

func rewindCases() []testCase {
	const back = "A bucket refills with time, and time does not go back."
	return []testCase{
		{"a clock set back mints nothing", back, rewindMintsNothing},
		{"a clock set back locks nobody out", back, rewindLocksNobodyOut},
		{"a clock set back and forth", back, rewindZigzag},
	}
}

// uneven are limits whose tokens take no whole number of nanoseconds, and others.
// In real time, they are those that can be waited for.
func (c *check) uneven() []*ratelimit.NamedLimit {
	texts := []string{"7 per second burst 2", "3 per second burst 1", "11 per second burst 3"}
	if c.exact() {
		texts = append(texts, "7 per 3 seconds", "100 per minute", "999_983 per day burst 17", "1_000_000 per second burst 7",
			"1 per day burst 3", "1 per year", "3 per 7 years", "11 per 13 hours burst 5", "1 per minute burst 5")
	}
	limits := make([]*ratelimit.NamedLimit, len(texts))
	for i, text := range texts {
		limits[i] = c.named("uneven", i, text)
	}
	return limits
}

// early returns how long before its time a retry should be tried: one nanosecond,
// or in real time half the wait.
func (c *check) early(wait time.Duration) time.Duration {
	if c.exact() {
		return 1
	}
	return wait / 2
}

func retryInTime(c *check) {
	for _, l := range c.uneven() {
		burst := l.Limit().Burst
		for _, cost := range slices.Compact([]int64{1, (burst + 1) / 2, burst}) {
			what := fmt.Sprintf("%v, a retry of %d", l.Limit(), cost)
			c.restart()
			op := take(l, user(what), cost)
			c.apply(take(l, op.Key, burst))
			r := c.one(op)
			c.wantRefused(what, r, timeOf(l, cost))
			early := c.early(r.RetryAfter)
			c.advance(r.RetryAfter - early)
			c.wantRefused(what+", early", c.one(op), early)
			c.advance(early + c.h.Resolution)
			c.wantAllowed(what+", in time", c.one(op))
		}
	}
}

func retryBatchInTime(c *check) {
	fast := c.perUnit(4)
	slow := c.name("unit", 1, ratelimit.Limit{Count: 1, Period: 3 * c.unit(), Burst: 4})
	ops := []ratelimit.Op{take(fast, user("a"), 2), take(slow, user("a"), 1)}
	c.apply(take(fast, user("a"), 4), take(slow, user("a"), 4))
	r := c.apply(ops...)
	c.wantRefused("the fast limit", r[0], 2*c.unit())
	c.wantRefused("the slow limit", r[1], 3*c.unit())
	c.advance(r[0].RetryAfter + c.h.Resolution)
	r = c.apply(ops...)
	c.wantAllowed("the fast limit after its wait", r[0])
	c.wantRefused("the slow limit after the wait of the fast one", r[1], c.unit())
	c.advance(r[1].RetryAfter + c.h.Resolution)
	for _, r := range c.apply(ops...) {
		c.wantAllowed("both limits after the longest wait", r)
	}
}

func waitsRoundUp(c *check) {
	l := c.named("r", 0, "3 per 10 minutes")
	for spent, want := range []time.Duration{0, 200_000_000_000, 400_000_000_000, 600_000_000_000} {
		c.wantTime("ResetAfter", c.one(peek(l, user("a"), 0)).ResetAfter, want)
		if spent < 3 {
			c.apply(take(l, user("a"), 1))
		}
	}
	l = c.named("r", 1, "7 per 10 minutes")
	c.apply(take(l, user("a"), 7))
	for n, want := range []time.Duration{
		85_714_285_715, 171_428_571_429, 257_142_857_143, 342_857_142_858, 428_571_428_572, 514_285_714_286, 600_000_000_000,
	} {
		c.wantRefused("7 per 10 minutes", c.one(take(l, user("a"), int64(n+1))), want)
	}
	for n, want := range []time.Duration{514_285_714_286, 428_571_428_572, 342_857_142_858, 257_142_857_143, 171_428_571_429, 85_714_285_715, 0} {
		c.wantTime("ResetAfter", c.one(credit(l, user("a"), 1)).ResetAfter, want)
		c.wantSpent("7 per 10 minutes", l, user("a"), int64(6-n))
	}
}

func remainingRoundsDown(c *check) {
	l, unit := c.perUnit(5), c.unit()
	steps := []time.Duration{unit / 2, unit / 2, unit - unit/20, unit / 20}
	if c.exact() {
		steps = []time.Duration{1, unit - 2, 1, 1, unit - 1, 3*unit - 1, 1}
	}
	c.apply(take(l, user("a"), 5))
	debt := 5 * unit
	for _, d := range steps {
		c.advance(d)
		debt = max(debt-d, 0)
		c.wantDebt(fmt.Sprintf("%v before full", debt), l, c.one(peek(l, user("a"), 0)), debt)
	}
}

func fullAfterReset(c *check) {
	l, unit := c.perUnit(3), c.unit()
	r := c.one(take(l, user("a"), 3))
	c.wantDebt("an empty bucket", l, r, 3*unit)
	c.advance(unit)
	r = c.one(peek(l, user("a"), 0))
	c.wantDebt("a unit later", l, r, 2*unit)
	c.advance(r.ResetAfter + c.h.Resolution)
	c.wantDebt("after ResetAfter", l, c.one(peek(l, user("a"), 0)), 0)
	c.wantAllowed("the burst after ResetAfter", c.one(take(l, user("a"), 3)))
}

func noMoreThanBurst(c *check) {
	l := c.perUnit(2)
	idle := 4 * c.unit()
	if c.exact() {
		idle = 10 * 365 * 24 * time.Hour
	}
	c.apply(take(l, user("a"), 1))
	c.advance(idle)
	c.restart()
	c.wantDebt("after a long time", l, c.one(peek(l, user("a"), 0)), 0)
	r := c.one(take(l, user("a"), 2))
	c.wantAllowed("the burst", r)
	c.wantDebt("the burst", l, r, 2*c.unit())
	c.wantRefused("more than the burst", c.one(take(l, user("a"), 1)), c.unit())
}

// forgettingNeverForgives has a bucket that takes 20 periods to fill, and others come
// and go meanwhile. A store that forgets after a period, or the oldest first, fails.
func forgettingNeverForgives(c *check) {
	l, quick := c.perUnit(20), c.name("quick", 0, ratelimit.Limit{Count: 100, Period: c.unit()})
	c.apply(take(l, user("a"), 20), take(l, user("b"), 20))
	for step := range 20 {
		for i := range 50 {
			c.apply(take(quick, user(fmt.Sprint(step, " ", i)), 1))
		}
		c.advance(c.unit())
		debt := time.Duration(19-step) * c.unit()
		c.wantDebt("a bucket that is looked at", l, c.one(peek(l, user("a"), 0)), debt)
		if step == 12 {
			c.wantDebt("a bucket that was left alone", l, c.one(peek(l, user("b"), 0)), debt)
		}
	}
}

func rewindMintsNothing(c *check) {
	l := c.perUnit(5)
	c.apply(take(l, user("a"), 5))
	c.h.Rewind(10 * c.unit())
	c.wantRefusedBack("the clock set back", l)
	c.advance(10 * c.unit())
	c.wantRefusedBack("the clock right again", l)
	c.wantSpent("the clock right again", l, user("a"), 5)
}

// wantRefusedBack fails unless user a gets nothing, and is told to wait for one token.
func (c *check) wantRefusedBack(what string, l *ratelimit.NamedLimit) {
	c.Helper()
	r := c.one(take(l, user("a"), 1))
	if r.Allowed {
		c.fatalf("%s: a take from an empty bucket was allowed", what)
	}
	if r.RetryAfter > c.unit()+c.h.Resolution {
		c.fatalf("%s: RetryAfter is %v, but a token takes %v", what, r.RetryAfter, c.unit())
	}
}

func rewindLocksNobodyOut(c *check) {
	l := c.perUnit(5)
	c.apply(take(l, user("a"), 2))
	c.h.Rewind(1000 * c.unit())
	c.wantAllowed("what was left before", c.one(take(l, user("a"), 3)))
	c.wantAllowed("a new key", c.one(take(l, user("b"), 5)))
	c.wantRefusedBack("an empty bucket", l)
	c.advance(1001 * c.unit())
	c.wantAllowed("when the clock is past where it was", c.one(take(l, user("a"), 1)))
}

// rewindZigzag lets half a token's time go by again and again, between the same two instants.
func rewindZigzag(c *check) {
	l := c.perUnit(5)
	c.apply(take(l, user("a"), 5), take(l, user("b"), 4))
	batch := []ratelimit.Op{take(l, user("b"), 1), take(l, user("a"), 1)}
	for range 20 {
		c.advance(c.unit() / 2)
		c.wantOnlyFirst("the clock ahead", batch)
		c.h.Rewind(c.unit() / 2)
		c.wantOnlyFirst("the clock set back", batch)
	}
}

func (c *check) wantOnlyFirst(what string, ops []ratelimit.Op) {
	c.Helper()
	if r := c.apply(ops...); !r[0].Allowed || r[1].Allowed {
		c.fatalf("%s: want the take from a bucket with a token to be allowed, and that from an empty one refused: %+v", what, r)
	}
}
