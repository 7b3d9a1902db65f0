package storetest

import (
	"math"

	"github.com/ratelimit-go/ratelimit"
)

func takeCases() []testCase {
	return []testCase{
		{"a new bucket is full", "A bucket that was never seen is full.", newIsFull},
		{"a take charges its cost", "OpTake takes Cost tokens if they are there.", takeCharges},
		{"a refusal charges nothing", "A refused batch changes nothing anywhere.", refusalChargesNothing},
		{"taking nothing", "Taking nothing is always allowed and leaves no trace.", takeNothing},
		{"more than the burst is never", "Never reports that Cost is more than the bucket can hold, so that no wait can help.", neverIsNever},
		{"huge costs do not wrap", "A take is refused if its tokens are not there, however many.", hugeCosts},
		{"a peek changes nothing", "OpPeek answers as OpTake would, and changes and refuses nothing.", peekChangesNothing},
		{"a peek never votes", "OpPeek refuses nothing.", peekNeverVotes},
		{"a peek agrees with a take", "OpPeek answers as OpTake would.", peekAgrees},
	}
}

func newIsFull(c *check) {
	l := c.named("r", 0, "10 per hour")
	c.wantSpent("a bucket never seen", l, user("a"), 0)
	r := c.one(take(l, user("b"), 1))
	c.wantAllowed("the first take", r)
	c.wantLevel("the first take", l, r, 1)
	c.wantAllowed("the whole burst at once", c.one(take(l, user("c"), 10)))
	c.wantAllowed("a peek for the whole burst", c.one(peek(l, user("a"), 10)))
}

func takeCharges(c *check) {
	l := c.named("r", 0, "10 per hour")
	spent := int64(0)
	for _, cost := range []int64{1, 2, 3, 4} {
		r := c.one(take(l, user("a"), cost))
		spent += cost
		c.wantAllowed("a take of tokens that are there", r)
		c.wantLevel("after a take", l, r, spent)
	}
	r := c.one(take(l, user("a"), 1))
	c.wantRefused("a take from an empty bucket", r, timeOf(l, 1))
	c.wantLevel("a take from an empty bucket", l, r, 10)
}

func refusalChargesNothing(c *check) {
	l := c.named("r", 0, "10 per hour")
	c.apply(take(l, user("a"), 8))
	for range 50 {
		c.wantRefused("hammering", c.one(take(l, user("a"), 3)), timeOf(l, 1))
		c.wantRefused("hammering", c.one(take(l, user("a"), 10)), timeOf(l, 8))
	}
	c.wantSpent("after hammering", l, user("a"), 8)
	c.wantAllowed("what was left before", c.one(take(l, user("a"), 2)))
}

func takeNothing(c *check) {
	l := c.named("r", 0, "10 per hour")
	for _, spent := range []int64{0, 4, 10} {
		c.apply(reset(l, user("a")), take(l, user("a"), spent))
		for _, op := range []ratelimit.Op{take(l, user("a"), 0), peek(l, user("a"), 0)} {
			r := c.one(op)
			c.wantAllowed("a cost of zero", r)
			c.wantLevel("a cost of zero", l, r, spent)
		}
		c.wantSpent("after a cost of zero", l, user("a"), spent)
	}
}

func neverIsNever(c *check) {
	l := c.named("r", 0, "10 per hour")
	for _, spent := range []int64{0, 10} {
		c.apply(reset(l, user("a")), take(l, user("a"), spent))
		for _, op := range []ratelimit.Op{take(l, user("a"), 11), peek(l, user("a"), 11), take(l, user("a"), 1000)} {
			r := c.one(op) // which looks at Never and RetryAfter
			if r.Allowed {
				c.fatalf("a cost of %d was allowed by a burst of 10", op.Cost)
			}
			c.wantLevel("a cost above the burst", l, r, spent)
		}
		c.wantSpent("after a cost above the burst", l, user("a"), spent)
	}
	c.wantRefused("a cost of the whole burst", c.one(take(l, user("a"), 10)), timeOf(l, 10))
}

// hugeCosts has the costs whose product with a period or a rate is small modulo 2^64.
func hugeCosts(c *check) {
	costs := []int64{
		1 << 31, 1<<32 + 1, 1 << 53, 1<<53 + 1, 1 << 62, 1<<63 - 1, 1<<63 - 2, 153_722_868, 18_446_744_074,
		math.MaxInt64 / 60_000_000_000, math.MaxInt64/60_000_000_000 + 1, math.MaxInt64 / 1_000_000_000 * 2,
	}
	for i, text := range []string{"1 per minute burst 5", "5 per day", "1_000_000 per 100 days"} {
		l := c.named("r", i, text)
		c.apply(take(l, user("a"), 1))
		for _, cost := range costs {
			for _, op := range []ratelimit.Op{take(l, user("a"), cost), peek(l, user("a"), cost)} {
				if c.one(op).Allowed {
					c.fatalf("%s: a cost of %d was allowed", text, cost)
				}
			}
			both := c.apply(take(l, user("b"), cost), take(l, user("b"), cost))
			if both[0].Allowed || both[1].Allowed {
				c.fatalf("%s: a cost of twice %d was allowed", text, cost)
			}
		}
		c.wantSpent("after huge costs, "+text, l, user("a"), 1)
		c.wantSpent("after huge costs in pairs, "+text, l, user("b"), 0)
	}
}

func peekChangesNothing(c *check) {
	l := c.named("r", 0, "10 per hour")
	for _, spent := range []int64{0, 7, 10} {
		c.apply(reset(l, user("a")), take(l, user("a"), spent))
		for cost := range int64(12) {
			r := c.one(peek(l, user("a"), cost))
			if want := cost <= 10-spent; r.Allowed != want {
				c.fatalf("a peek for %d with %d left: Allowed is %t", cost, 10-spent, r.Allowed)
			}
			c.wantLevel("a peek", l, r, spent)
		}
		c.wantSpent("after peeks", l, user("a"), spent)
	}
}

func peekNeverVotes(c *check) {
	l := c.named("r", 0, "10 per hour")
	c.apply(take(l, user("empty"), 10))
	r := c.apply(peek(l, user("empty"), 1), take(l, user("a"), 3), peek(l, user("a"), 11))
	c.wantRefused("a peek at an empty bucket", r[0], timeOf(l, 1))
	c.wantAllowed("a take between peeks", r[1])
	c.wantSpent("after a take between refused peeks", l, user("a"), 3)
	c.wantSpent("an empty bucket that was peeked at", l, user("empty"), 10)
}

func peekAgrees(c *check) {
	l := c.named("r", 0, "10 per hour")
	for spent := range int64(11) {
		for cost := range int64(12) {
			c.apply(reset(l, user("a")), take(l, user("a"), spent))
			p, t := c.one(peek(l, user("a"), cost)), c.one(take(l, user("a"), cost))
			if p.Allowed != t.Allowed || p.Never != t.Never {
				c.fatalf("cost %d with %d left: the peek says %+v, the take %+v", cost, 10-spent, p, t)
			}
			if !p.Allowed && !p.Never {
				c.wantTime("RetryAfter of a peek", p.RetryAfter, timeOf(l, cost+spent-10))
				c.wantTime("RetryAfter of a take", t.RetryAfter, timeOf(l, cost+spent-10))
			}
		}
	}
}
