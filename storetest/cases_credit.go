package storetest

import (
	"math"

	"github.com/ratelimit-go/ratelimit"
)

func creditCases() []testCase {
	const atMost = "OpCredit gives Cost tokens back. A bucket never holds more than its burst."
	return []testCase{
		{"a credit gives tokens back", "OpCredit gives Cost tokens back.", creditGivesBack},
		{"a credit stops at the burst", atMost, creditStopsAtBurst},
		{"a credit to a new bucket", atMost, creditUnseen},
		{"a credit and part of a token", atMost, creditPart},
		{"a reset fills one bucket", "OpReset makes the bucket full.", resetOne},
	}
}

func creditGivesBack(c *check) {
	l := c.named("r", 0, "10 per hour")
	c.apply(take(l, user("a"), 10), take(l, user("b"), 10))
	c.wantLevel("a credit of 4", l, c.one(credit(l, user("a"), 4)), 6)
	c.wantLevel("a credit of nothing", l, c.one(credit(l, user("a"), 0)), 6)
	c.wantAllowed("a take of what was given back", c.one(take(l, user("a"), 4)))
	c.wantRefused("a take of more", c.one(take(l, user("a"), 1)), timeOf(l, 1))
	c.wantSpent("a bucket that got no credit", l, user("b"), 10)
}

func creditStopsAtBurst(c *check) {
	l := c.named("r", 0, "10 per hour")
	for _, back := range []int64{3, 4, 10, 11, 1 << 32, 1 << 53, math.MaxInt64 - 1, math.MaxInt64} {
		c.apply(reset(l, user("a")), take(l, user("a"), 3))
		c.wantLevel("a credit of what was taken or more", l, c.one(credit(l, user("a"), back)), 0)
		c.wantLevel("the same credit again", l, c.one(credit(l, user("a"), back)), 0)
		c.wantAllowed("a take of the burst", c.one(take(l, user("a"), 10)))
		c.wantRefused("a take of more than the burst", c.one(take(l, user("a"), 1)), timeOf(l, 1))
	}
}

func creditUnseen(c *check) {
	l := c.named("r", 0, "10 per hour")
	for _, op := range []ratelimit.Op{credit(l, user("a"), 5), credit(l, user("b"), math.MaxInt64), reset(l, user("c"))} {
		c.wantLevel("a credit to a bucket never seen", l, c.one(op), 0)
		c.wantLevel("a take", l, c.one(take(l, op.Key, 9)), 9)
		c.wantRefused("a take of more than the burst", c.one(take(l, op.Key, 2)), timeOf(l, 1))
	}
}

func creditPart(c *check) {
	l := c.perUnit(5)
	c.apply(take(l, user("a"), 2))
	c.advance(c.unit() / 2)
	r := c.one(credit(l, user("a"), 1))
	c.wantDebt("a credit of 1 where 1½ are missing", l, r, c.unit()/2)
	r = c.one(credit(l, user("a"), 1))
	c.wantDebt("a credit of 1 where ½ is missing", l, r, 0)
}

func resetOne(c *check) {
	l, second, other := c.named("r", 0, "10 per hour"), c.named("r", 1, "10 per hour"), c.named("s", 0, "10 per hour")
	all := []ratelimit.Op{take(l, user("a"), 10), take(l, user("b"), 10), take(second, user("a"), 10), take(other, user("a"), 10)}
	c.apply(all...)
	op := reset(l, user("a"))
	op.Cost = 3 // which a reset ignores
	c.wantLevel("a reset", l, c.one(op), 0)
	c.wantSpent("after a reset", l, user("a"), 0)
	for _, op := range all[1:] {
		c.wantSpent("another bucket than the one that was reset", op.Limit, op.Key, 10)
	}
}
