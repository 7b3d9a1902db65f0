package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/ratelimit-go/ratelimit/store"
)

func batchCases() []testCase {
	const (
		allOrNone = "If any Take is denied, Apply changes no bucket. Otherwise it applies all ops."
		inOrder   = "Apply evaluates ops in order, each on the buckets as the ops before it would leave them."
		forget    = "A store may forget a bucket only when it is full again."
	)
	return []testCase{
		{"a batch takes all or nothing", allOrNone, allOrNothing},
		{"a batch of several limits on one key", allOrNone, severalLimits},
		{"a batch of several keys under one limit", allOrNone, severalKeys},
		{"a batch uses a bucket twice", inOrder, duplicates},
		{"a denied batch uses a bucket twice", inOrder, deniedDuplicates},
		{"a batch is evaluated in order", inOrder, evaluatedInOrder},
		{"a denied batch refunds nothing", allOrNone, deniedRefund},
		{"a batch of old and new buckets", forget, oldAndNew},
		{"an empty batch is no error", allOrNone, emptyBatch},
		{"a batch of 64 ops", allOrNone, largeBatch},
	}
}

// allOrNothing has an empty bucket in each place of batches of 2 to 5.
func allOrNothing(c *check) {
	l := c.limit("r", 0, per(10, time.Hour))
	for size := 2; size <= 5; size++ {
		for empty := range size {
			ops := make([]store.Op, size)
			for i := range ops {
				ops[i] = take(l, user(fmt.Sprintf("%d of %d, %d empty", i, size, empty)), 4)
			}
			c.apply(take(l, ops[empty].Key, 8))
			c.wantOneDenied(ops, empty, 0, 8)
			c.apply(reset(l, ops[empty].Key))
			for i, r := range c.apply(ops...) {
				what := fmt.Sprintf("op %d of a batch that has room", i)
				c.wantAllowed(what, r)
				c.wantLevel(what, l, r, 4)
			}
		}
	}
}

// wantOneDenied applies ops. It fails unless only ops[denied] is denied and all buckets stay as
// they are: the bucket of ops[denied] lacks spent tokens, the others lack rest.
func (c *check) wantOneDenied(ops []store.Op, denied int, rest, spent int64) {
	c.Helper()
	for i, r := range c.apply(ops...) {
		what := fmt.Sprintf("op %d of %d in a batch denied by op %d", i, len(ops), denied)
		want := rest
		if i == denied {
			want = spent
			c.wantDenied(what, r, timeOf(ops[i].Limit, ops[i].Cost+spent-ops[i].Limit.Burst()))
		} else {
			c.wantAllowed(what, r)
		}
		c.wantLevel(what, ops[i].Limit, r, want)
		c.wantSpent("after: "+what, ops[i].Limit, ops[i].Key, want)
	}
}

func severalLimits(c *check) {
	limits := []*store.Limit{
		c.limit("r", 0, per(5, time.Hour)), c.limit("r", 1, per(20, day)), c.limit("s", 0, per(100, 30*day)),
	}
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 0, 2}} {
		k, ops := user(fmt.Sprint(order)), make([]store.Op, 3)
		for i, n := range order {
			ops[i] = take(limits[n], k, 2)
		}
		for i, r := range c.apply(ops...) {
			c.wantAllowed("the first batch", r)
			c.wantLevel("the first batch", ops[i].Limit, r, 2)
		}
		c.apply(ops...)
		c.wantOneDenied(ops, slices.Index(order, 0), 4, 4)
	}
}

func severalKeys(c *check) {
	l := c.limit("r", 0, per(5, time.Hour))
	for _, order := range [][]string{{"full", "empty"}, {"empty", "full"}} {
		a, b := user(order[0]), user(order[1])
		c.apply(reset(l, user("full")), reset(l, user("empty")))
		c.apply(take(l, user("empty"), 5))
		c.wantOneDenied([]store.Op{take(l, a, 1), take(l, b, 1)}, slices.Index(order, "empty"), 0, 5)
	}
}

func duplicates(c *check) {
	l, other := c.limit("r", 0, per(10, time.Hour)), c.limit("r", 1, per(10, time.Hour))
	for _, r := range c.apply(take(l, user("a"), 5), take(l, user("a"), 5)) {
		c.wantAllowed("5 and 5 of 10", r)
		c.wantLevel("5 and 5 of 10", l, r, 10)
	}
	b := user("b")
	r := c.apply(take(l, b, 2), take(other, b, 1), take(l, b, 3), take(l, b, 1))
	for _, i := range []int{0, 2, 3} {
		c.wantLevel("2, 3 and 1 of 10", l, r[i], 6)
	}
	c.wantLevel("the bucket between them", other, r[1], 1)
	same := c.limit("r", 0, per(10, time.Hour)) // another value for the same limit
	c.apply(take(l, user("c"), 4), take(same, user("c"), 4))
	c.wantSpent("4 and 4 of 10, the limit named twice", l, user("c"), 8)
}

