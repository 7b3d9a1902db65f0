package storetest

import (
	"fmt"
	"math"
	"time"

	"github.com/ratelimit-go/ratelimit/store"
)

func takeCases() []testCase {
	const (
		takes   = "Take takes Cost tokens. If the bucket has fewer, the whole batch is denied."
		denied  = "If any Take is denied, Apply changes no bucket."
		nothing = "A Take of 0 tokens is always allowed and leaves no trace."
		exceeds = "ExceedsBurst reports that Cost is more than the bucket can hold. Waiting does not help."
		peeks   = "Peek answers as Take would. It takes no token and denies no batch."
	)
	return []testCase{
		{"a new bucket is full", "A bucket that was never seen is full.", newIsFull},
		{"a take charges its cost", takes, takeCharges},
		{"a denied take charges nothing", denied, denialChargesNothing},
		{"a take of nothing is allowed and leaves no trace", nothing, takeNothing},
		{"a cost above the burst says so", exceeds, exceedsBurst},
		{"huge costs do not overflow", takes, hugeCosts},
		{"a peek changes nothing", peeks, peekChangesNothing},
		{"a peek denies no batch", peeks, peekDeniesNoBatch},
		{"a peek answers as a take would", peeks, peekAgrees},
	}
}

func newIsFull(c *check) {
	l := c.limit("r", 0, per(10, time.Hour))
	c.wantSpent("a bucket never seen", l, user("a"), 0)
	r := c.one(take(l, user("b"), 1))
	c.wantAllowed("the first take", r)
	c.wantLevel("the first take", l, r, 1)
	c.wantAllowed("the whole burst at once", c.one(take(l, user("c"), 10)))
	c.wantAllowed("a peek for the whole burst", c.one(peek(l, user("a"), 10)))
}

func takeCharges(c *check) {
	l := c.limit("r", 0, per(10, time.Hour))
	spent := int64(0)
	for _, cost := range []int64{1, 2, 3, 4} {
		r := c.one(take(l, user("a"), cost))
		spent += cost
		c.wantAllowed("a take of tokens that are there", r)
		c.wantLevel("after a take", l, r, spent)
	}
	r := c.one(take(l, user("a"), 1))
	c.wantDenied("a take from an empty bucket", r, timeOf(l, 1))
	c.wantLevel("a take from an empty bucket", l, r, 10)
}

func denialChargesNothing(c *check) {
	l := c.limit("r", 0, per(10, time.Hour))
	c.apply(take(l, user("a"), 8))
	for range 50 {
		c.wantDenied("hammering", c.one(take(l, user("a"), 3)), timeOf(l, 1))
		c.wantDenied("hammering", c.one(take(l, user("a"), 10)), timeOf(l, 8))
	}
	c.wantSpent("after hammering", l, user("a"), 8)
	c.wantAllowed("what was left before", c.one(take(l, user("a"), 2)))
}

func takeNothing(c *check) {
	l := c.limit("r", 0, per(10, time.Hour))
	for _, spent := range []int64{0, 4, 10} {
		c.apply(reset(l, user("a")), take(l, user("a"), spent))
		for _, op := range []store.Op{take(l, user("a"), 0), peek(l, user("a"), 0)} {
			r := c.one(op)
			c.wantAllowed("a cost of zero", r)
			c.wantLevel("a cost of zero", l, r, spent)
		}
		c.wantSpent("after a cost of zero", l, user("a"), spent)
	}
}

func exceedsBurst(c *check) {
	l := c.limit("r", 0, per(10, time.Hour))
	for _, spent := range []int64{0, 10} {
		c.apply(reset(l, user("a")), take(l, user("a"), spent))
		a := user("a")
		for _, op := range []store.Op{take(l, a, 11), peek(l, a, 11), take(l, a, 1000)} {
			r := c.one(op) // which checks ExceedsBurst and RetryAfter
			if r.Allowed {
				c.fatalf("a cost of %d was allowed by a burst of 10", op.Cost)
			}
			c.wantLevel("a cost above the burst", l, r, spent)
		}
		c.wantSpent("after a cost above the burst", l, user("a"), spent)
	}
	c.wantDenied("a cost of the whole burst", c.one(take(l, user("a"), 10)), timeOf(l, 10))
}

// hugeCosts has costs whose product with a period or a rate is small modulo 2^64.
func hugeCosts(c *check) {
	costs := []int64{
		1 << 31, 1<<32 + 1, 1 << 53, 1<<53 + 1, 1 << 62, 1<<63 - 1, 1<<63 - 2, 153_722_868, 18_446_744_074,
		math.MaxInt64 / 60_000_000_000, math.MaxInt64/60_000_000_000 + 1, math.MaxInt64 / 1_000_000_000 * 2,
	}
	for i, n := range []numbers{per(1, time.Minute).holding(5), per(5, day), per(1_000_000, 100*day)} {
		l := c.limit("r", i, n)
		c.apply(take(l, user("a"), 1))
		for _, cost := range costs {
			for _, op := range []store.Op{take(l, user("a"), cost), peek(l, user("a"), cost)} {
				if c.one(op).Allowed {
					c.fatalf("%v: a cost of %d was allowed", n, cost)
				}
			}
			both := c.apply(take(l, user("b"), cost), take(l, user("b"), cost))
			if both[0].Allowed || both[1].Allowed {
				c.fatalf("%v: a cost of twice %d was allowed", n, cost)
			}
		}
		c.wantSpent(fmt.Sprintf("after huge costs, %v", n), l, user("a"), 1)
		c.wantSpent(fmt.Sprintf("after huge costs in pairs, %v", n), l, user("b"), 0)
	}
}

func peekChangesNothing(c *check) {
	l := c.limit("r", 0, per(10, time.Hour))
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

func peekDeniesNoBatch(c *check) {
	l := c.limit("r", 0, per(10, time.Hour))
	c.apply(take(l, user("empty"), 10))
	r := c.apply(peek(l, user("empty"), 1), take(l, user("a"), 3), peek(l, user("a"), 11))
	c.wantDenied("a peek at an empty bucket", r[0], timeOf(l, 1))
	c.wantAllowed("a take between peeks", r[1])
	c.wantSpent("after a take between denied peeks", l, user("a"), 3)
	c.wantSpent("an empty bucket after a peek", l, user("empty"), 10)
}

func peekAgrees(c *check) {
	l := c.limit("r", 0, per(10, time.Hour))
	for spent := range int64(11) {
		for cost := range int64(12) {
			c.apply(reset(l, user("a")), take(l, user("a"), spent))
			p, t := c.one(peek(l, user("a"), cost)), c.one(take(l, user("a"), cost))
			if p.Allowed != t.Allowed || p.ExceedsBurst != t.ExceedsBurst {
				c.fatalf("cost %d with %d left: the peek says %+v, the take %+v", cost, 10-spent, p, t)
			}
			if !p.Allowed && !p.ExceedsBurst {
				c.wantTime("RetryAfter of a peek", p.RetryAfter, timeOf(l, cost+spent-10))
				c.wantTime("RetryAfter of a take", t.RetryAfter, timeOf(l, cost+spent-10))
			}
		}
	}
}
