package storetest

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ratelimit-go/ratelimit/store"
)

// versionsTogether uses several versions of a limit at random, with all kinds of ops that take. All
// takes together are metered by a limit with the largest burst and the fastest rate.
func versionsTogether(c *check) {
	u := c.unit()
	for seed := range uint64(seeds) {
		c.restart()
		rnd := rand.New(rand.NewPCG(seed, 2))
		largest, rates := int64(0), []numbers{per(1, u), per(1, 7*u), per(3, 1000*u), per(1, year)}
		rnd.Shuffle(len(rates), func(i, j int) { rates[i], rates[j] = rates[j], rates[i] })
		fastest, limits := year, []*store.Limit(nil)
		for _, n := range rates[:2+rnd.IntN(3)] {
			n.burst = 1 + rnd.Int64N(1<<rnd.IntN(8))
			limits = append(limits, c.limit("r", int(seed), n))
			largest, fastest = max(largest, n.burst), min(fastest, n.period/time.Duration(n.count))
		}
		m := newMeter(c, c.limit("r", 0, per(1, fastest).holding(largest)))
		for step := range c.steps(500) {
			l := limits[rnd.IntN(len(limits))]
			op := store.Op{Limit: l, Key: user("a"), Cost: rnd.Int64N(l.Burst() + 1)}
			op.Kind = store.Kind(rnd.IntN(2)) // take or peek
			if r := c.one(op); r.Allowed && op.Kind == store.Take {
				m.charge(fmt.Sprintf("seed %d, step %d, %v", seed, step, numbersOf(l)), op.Cost)
			}
			if rnd.IntN(3) == 0 {
				c.advance(time.Duration(rnd.Int64N(int64(u) / 4)))
			}
		}
	}
}

// slowerLimitAdded has a version with one limit, and versions that have a slower one too. The one
// limit meters all takes together.
func slowerLimitAdded(c *check) {
	u := c.unit()
	for seed := range uint64(seeds) {
		c.restart()
		rnd := rand.New(rand.NewPCG(seed, 3))
		rule, n := fmt.Sprint("r", seed), per(1, u).holding(1+rnd.Int64N(9))
		old, same := c.versioned(rule, 0, n), c.versioned(rule, 1+rnd.IntN(9), n)
		slower := c.versioned(rule, 0, per(1, time.Duration(16+rnd.IntN(1000))*u).holding(20))
		m := newMeter(c, old)
		for step := range c.steps(300) {
			cost := 1 + rnd.Int64N(n.burst)
			ops := []store.Op{take(old, user("a"), cost)}
			if (step+int(seed))%2 == 0 {
				ops = []store.Op{take(same, user("a"), cost), take(slower, user("a"), cost)}
				rnd.Shuffle(2, func(i, j int) { ops[i], ops[j] = ops[j], ops[i] })
			}
			allowed := true
			for _, r := range c.apply(ops...) {
				allowed = allowed && r.Allowed
			}
			if allowed {
				m.charge(fmt.Sprintf("seed %d, step %d, %s", seed, step, show(ops)), cost)
			}
			if rnd.IntN(3) == 0 {
				c.advance(time.Duration(rnd.Int64N(int64(u) / 4)))
			} else if c.exact() && rnd.IntN(8) == 0 {
				c.advance(time.Duration(rnd.Int64N(40 * int64(u))))
			}
		}
	}
}

