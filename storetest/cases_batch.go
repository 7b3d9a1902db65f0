package storetest

import (
	"fmt"
	"slices"

	"github.com/ratelimit-go/ratelimit"
)

func batchCases() []testCase {
	const allOrNone = "Apply applies all of the ops or, if any OpTake is refused, none: a refused batch changes nothing anywhere."
	const inOrder = "Apply evaluates ops in order, each on the buckets as the ops before it would leave them."
	return []testCase{
		{"a batch takes all or nothing", allOrNone, allOrNothing},
		{"a batch of several limits on one key", allOrNone, severalLimits},
		{"a batch of several keys under one limit", allOrNone, severalKeys},
		{"a bucket twice in a batch", inOrder, duplicates},
		{"a bucket twice in a refused batch", inOrder, refusedDuplicates},
		{"a batch is evaluated in order", inOrder, evaluatedInOrder},
		{"a refused batch gives nothing back", allOrNone, refusedCredit},
		{"a batch of old and new buckets", "A bucket may be forgotten only when it is full again; then it is as good as new.", oldAndNew},
		{"an empty batch", "Apply applies all of the ops, of which there may be none.", emptyBatch},
		{"a batch of 64", allOrNone, largeBatch},
	}
}

// allOrNothing has an empty bucket in each place of batches of 2 to 5.
func allOrNothing(c *check) {
	l := c.named("r", 0, "10 per hour")
	for size := 2; size <= 5; size++ {
		for empty := range size {
			ops := make([]ratelimit.Op, size)
			for i := range ops {
				ops[i] = take(l, user(fmt.Sprintf("%d of %d, %d empty", i, size, empty)), 4)
			}
			c.apply(take(l, ops[empty].Key, 8))
			c.wantOneRefused(ops, empty, 0, 8)
			c.apply(reset(l, ops[empty].Key))
			for i, r := range c.apply(ops...) {
				what := fmt.Sprintf("op %d of a batch that has room", i)
				c.wantAllowed(what, r)
				c.wantLevel(what, l, r, 4)
			}
		}
	}
}

// wantOneRefused applies ops and fails unless only ops[refused] is refused and
// all buckets stay as they are: spent tokens are missing from the one, rest from the others.
func (c *check) wantOneRefused(ops []ratelimit.Op, refused int, rest, spent int64) {
	c.Helper()
	for i, r := range c.apply(ops...) {
		what := fmt.Sprintf("op %d of %d in a batch refused by op %d", i, len(ops), refused)
		want := rest
		if i == refused {
			want = spent
			c.wantRefused(what, r, timeOf(ops[i].Limit, ops[i].Cost+spent-ops[i].Limit.Limit().Burst))
		} else {
			c.wantAllowed(what, r)
		}
		c.wantLevel(what, ops[i].Limit, r, want)
		c.wantSpent("after: "+what, ops[i].Limit, ops[i].Key, want)
	}
}

func severalLimits(c *check) {
	limits := []*ratelimit.NamedLimit{
		c.named("r", 0, "5 per hour"), c.named("r", 1, "20 per day"), c.named("s", 0, "100 per 30 days"),
	}
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 0, 2}} {
		key, ops := user(fmt.Sprint(order)), make([]ratelimit.Op, 3)
		for i, n := range order {
			ops[i] = take(limits[n], key, 2)
		}
		for i, r := range c.apply(ops...) {
			c.wantAllowed("the first batch", r)
			c.wantLevel("the first batch", ops[i].Limit, r, 2)
		}
		c.apply(ops...)
		c.wantOneRefused(ops, slices.Index(order, 0), 4, 4)
	}
}

func severalKeys(c *check) {
	l := c.named("r", 0, "5 per hour")
	for _, order := range [][]string{{"full", "empty"}, {"empty", "full"}} {
		a, b := user(order[0]), user(order[1])
		c.apply(reset(l, user("full")), reset(l, user("empty")))
		c.apply(take(l, user("empty"), 5))
		c.wantOneRefused([]ratelimit.Op{take(l, a, 1), take(l, b, 1)}, slices.Index(order, "empty"), 0, 5)
	}
}

func duplicates(c *check) {
	l, other := c.named("r", 0, "10 per hour"), c.named("r", 1, "10 per hour")
	for _, r := range c.apply(take(l, user("a"), 5), take(l, user("a"), 5)) {
		c.wantAllowed("5 and 5 of 10", r)
		c.wantLevel("5 and 5 of 10", l, r, 10)
	}
	r := c.apply(take(l, user("b"), 2), take(other, user("b"), 1), take(l, user("b"), 3), take(l, user("b"), 1))
	for _, i := range []int{0, 2, 3} {
		c.wantLevel("2, 3 and 1 of 10", l, r[i], 6)
	}
	c.wantLevel("the bucket between them", other, r[1], 1)
	same := c.named("r", 0, "10 per hour") // another value for the same limit
	c.apply(take(l, user("c"), 4), take(same, user("c"), 4))
	c.wantSpent("4 and 4 of 10, the limit named twice", l, user("c"), 8)
}

