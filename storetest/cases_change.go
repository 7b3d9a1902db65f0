package storetest

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ratelimit-go/ratelimit/store"
)

// The contract does not say at what rate old debts are paid once the numbers have changed. So these
// cases compare levels only at the instant of a change, and rely on the RetryAfter that the store
// reports.
func changeCases() []testCase {
	const (
		stays = "If the numbers of a limit change, each key keeps what it has spent, in tokens."
		most  = "In any time t, all takes together are at most the largest burst and t times the " +
			"fastest rate."
		retry = "RetryAfter is the shortest time after which the same op would be allowed."
		count = "Versions of a rule that are in use at the same time count what each other take: see Carry."
		full  = "A bucket that was never seen is full."
		apart = "A bucket is known by the rule and index of its limit and by its key."
	)
	return []testCase{
		{"spent tokens stay spent when a limit changes", stays, spentStaysSpent},
		{"spent tokens stay spent for each key", stays, spentStaysSpentByKey},
		{"a limit changes and changes back", stays, changeAndBack},
		{"RetryAfter is true after a change", retry, waitsAfterChange},
		{"changes of a limit create no tokens", stays, changesCreateNothing},
		{"a lower burst forgives nothing", stays, lowerBurstForgivesNothing},
		{"two rates have one burst", most, ratesShareTheBurst},
		{"versions of a limit allow at most the larger together", most, versionsTogether},
		{"a slower limit that is added lends no burst", count, slowerLimitAdded},
		{"no op of a version forgets what another has charged", count, versionsForgetNothing},
		{"a faster limit that is added is full", full, fasterLimitAdded},
		{"a burst that changes beside a limit that is added lends nothing", count, otherBurstAdded},
		{"a limit that moves to another place is not full", count, limitsChangePlaces},
		{"versions of a rule count each other", count, versionsCountEachOther},
		{"versions of a rule put back what they took", count, versionsPutBack},
		{"limits that are not versioned do not count each other", apart, versionsOfOthers},
	}
}

// lowerBurstForgivesNothing asks by turns under two bursts, in each way in which an op can touch
// the bucket without taking from it.
func lowerBurstForgivesNothing(c *check) {
	large, small := c.limit("r", 0, per(100, year)), c.limit("r", 0, per(3, year))
	for name, touch := range map[string]func(k store.Key) []store.Op{
		"a denied take":       func(k store.Key) []store.Op { return []store.Op{take(small, k, 1)} },
		"a peek":              func(k store.Key) []store.Op { return []store.Op{peek(small, k, 1)} },
		"a take of nothing":   func(k store.Key) []store.Op { return []store.Op{take(small, k, 0)} },
		"a take up to":        func(k store.Key) []store.Op { return []store.Op{takeUpTo(small, k, 2)} },
		"a refund of nothing": func(k store.Key) []store.Op { return []store.Op{refund(small, k, 0)} },
		"a batch": func(k store.Key) []store.Op {
			return []store.Op{take(c.limit("r", 1, per(5, year)), k, 1), takeUpTo(small, k, 2)}
		},
		"both limits": func(k store.Key) []store.Op {
			return []store.Op{peek(large, k, 1), peek(small, k, 1)}
		},
	} {
		k := user(name)
		c.apply(take(large, k, 99))
		for range 3 {
			c.apply(touch(k)...)
		}
		if r := c.one(take(large, k, 2)); r.Allowed {
			c.fatalf("99 of 100 were taken, then %s under a burst of 3, and 2 more of 100 were allowed", name)
		}
		c.wantAllowed("the last of 100 after "+name, c.one(take(large, k, 1)))
	}
}

// ratesShareTheBurst takes all there is under one rate, and at the same instant under the other.
func ratesShareTheBurst(c *check) {
	for i, n := range []numbers{per(1, time.Hour), per(1, day), per(7, 3*day), per(1, year)} {
		slow, fast := c.limit("r", i, n.holding(100)), c.limit("r", i, per(40, c.unit()).holding(100))
		k := user("a")
		c.apply(take(slow, k, 1))
		c.advance(c.unit()) // so that part of a token is missing
		c.restart()
		got := int64(0)
		for _, l := range []*store.Limit{slow, fast} {
			left := c.one(peek(l, k, 0)).Remaining
			if c.one(take(l, k, left)).Allowed {
				got += left
			}
		}
		if most := 100 + tokensIn(fast, c.slack()); got > most {
			c.fatalf("%v and %v: %d tokens at one instant, want at most %d", n, numbersOf(fast), got, most)
		}
	}
}