// versionsForgetNothing has a version that takes all there is of one limit. Then another version,
// with a slower limit more, makes batches that take nothing from this limit. Both may have a third
// limit.
func versionsForgetNothing(c *check) {
	old, same := c.versioned("r", 0, per(5, day)), c.versioned("r", 3, per(5, day))
	slower, third := c.versioned("r", 0, per(100, year)), c.versioned("r", 8, per(50, day))
	type made func(*store.Limit, store.Key, int64) store.Op
	for name, touch := range map[string][2]made{
		"takes up to": {takeUpTo, takeUpTo}, "peeks": {peek, peek}, "takes": {take, take},
		"a take and a peek": {take, peek}, "a peek and a take up to": {peek, takeUpTo},
	} {
		for round := range int64(8) {
			k, thirds, before := user(fmt.Sprint(name, round)), round&1 > 0, round>>1&1
			batch := func(n int64, op made, limits ...*store.Limit) (ops []store.Op) {
				if thirds {
					limits = append(limits, third)
				}
				for _, l := range limits {
					ops = append(ops, op(l, k, n))
				}
				return ops
			}
			c.apply(batch(before, take, slower, same)...)
			c.apply(batch(5-before, take, old)...)
			for range round >> 2 * 3 {
				c.apply(touch[0](slower, k, 0), touch[1](same, k, 0))
				c.apply(touch[0](slower, k, 2), touch[1](same, k, 0))
			}
			if r := c.apply(batch(1, take, slower, same)...); r[1].Allowed {
				c.fatalf("5 of 5 were taken, then %s of 0 in round %d, and one more was allowed", name, round)
			}
		}
	}
}

// fasterLimitAdded has spent much under a slow limit when a version with a faster one too comes.
func fasterLimitAdded(c *check) {
	slow, fast := c.versioned("r", 0, per(100, year)), c.versioned("r", 3, per(10, day))
	c.apply(take(slow, user("a"), 80))
	ops := []store.Op{take(fast, user("a"), 10), take(slow, user("a"), 10)}
	for i, r := range c.apply(ops...) {
		c.wantAllowed("after 80 under the slow limit alone: "+show(ops[i:i+1]), r)
	}
}

// otherBurstAdded has a version with one limit, and another one with a limit of the same rate and
// another burst, and a faster one too. Together they allow what the larger of them allows.
func otherBurstAdded(c *check) {
	fast := c.versioned("r", 3, per(10, day).holding(300))
	for _, bursts := range [][2]int64{
		{100, 6000}, {100, 350}, {250, 400}, {400, 1000}, {6000, 100}, {20, 301},
	} {
		slow := c.versioned("r", 0, per(1, day).holding(bursts[0]))
		other := c.versioned("r", 0, per(1, day).holding(bursts[1]))
		for _, spent := range []int64{1, bursts[0] / 2, bursts[0]} {
			k := user(fmt.Sprint(bursts, spent))
			c.apply(take(slow, k, spent))
			larger := max(bursts[0], min(bursts[1], fast.Burst()))
			if n := larger - spent + 1; n <= min(bursts[1], fast.Burst()) {
				ops := []store.Op{take(other, k, n), take(fast, k, n)}
				if r := c.apply(ops...); r[0].Allowed && r[1].Allowed {
					c.fatalf("%d of %d were taken, then %s, which is too much for either version",
						spent, bursts[0], show(ops))
				}
			}
		}
	}
}

// limitsChangePlaces has a version with a fast limit, and a version where another limit has its
// index, and it has a new one.
func limitsChangePlaces(c *check) {
	slow, fast := c.versioned("r", 0, per(1000, year)), c.versioned("r", 3, per(10, day))
	other, moved := c.versioned("r", 3, per(100, day)), c.versioned("r", 4, per(10, day))
	for spent := int64(1); spent <= 10; spent += 3 {
		k, n := user(fmt.Sprint("spent ", spent)), 11-spent
		c.apply(take(slow, k, spent), take(fast, k, spent))
		ops := []store.Op{take(slow, k, n), take(other, k, n), take(moved, k, n)}
		if r := c.apply(ops...); r[2].Allowed {
			c.fatalf("%d of 10 were taken, then %s, which no version has", spent, show(ops))
		}
	}
}

