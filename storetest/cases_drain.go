package storetest

import (
	"math"

	"github.com/ratelimit-go/ratelimit"
)

func drainCases() []testCase {
	const takes = "OpDrain takes Cost tokens or, if there are fewer, all that there are."
	const never = "OpDrain is never refused, and an empty bucket owes nothing more."
	return []testCase{
		{"a drain takes tokens", takes, drainTakes},
		{"a drain stops at empty", never, drainStops},
		{"a drain of part of a token", takes, drainPart},
		{"a drain of more debt than a lowered limit has room for", never, drainLowered},
		{"a drain in a batch", "A refused batch takes no token anywhere, and ops see what those before them left.", drainInBatch},
	}
}

func drainTakes(c *check) {
	l := c.named("r", 0, "10 per hour")
	c.wantLevel("a drain of 4", l, c.one(drain(l, user("a"), 4)), 4)
	c.wantLevel("a drain of nothing", l, c.one(drain(l, user("a"), 0)), 4)
	c.wantAllowed("a take of what is left", c.one(take(l, user("a"), 6)))
	c.wantRefused("a take of more", c.one(take(l, user("a"), 1)), timeOf(l, 1))
	c.wantSpent("a bucket that was not drained", l, user("b"), 0)
}

func drainStops(c *check) {
	l := c.named("r", 0, "10 per hour")
	for _, n := range []int64{7, 8, 10, 11, 1 << 32, 1 << 53, math.MaxInt64 - 1, math.MaxInt64} {
		c.apply(reset(l, user("a")), take(l, user("a"), 3))
		r := c.one(drain(l, user("a"), n))
		c.wantAllowed("a drain of what is left or more", r)
		c.wantLevel("a drain of what is left or more", l, r, 10)
		c.wantLevel("the same drain again", l, c.one(drain(l, user("a"), n)), 10)
		c.wantRefused("a take after the drain", c.one(take(l, user("a"), 1)), timeOf(l, 1))
	}
	c.wantLevel("a drain of a bucket never seen", l, c.one(drain(l, user("b"), math.MaxInt64)), 10)
}

func drainPart(c *check) {
	l := c.perUnit(5)
	c.apply(take(l, user("a"), 5))
	c.advance(c.unit() + c.unit()/2)
	c.wantDebt("a drain of 1 where 1½ are left", l, c.one(drain(l, user("a"), 1)), 4*c.unit()+c.unit()/2)
	c.wantDebt("a drain of 1 where ½ is left", l, c.one(drain(l, user("a"), 1)), 5*c.unit())
}

// drainLowered leaves open at what rate old debts are paid: the drain changes nothing of it.
func drainLowered(c *check) {
	for i, after := range []string{"1 per hour", "1 per day", "10 per year", "50 per second"} {
		before, after := c.named("r", i, "1000 per second"), c.named("r", i, after)
		c.restart()
		c.apply(take(before, user("a"), 1000))
		wait := c.one(peek(after, user("a"), 1)).RetryAfter
		c.wantLeft("a drain of 1 from 0", after, c.one(drain(after, user("a"), 1)), 0)
		c.wantRefused("a take after the drain", c.one(take(after, user("a"), 1)), wait)
	}
}

func drainInBatch(c *check) {
	l, other := c.named("r", 0, "10 per hour"), c.named("s", 0, "10 per hour")
	c.apply(take(other, user("a"), 10))
	c.apply(drain(l, user("a"), 4), take(other, user("a"), 1))
	c.wantSpent("a drain beside a take that is refused", l, user("a"), 0)
	results := c.apply(drain(l, user("a"), 12), ratelimit.Op{Kind: ratelimit.OpPeek, Limit: l, Key: user("a"), Cost: 1})
	c.wantRefused("a peek behind a drain", results[1], timeOf(l, 1))
}