func deniedDuplicates(c *check) {
	l := c.limit("r", 0, per(10, time.Hour))
	c.apply(take(l, user("a"), 1))
	r := c.apply(take(l, user("a"), 6), take(l, user("a"), 4), take(l, user("b"), 1))
	c.wantAllowed("6 of the 9 left", r[0])
	c.wantDenied("4 more of the 9 left", r[1], timeOf(l, 1))
	c.wantAllowed("1 of another bucket", r[2])
	c.wantLevel("6 of the 9 left, denied", l, r[0], 1)
	c.wantLevel("4 more, denied", l, r[1], 1)
	c.wantSpent("after a denial", l, user("a"), 1)
	c.wantSpent("after a denial", l, user("b"), 0)
}

func evaluatedInOrder(c *check) {
	l := c.limit("r", 0, per(10, time.Hour))
	a := user("a")
	for _, tc := range []struct {
		name    string
		spent   int64
		ops     []store.Op
		allowed []bool
		after   int64
	}{
		{"a refund before a take", 10, []store.Op{refund(l, a, 2), take(l, a, 2)}, []bool{true, true}, 10},
		{"a take before a refund", 9, []store.Op{take(l, a, 2), refund(l, a, 2)}, []bool{false, true}, 9},
		{"a reset before a take", 10, []store.Op{reset(l, a), take(l, a, 10)}, []bool{true, true}, 10},
		{"a take before a reset", 3, []store.Op{take(l, a, 7), reset(l, a)}, []bool{true, true}, 0},
		{
			"a peek after a take", 0,
			[]store.Op{take(l, a, 6), peek(l, a, 5), peek(l, a, 4)},
			[]bool{true, false, true},
			6,
		},
		{"a peek before a take", 0, []store.Op{peek(l, a, 10), take(l, a, 10)}, []bool{true, true}, 10},
		{
			"a refund to a full bucket before a take", 0,
			[]store.Op{refund(l, a, 5), take(l, a, 10), take(l, a, 1)},
			[]bool{true, true, false},
			0,
		},
		{
			"takes after a denied take", 0,
			[]store.Op{take(l, a, 6), take(l, a, 6), take(l, a, 4), take(l, a, 1)},
			[]bool{true, false, true, false},
			0,
		},
		{"a peek after a denied take", 5, []store.Op{take(l, a, 6), peek(l, a, 5)}, []bool{false, true}, 5},
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

func deniedRefund(c *check) {
	l := c.limit("r", 0, per(10, time.Hour))
	c.apply(take(l, user("a"), 5), take(l, user("b"), 6), take(l, user("empty"), 10))
	ops := []store.Op{
		refund(l, user("a"), 2), reset(l, user("b")), take(l, user("c"), 1), take(l, user("empty"), 1),
	}
	spent := []int64{5, 6, 0, 10}
	for range 2 {
		for i, r := range c.apply(ops...) {
			c.wantLevel("a denied batch", l, r, spent[i])
			c.wantSpent("after a denied batch", l, ops[i].Key, spent[i])
		}
		slices.Reverse(ops)
		slices.Reverse(spent)
	}
}

// oldAndNew mixes buckets that are full again with buckets that were never seen. The store may have
// forgotten the old ones, or may forget them now to make room.
func oldAndNew(c *check) {
	var ops []store.Op
	for i := range 4 {
		l := c.limit("r", i, per(1, c.unit()).holding(3))
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
	c.apply([]store.Op{}...)
}

func largeBatch(c *check) {
	l := c.limit("r", 0, per(3, time.Hour))
	ops := make([]store.Op, 64)
	for i := range ops {
		ops[i] = take(l, user(fmt.Sprint(i)), 1)
	}
	for _, r := range c.apply(ops...) {
		c.wantLevel("a batch of 64", l, r, 1)
	}
	c.apply(take(l, ops[63].Key, 2))
	c.wantOneDenied(ops, 63, 1, 3)

	for i := range ops {
		ops[i] = take(c.limit("many", 0, per(63, time.Hour)), user("a"), 1)
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
