package storetest

import "github.com/ratelimit-go/ratelimit/store"

func rewindCases() []testCase {
	const back = "A bucket refills with time, and time does not go back."
	return []testCase{
		{"a clock set back creates no tokens", back, rewindCreatesNothing},
		{"a clock set back locks no key out", back, rewindLocksNoKeyOut},
		{"a clock set back and forth creates no tokens", back, rewindZigzag},
	}
}

func rewindCreatesNothing(c *check) {
	l := c.perUnit(5)
	c.apply(take(l, user("a"), 5))
	c.h.Rewind(10 * c.unit())
	c.wantDeniedBriefly("the clock set back", l)
	c.advance(10 * c.unit())
	c.wantDeniedBriefly("the clock right again", l)
	c.wantSpent("the clock right again", l, user("a"), 5)
}

// wantDeniedBriefly fails unless user a is denied for at most the time of one token.
func (c *check) wantDeniedBriefly(what string, l *store.Limit) {
	c.Helper()
	r := c.one(take(l, user("a"), 1))
	if r.Allowed {
		c.fatalf("%s: a take from an empty bucket was allowed", what)
	}
	if r.RetryAfter > c.unit()+c.h.Resolution {
		c.fatalf("%s: RetryAfter is %v, but a token takes %v", what, r.RetryAfter, c.unit())
	}
}

func rewindLocksNoKeyOut(c *check) {
	l := c.perUnit(5)
	c.apply(take(l, user("a"), 2))
	c.h.Rewind(1000 * c.unit())
	c.wantAllowed("what was left before", c.one(take(l, user("a"), 3)))
	c.wantAllowed("a new key", c.one(take(l, user("b"), 5)))
	c.wantDeniedBriefly("an empty bucket", l)
	c.advance(1001 * c.unit())
	c.wantAllowed("when the clock is past where it was", c.one(take(l, user("a"), 1)))
}

// rewindZigzag moves the clock forth and back by half the time of a token.
func rewindZigzag(c *check) {
	l := c.perUnit(5)
	c.apply(take(l, user("a"), 5), take(l, user("b"), 4))
	batch := []store.Op{take(l, user("b"), 1), take(l, user("a"), 1)}
	for range 20 {
		c.advance(c.unit() / 2)
		c.wantOnlyFirst("the clock ahead", batch)
		c.h.Rewind(c.unit() / 2)
		c.wantOnlyFirst("the clock set back", batch)
	}
}

func (c *check) wantOnlyFirst(what string, ops []store.Op) {
	c.Helper()
	if r := c.apply(ops...); !r[0].Allowed || r[1].Allowed {
		c.fatalf("%s: want only the take from the bucket that has a token to be allowed: %+v", what, r)
	}
}