// versionsCountEachOther has versions with some limits in common, and some of their own. All limits
// have been charged before. Then a batch is allowed if it keeps the limits of its version, with all
// that was allowed under any version.
func versionsCountEachOther(c *check) {
	u := c.unit()
	for seed := range uint64(seeds) {
		c.restart()
		rnd := rand.New(rand.NewPCG(seed, 4))
		rule := fmt.Sprint("r", seed)
		slowest := c.versioned(rule, 0, per(1, u).holding(20+rnd.Int64N(20)))
		all := []*store.Limit{slowest}
		meters := map[*store.Limit]*meter{slowest: newMeter(c, slowest)}
		for i := range 3 {
			l := c.versioned(rule, 1+3*i, per(2+rnd.Int64N(4), u).holding(4+rnd.Int64N(9)))
			all, meters[l] = append(all, l), newMeter(c, l)
		}
		versions := [][]*store.Limit{
			{slowest, all[1]}, {all[2], slowest}, {all[1], all[3], slowest}, {slowest},
		}
		for step := range c.steps(300) {
			version, cost := all, int64(1) // so that each limit has a bucket
			if step > 0 {
				version, cost = versions[rnd.IntN(len(versions))], rnd.Int64N(4)
			}
			var ops []store.Op
			for _, l := range version {
				ops = append(ops, take(l, user("a"), cost))
			}
			allowed := true
			for _, r := range c.apply(ops...) {
				allowed = allowed && r.Allowed
			}
			what := fmt.Sprintf("seed %d, step %d, %s", seed, step, show(ops))
			c.wantCounted(what, meters, version, cost, allowed)
			if rnd.IntN(3) == 0 {
				c.advance(time.Duration(rnd.Int64N(int64(u) / 4)))
			}
		}
	}
}

// wantCounted wants a take of cost under some limits to be allowed if and only if all meters of the
// limits have room for it. All meters count it. On a clock that is not exact, it wants an allowed
// take to have room.
func (c *check) wantCounted(
	what string, meters map[*store.Limit]*meter, version []*store.Limit, cost int64, allowed bool,
) {
	c.Helper()
	room := true
	for _, l := range version {
		room = room && (cost == 0 || meters[l].over(cost).Sign() <= 0)
	}
	switch {
	case allowed && !room:
		c.fatalf("%s: allowed, with what other versions have taken it is too much", what)
	case c.exact() && room && !allowed:
		c.fatalf("%s: denied, though there is room for it", what)
	}
	for _, m := range meters {
		if allowed {
			m.add(cost)
		}
	}
}

// versionsPutBack has a version that takes, and puts back, what another one counts.
func versionsPutBack(c *check) {
	slow := c.versioned("r", 0, per(100, year))
	one, other := c.versioned("r", 3, per(10, day)), c.versioned("r", 5, per(10, day))
	for name, back := range map[string][2]store.Op{
		"a refund": {refund(slow, user("a"), 6), refund(one, user("a"), 6)},
		"a reset":  {reset(slow, user("b")), reset(one, user("b"))},
	} {
		k := back[0].Key
		c.apply(take(slow, k, 1), take(other, k, 1))
		c.apply(take(slow, k, 6), take(one, k, 6))
		if r := c.apply(take(slow, k, 4), take(other, k, 4)); r[1].Allowed {
			c.fatalf("%s: 1 and 6 of 10 were taken, and 4 more were allowed", name)
		}
		c.apply(back[0], back[1])
		if r := c.apply(take(slow, k, 9), take(other, k, 9)); !r[1].Allowed {
			c.fatalf("after %s 1 of 10 was taken, and 9 more were denied", name)
		}
	}
}

// versionsOfOthers has limits that are not versioned. Nothing of one counts for another.
func versionsOfOthers(c *check) {
	slow, one := c.limit("r", 0, per(100, year)), c.limit("r", 3, per(10, day))
	other := c.limit("r", 5, per(10, day))
	c.apply(take(slow, user("a"), 10), take(one, user("a"), 10))
	c.apply(take(c.limit("r", 0, per(50, year)), user("a"), 10))
	c.wantAllowed("another limit of the rule", c.one(take(other, user("a"), 10)))
	c.one(refund(slow, user("a"), 20))
	if c.one(take(one, user("a"), 1)).Allowed {
		c.fatalf("a refund under one limit has put tokens back under another")
	}
}
