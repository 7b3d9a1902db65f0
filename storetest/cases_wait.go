package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/ratelimit-go/ratelimit/store"
)

func waitCases() []testCase {
	const (
		retry     = "RetryAfter is the shortest time after which the same op would be allowed, rounded up."
		roundUp   = "RetryAfter and ResetAfter are rounded up."
		remaining = "Remaining is the number of whole tokens in the bucket, rounded down."
		full      = "ResetAfter is the time until the bucket is full."
		forget    = "A store may forget a bucket only when it is full again."
	)
	return []testCase{
		{"a retry after RetryAfter is allowed", retry, retryInTime},
		{"a batch is allowed after its longest RetryAfter", retry, retryBatchInTime},
		{"waits are rounded up", roundUp, waitsRoundUp},
		{"Remaining is rounded down", remaining, remainingRoundsDown},
		{"a bucket is full after ResetAfter", full, fullAfterReset},
		{"a bucket does not overflow", "A bucket never holds more than its burst.", noMoreThanBurst},
		{"only full buckets are forgotten", forget, onlyFullForgotten},
	}
}

// uneven returns limits whose tokens take no whole number of nanoseconds, and others. In real time
// it returns only limits that are short enough to wait for.
func (c *check) uneven() []*store.Limit {
	all := []numbers{
		per(7, time.Second).holding(2), per(3, time.Second).holding(1), per(11, time.Second).holding(3),
	}
	if c.exact() {
		all = append(all, per(7, 3*time.Second), per(100, time.Minute), per(999_983, day).holding(17),
			per(1_000_000, time.Second).holding(7), per(1, day).holding(3), per(1, year), per(3, 7*year),
			per(11, 13*time.Hour).holding(5), per(1, time.Minute).holding(5))
	}
	limits := make([]*store.Limit, len(all))
	for i, n := range all {
		limits[i] = c.limit("uneven", i, n)
	}
	return limits
}

func retryInTime(c *check) {
	for _, l := range c.uneven() {
		burst := l.Burst()
		for _, cost := range slices.Compact([]int64{1, (burst + 1) / 2, burst}) {
			what := fmt.Sprintf("%v, a retry of %d", numbersOf(l), cost)
			c.restart()
			op := take(l, user(what), cost)
			c.apply(take(l, op.Key, burst))
			r := c.one(op)
			c.wantDenied(what, r, timeOf(l, cost))
			early := c.early(r.RetryAfter)
			c.advance(r.RetryAfter - early)
			c.wantDenied(what+", early", c.one(op), early)
			c.advance(early + c.h.Resolution)
			c.wantAllowed(what+", in time", c.one(op))
		}
	}
}

func retryBatchInTime(c *check) {
	fast := c.perUnit(4)
	slow := c.limit("unit", 1, per(1, 3*c.unit()).holding(4))
	ops := []store.Op{take(fast, user("a"), 2), take(slow, user("a"), 1)}
	c.apply(take(fast, user("a"), 4), take(slow, user("a"), 4))
	r := c.apply(ops...)
	c.wantDenied("the fast limit", r[0], 2*c.unit())
	c.wantDenied("the slow limit", r[1], 3*c.unit())
	c.advance(r[0].RetryAfter + c.h.Resolution)
	r = c.apply(ops...)
	c.wantAllowed("the fast limit after its wait", r[0])
	c.wantDenied("the slow limit after the wait of the fast one", r[1], c.unit())
	c.advance(r[1].RetryAfter + c.h.Resolution)
	for _, r := range c.apply(ops...) {
		c.wantAllowed("both limits after the longest wait", r)
	}
}

func waitsRoundUp(c *check) {
	l := c.limit("r", 0, per(3, 10*time.Minute))
	for spent, want := range []time.Duration{0, 200_000_000_000, 400_000_000_000, 600_000_000_000} {
		c.wantTime("ResetAfter", c.one(peek(l, user("a"), 0)).ResetAfter, want)
		if spent < 3 {
			c.apply(take(l, user("a"), 1))
		}
	}
	l = c.limit("r", 1, per(7, 10*time.Minute))
	c.apply(take(l, user("a"), 7))
	for n, want := range []time.Duration{
		85_714_285_715, 171_428_571_429, 257_142_857_143, 342_857_142_858,
		428_571_428_572, 514_285_714_286, 600_000_000_000,
	} {
		c.wantDenied("7 per 10 minutes", c.one(take(l, user("a"), int64(n+1))), want)
	}
	for n, want := range []time.Duration{
		514_285_714_286, 428_571_428_572, 342_857_142_858, 257_142_857_143,
		171_428_571_429, 85_714_285_715, 0,
	} {
		c.wantTime("ResetAfter", c.one(refund(l, user("a"), 1)).ResetAfter, want)
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
	c.wantDenied("more than the burst", c.one(take(l, user("a"), 1)), c.unit())
}

// onlyFullForgotten has a bucket that takes 20 periods to fill, while other buckets come and go. A
// store that forgets a bucket after one period, or the oldest bucket first, fails.
func onlyFullForgotten(c *check) {
	l, quick := c.perUnit(20), c.limit("quick", 0, per(100, c.unit()))
	c.apply(take(l, user("a"), 20), take(l, user("b"), 20))
	for step := range 20 {
		for i := range 50 {
			c.apply(take(quick, user(fmt.Sprint(step, " ", i)), 1))
		}
		c.advance(c.unit())
		debt := time.Duration(19-step) * c.unit()
		c.wantDebt("a bucket that is peeked at", l, c.one(peek(l, user("a"), 0)), debt)
		if step == 12 {
			c.wantDebt("a bucket that was left alone", l, c.one(peek(l, user("b"), 0)), debt)
		}
	}
}