func spentStaysSpent(c *check) {
	for i, tc := range []struct {
		name          string
		before, after numbers
		spent, left   int64
	}{
		{"the same", per(10, time.Hour), per(10, time.Hour), 6, 4},
		{"more", per(10, time.Hour), per(20, time.Hour), 6, 14},
		{"more, from empty", per(10, time.Hour), per(20, time.Hour), 10, 10},
		{"less", per(10, time.Hour), per(8, time.Hour), 6, 2},
		{"less than was spent", per(10, time.Hour), per(4, time.Hour), 6, 0},
		{"just what was spent", per(10, time.Hour), per(6, time.Hour), 6, 0},
		{"one token only", per(10, time.Hour), per(1, time.Hour), 10, 0},
		{"one token only, from full", per(10, time.Hour), per(1, time.Hour), 0, 1},
		{"slower", per(10, time.Hour), per(10, day), 6, 4},
		{"much slower", per(10, time.Hour), per(1, year).holding(10), 6, 4},
		{"faster", per(10, day), per(10, time.Hour), 6, 4},
		{"the same in other words", per(10, time.Hour), per(20, 2*time.Hour).holding(10), 6, 4},
		{"uneven", per(7, time.Hour), per(11, 3*time.Hour).holding(13), 5, 8},
		{"uneven and slower", per(11, 3*time.Hour).holding(13), per(7, 13*time.Hour).holding(9), 5, 4},
		{"a larger burst", per(10, time.Hour), per(10, time.Hour).holding(100), 6, 94},
		{"a smaller burst", per(10, time.Hour).holding(100), per(10, time.Hour), 95, 0},
		{"both", per(10, time.Hour), per(1000, 7*day).holding(50), 7, 43},
	} {
		before, after := c.limit("r", i, tc.before), c.limit("r", i, tc.after)
		what := fmt.Sprintf("%s: from %v to %v with %d spent", tc.name, tc.before, tc.after, tc.spent)
		c.restart()
		for _, id := range []string{"peek", "take", "deny"} {
			c.apply(take(before, user(id), tc.spent))
		}
		c.wantLeft(what, after, c.one(peek(after, user("peek"), 0)), tc.left)
		c.wantLeft(what+", a take of all that is left", after, c.one(take(after, user("take"), tc.left)), 0)
		if r := c.one(take(after, user("deny"), tc.left+1)); r.Allowed {
			c.fatalf("%s: a take of %d was allowed", what, tc.left+1)
		}
		c.wantLeft(what+", after a denial", after, c.one(peek(after, user("deny"), 0)), tc.left)
	}
}

func spentStaysSpentByKey(c *check) {
	before, after := c.limit("r", 0, per(10, time.Hour)), c.limit("r", 0, per(20, day))
	for i := range int64(11) {
		c.apply(take(before, user(fmt.Sprint(i)), i))
	}
	for i := range int64(11) {
		what := fmt.Sprintf("a key that had spent %d of 10, of now 20", i)
		c.wantLeft(what, after, c.one(peek(after, user(fmt.Sprint(i)), 0)), 20-i)
	}
}

func changeAndBack(c *check) {
	a, b := c.limit("r", 0, per(10, time.Hour)), c.limit("r", 0, per(30, time.Hour))
	spent := int64(0)
	for range 3 {
		c.wantLeft("under 10 per hour", a, c.one(take(a, user("a"), 1)), 9-spent)
		c.wantLeft("under 30 per hour", b, c.one(take(b, user("a"), 2)), 27-spent)
		spent += 3
	}
	if r := c.one(take(a, user("a"), 2)); r.Allowed {
		c.fatalf("9 tokens were spent, under a burst of 10 and of 30 by turns, and 2 more of 10 were allowed")
	}
}

func waitsAfterChange(c *check) {
	u := c.unit()
	for i, tc := range [][2]numbers{
		{per(1, u).holding(3), per(1, u).holding(5)},
		{per(1, u).holding(3), per(1, u).holding(2)},
		{per(1, u).holding(3), per(1, 2*u).holding(3)},
		{per(1, 2*u).holding(3), per(1, u).holding(3)},
		{per(2, 3*u).holding(3), per(3, 4*u).holding(2)},
	} {
		what := fmt.Sprintf("from %v to %v", tc[0], tc[1])
		before, after := c.limit("r", i, tc[0]), c.limit("r", i, tc[1])
		c.apply(take(before, user("a"), 3))
		c.apply(take(after, user("a"), c.one(peek(after, user("a"), 0)).Remaining))
		c.wantTrueWait(what, take(after, user("a"), 1))
	}
}

// changesCreateNothing changes at random between limits with the same burst. It may take at most
// what the fastest limit allows.
func changesCreateNothing(c *check) {
	u := c.unit()
	rnd := rand.New(rand.NewPCG(1, 1))
	var limits []*store.Limit
	for _, n := range []numbers{per(7, 3*u), per(1, u), per(1, 1000*u), per(13, 17*u)} {
		limits = append(limits, c.limit("r", 0, n.holding(10)))
	}
	m := newMeter(c, limits[0])
	for step := range c.steps(2000) {
		op := take(limits[rnd.IntN(len(limits))], user("a"), rnd.Int64N(4))
		op.Kind = store.Kind(rnd.IntN(2)) // take or peek
		r := c.one(op)
		if r.Allowed && op.Kind == store.Take {
			m.charge(fmt.Sprintf("step %d of changes between limits", step), op.Cost)
		}
		if !r.Allowed && c.exact() && rnd.IntN(3) == 0 {
			c.advance(r.RetryAfter)
			c.wantAllowed("after its RetryAfter", c.one(peek(op.Limit, op.Key, op.Cost)))
		}
		if rnd.IntN(3) == 0 {
			c.advance(time.Duration(rnd.Int64N(int64(u))))
		}
	}
}
