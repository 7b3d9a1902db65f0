package storetest

import (
	"math"
	"time"
)

func takeUpToCases() []testCase {
	const (
		takes = "TakeUpTo takes Cost tokens, or all tokens that there are."
		never = "TakeUpTo is never denied. An empty bucket owes nothing more."
		batch = "Apply evaluates ops in order. If any Take is denied, it changes no bucket."
	)
	return []testCase{
		{"TakeUpTo takes tokens", takes, takeUpToTakes},
		{"TakeUpTo stops at an empty bucket", never, takeUpToStops},
		{"TakeUpTo takes part of a token", takes, takeUpToPart},
		{"TakeUpTo keeps a debt above a lowered burst", never, takeUpToLowered},
		{"TakeUpTo in a batch", batch, takeUpToInBatch},
	}
}

func takeUpToTakes(c *check) {
	l := c.limit("r", 0, per(10, time.Hour))
	c.wantLevel("up to 4", l, c.one(takeUpTo(l, user("a"), 4)), 4)
	c.wantLevel("up to nothing", l, c.one(takeUpTo(l, user("a"), 0)), 4)
	c.wantAllowed("a take of what is left", c.one(take(l, user("a"), 6)))
	c.wantDenied("a take of more", c.one(take(l, user("a"), 1)), timeOf(l, 1))
	c.wantSpent("another bucket", l, user("b"), 0)
}

func takeUpToStops(c *check) {
	l := c.limit("r", 0, per(10, time.Hour))
	for _, n := range []int64{7, 8, 10, 11, 1 << 32, 1 << 53, math.MaxInt64 - 1, math.MaxInt64} {
		c.apply(reset(l, user("a")), take(l, user("a"), 3))
		r := c.one(takeUpTo(l, user("a"), n))
		c.wantAllowed("up to what is left or more", r)
		c.wantLevel("up to what is left or more", l, r, 10)
		c.wantLevel("the same again", l, c.one(takeUpTo(l, user("a"), n)), 10)
		c.wantDenied("a take afterwards", c.one(take(l, user("a"), 1)), timeOf(l, 1))
	}
	c.wantLevel("all of a bucket never seen", l, c.one(takeUpTo(l, user("b"), math.MaxInt64)), 10)
}

func takeUpToPart(c *check) {
	l := c.perUnit(5)
	c.apply(take(l, user("a"), 5))
	c.advance(c.unit() + c.unit()/2)
	c.wantDebt("up to 1 where 1½ are left", l, c.one(takeUpTo(l, user("a"), 1)), 4*c.unit()+c.unit()/2)
	c.wantDebt("up to 1 where ½ is left", l, c.one(takeUpTo(l, user("a"), 1)), 5*c.unit())
}

// takeUpToLowered does not say at what rate old debts are paid, only that TakeUpTo does not change
// it.
func takeUpToLowered(c *check) {
	for i, after := range []numbers{per(1, time.Hour), per(1, day), per(10, year), per(50, time.Second)} {
		before, after := c.limit("r", i, per(1000, time.Second)), c.limit("r", i, after)
		c.restart()
		c.apply(take(before, user("a"), 1000))
		wait := c.one(peek(after, user("a"), 1)).RetryAfter
		c.wantLeft("up to 1 of 0", after, c.one(takeUpTo(after, user("a"), 1)), 0)
		c.wantDenied("a take afterwards", c.one(take(after, user("a"), 1)), wait)
	}
}

func takeUpToInBatch(c *check) {
	l, other := c.limit("r", 0, per(10, time.Hour)), c.limit("s", 0, per(10, time.Hour))
	c.apply(take(other, user("a"), 10))
	c.apply(takeUpTo(l, user("a"), 4), take(other, user("a"), 1))
	c.wantSpent("beside a denied take", l, user("a"), 0)
	results := c.apply(takeUpTo(l, user("a"), 12), peek(l, user("a"), 1))
	c.wantDenied("a peek behind", results[1], timeOf(l, 1))
}