func refusedDuplicates(c *check) {
	l := c.named("r", 0, "10 per hour")
	c.apply(take(l, user("a"), 1))
	r := c.apply(take(l, user("a"), 6), take(l, user("a"), 4), take(l, user("b"), 1))
	c.wantAllowed("6 of the 9 left", r[0])
	c.wantRefused("4 more of the 9 left", r[1], timeOf(l, 1))
	c.wantAllowed("1 of another bucket", r[2])
	c.wantLevel("6 of the 9 left, refused", l, r[0], 1)
	c.wantLevel("4 more, refused", l, r[1], 1)
	c.wantSpent("after a refusal", l, user("a"), 1)
	c.wantSpent("after a refusal", l, user("b"), 0)
}

func evaluatedInOrder(c *check) {
	l := c.named("r", 0, "10 per hour")
	a := user("a")
	for _, tc := range []struct {
		name    string
		spent   int64
		ops     []ratelimit.Op
		allowed []bool
		after   int64
	}{
		{"a credit before a take", 10, []ratelimit.Op{credit(l, a, 2), take(l, a, 2)}, []bool{true, true}, 10},
		{"a take before a credit", 9, []ratelimit.Op{take(l, a, 2), credit(l, a, 2)}, []bool{false, true}, 9},
		{"a reset before a take", 10, []ratelimit.Op{reset(l, a), take(l, a, 10)}, []bool{true, true}, 10},
		{"a take before a reset", 3, []ratelimit.Op{take(l, a, 7), reset(l, a)}, []bool{true, true}, 0},
		{"a peek after a take", 0, []ratelimit.Op{take(l, a, 6), peek(l, a, 5), peek(l, a, 4)}, []bool{true, false, true}, 6},
		{"a peek before a take", 0, []ratelimit.Op{peek(l, a, 10), take(l, a, 10)}, []bool{true, true}, 10},
		{"a credit to a full bucket before a take", 0, []ratelimit.Op{credit(l, a, 5), take(l, a, 10), take(l, a, 1)}, []bool{true, true, false}, 0},
		{"takes after a refused one", 0, []ratelimit.Op{take(l, a, 6), take(l, a, 6), take(l, a, 4), take(l, a, 1)}, []bool{true, false, true, false}, 0},
		{"a peek after a refused take", 5, []ratelimit.Op{take(l, a, 6), peek(l, a, 5)}, []bool{false, true}, 5},
	} {
		c.apply(reset(l, a), take(l, a, tc.spent))
		for i, r := range c.apply(tc.ops...) {
			if r.Allowed != tc.allowed[i] {
				c.fatalf("%s: op %d: Allowed is %t, want %t", tc.name, i, r.Allowed, tc.allowed[i])
			}
			c.wantLevel(tc.name, l, r, tc.after)
		}
		c.wantSpent("after: "+tc.name, l, a, tc.after)
	}
}

func refusedCredit(c *check) {
	l := c.named("r", 0, "10 per hour")
	c.apply(take(l, user("a"), 5), take(l, user("b"), 6), take(l, user("empty"), 10))
	ops := []ratelimit.Op{credit(l, user("a"), 2), reset(l, user("b")), take(l, user("c"), 1), take(l, user("empty"), 1)}
	spent := []int64{5, 6, 0, 10}
	for range 2 {
		for i, r := range c.apply(ops...) {
			c.wantLevel("a refused batch", l, r, spent[i])
			c.wantSpent("after a refused batch", l, ops[i].Key, spent[i])
		}
		slices.Reverse(ops)
		slices.Reverse(spent)
	}
}

// oldAndNew mixes buckets that are full again, and may have been forgotten or be
// forgotten to make room, with others that were never seen.
func oldAndNew(c *check) {
	var ops []ratelimit.Op
	for i := range 4 {
		l := c.name("r", i, ratelimit.Limit{Count: 1, Period: c.unit(), Burst: 3})
		for _, id := range []string{"a", "b", "c", "d"} {
			ops = append(ops, take(l, user(id), 1))
		}
		if i%2 == 0 {
			c.apply(ops[4*i:]...)
		}
	}
	c.advance(c.unit() + c.h.Resolution)
	c.restart()
	for spent := int64(1); spent <= 3; spent++ {
		for i, r := range c.apply(ops...) {
			c.wantAllowed("a batch of old and new buckets", r)
			c.wantLevel("a batch of old and new buckets", ops[i].Limit, r, spent)
		}
	}
}

func emptyBatch(c *check) {
	c.apply()
	c.apply([]ratelimit.Op{}...)
}

func largeBatch(c *check) {
	l := c.named("r", 0, "3 per hour")
	ops := make([]ratelimit.Op, 64)
	for i := range ops {
		ops[i] = take(l, user(fmt.Sprint(i)), 1)
	}
	for _, r := range c.apply(ops...) {
		c.wantLevel("a batch of 64", l, r, 1)
	}
	c.apply(take(l, ops[63].Key, 2))
	c.wantOneRefused(ops, 63, 1, 3)

	for i := range ops {
		ops[i] = take(c.named("many", 0, "63 per hour"), user("a"), 1)
	}
	for i, r := range c.apply(ops...) {
		if r.Allowed != (i < 63) {
			c.fatalf("op %d of 64 takes from a bucket of 63: Allowed is %t", i, r.Allowed)
		}
	}
	for i, r := range c.apply(ops[:63]...) {
		c.wantAllowed(fmt.Sprintf("op %d of 63 takes from a bucket of 63", i), r)
	}
}
