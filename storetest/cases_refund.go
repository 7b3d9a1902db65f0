package storetest

import (
	"math"
	"time"

	"github.com/ratelimit-go/ratelimit/store"
)

func refundCases() []testCase {
	const refunds = "Refund puts Cost tokens back. A bucket never holds more than its burst."
	return []testCase{
		{"a refund puts tokens back", refunds, refundPutsBack},
		{"a refund stops at the burst", refunds, refundStopsAtBurst},
		{"a refund to a new bucket leaves it full", refunds, refundUnseen},
		{"a refund counts parts of a token", refunds, refundPart},
		{"a reset fills one bucket", "Reset makes the bucket full.", resetOne},
	}
}

func refundPutsBack(c *check) {
	l := c.limit("r", 0, per(10, time.Hour))
	c.apply(take(l, user("a"), 10), take(l, user("b"), 10))
	c.wantLevel("a refund of 4", l, c.one(refund(l, user("a"), 4)), 6)
	c.wantLevel("a refund of nothing", l, c.one(refund(l, user("a"), 0)), 6)
	c.wantAllowed("a take of what was refunded", c.one(take(l, user("a"), 4)))
	c.wantDenied("a take of more", c.one(take(l, user("a"), 1)), timeOf(l, 1))
	c.wantSpent("a bucket without a refund", l, user("b"), 10)
}

func refundStopsAtBurst(c *check) {
	l := c.limit("r", 0, per(10, time.Hour))
	for _, n := range []int64{3, 4, 10, 11, 1 << 32, 1 << 53, math.MaxInt64 - 1, math.MaxInt64} {
		c.apply(reset(l, user("a")), take(l, user("a"), 3))
		c.wantLevel("a refund of what was taken or more", l, c.one(refund(l, user("a"), n)), 0)
		c.wantLevel("the same refund again", l, c.one(refund(l, user("a"), n)), 0)
		c.wantAllowed("a take of the burst", c.one(take(l, user("a"), 10)))
		c.wantDenied("a take of more than the burst", c.one(take(l, user("a"), 1)), timeOf(l, 1))
	}
}

func refundUnseen(c *check) {
	l := c.limit("r", 0, per(10, time.Hour))
	for _, op := range []store.Op{
		refund(l, user("a"), 5), refund(l, user("b"), math.MaxInt64), reset(l, user("c")),
	} {
		c.wantLevel("a refund to a bucket never seen", l, c.one(op), 0)
		c.wantLevel("a take", l, c.one(take(l, op.Key, 9)), 9)
		c.wantDenied("a take of more than the burst", c.one(take(l, op.Key, 2)), timeOf(l, 1))
	}
}

func refundPart(c *check) {
	l := c.perUnit(5)
	c.apply(take(l, user("a"), 2))
	c.advance(c.unit() / 2)
	r := c.one(refund(l, user("a"), 1))
	c.wantDebt("a refund of 1 where 1½ are missing", l, r, c.unit()/2)
	r = c.one(refund(l, user("a"), 1))
	c.wantDebt("a refund of 1 where ½ is missing", l, r, 0)
}

func resetOne(c *check) {
	l := c.limit("r", 0, per(10, time.Hour))
	second, other := c.limit("r", 1, per(10, time.Hour)), c.limit("s", 0, per(10, time.Hour))
	all := []store.Op{
		take(l, user("a"), 10), take(l, user("b"), 10),
		take(second, user("a"), 10), take(other, user("a"), 10),
	}
	c.apply(all...)
	op := reset(l, user("a"))
	op.Cost = 3 // which a reset ignores
	c.wantLevel("a reset", l, c.one(op), 0)
	c.wantSpent("after a reset", l, user("a"), 0)
	for _, op := range all[1:] {
		c.wantSpent("a bucket other than the reset one", op.Limit, op.Key, 10)
	}
}
