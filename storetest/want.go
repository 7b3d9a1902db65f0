package storetest

import (
	"fmt"
	"time"

	"github.com/ratelimit-go/ratelimit/store"
)

func (c *check) fatalf(format string, args ...any) {
	c.Helper()
	c.Fatalf("%s\nThe contract: %s", fmt.Sprintf(format, args...), c.rule)
}

// wantSpent peeks at a bucket, which must lack that many tokens.
func (c *check) wantSpent(what string, l *store.Limit, k store.Key, spent int64) {
	c.Helper()
	c.wantLevel(what, l, c.one(peek(l, k, 0)), spent)
}

// wantLevel fails unless r says that its bucket lacks spent tokens.
func (c *check) wantLevel(what string, l *store.Limit, r store.Result, spent int64) {
	c.Helper()
	left := l.Burst() - spent
	c.wantRemaining(what, l, r, left, left+tokensIn(l, c.slack()))
	c.wantTime(what+": ResetAfter", r.ResetAfter, timeOf(l, spent))
}

// wantDebt is wantLevel for parts of a token, given as the time that they take. A token must take a
// whole number of nanoseconds.
func (c *check) wantDebt(what string, l *store.Limit, r store.Result, debt time.Duration) {
	c.Helper()
	left := timeOf(l, l.Burst()) - debt
	c.wantRemaining(what, l, r, tokensIn(l, left-c.h.Resolution), tokensIn(l, left+c.slack()))
	c.wantTime(what+": ResetAfter", r.ResetAfter, debt)
}

// wantLeft is wantLevel after a change of the limit, when ResetAfter is open.
func (c *check) wantLeft(what string, l *store.Limit, r store.Result, left int64) {
	c.Helper()
	c.wantAllowed(what, r)
	c.wantRemaining(what, l, r, left, left+tokensIn(l, c.slack()))
}

func (c *check) wantRemaining(what string, l *store.Limit, r store.Result, low, high int64) {
	c.Helper()
	low, high = max(low, 0), min(high, l.Burst())
	if low <= r.Remaining && r.Remaining <= high {
		return
	}
	if low == high {
		c.fatalf("%s: Remaining is %d, want %d", what, r.Remaining, low)
	}
	c.fatalf("%s: Remaining is %d, want %d to %d", what, r.Remaining, low, high)
}

func (c *check) wantTime(what string, got, want time.Duration) {
	c.Helper()
	if got > want+c.h.Resolution || got < want-c.slack() {
		c.fatalf("%s is %v, want %v (or up to %v less)", what, got, want, c.slack())
	}
}

func (c *check) wantAllowed(what string, r store.Result) {
	c.Helper()
	if !r.Allowed {
		c.fatalf("%s: denied: %+v", what, r)
	}
}

// wantDenied fails unless r is a denial with that RetryAfter. If the case has already taken that
// long, wantDenied skips it.
func (c *check) wantDenied(what string, r store.Result, wait time.Duration) {
	c.Helper()
	if !r.Allowed && !r.ExceedsBurst {
		c.wantTime(what+": RetryAfter", r.RetryAfter, wait)
		return
	}
	if r.Allowed && !c.exact() && c.slack() >= wait {
		c.Skipf("%s: too slow to tell: the case took %v", what, c.slack())
	}
	c.fatalf("%s: want a denial for %v: %+v", what, wait, r)
}

// wantTrueWait fails unless op is denied now, is still denied just before its RetryAfter has
// passed, and is allowed afterwards.
func (c *check) wantTrueWait(what string, op store.Op) {
	c.Helper()
	c.restart()
	r := c.one(op)
	c.wantDenied(what, r, r.RetryAfter)
	early := c.early(r.RetryAfter)
	c.advance(r.RetryAfter - early)
	c.wantDenied(what+", early", c.one(op), early)
	c.advance(early + c.h.Resolution)
	c.wantAllowed(what+", after its RetryAfter", c.one(op))
}
