package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ratelimit-go/ratelimit/store"
)

// A check is one case under way, on a store of its own.
type check struct {
	testing.TB
	h     Harness
	rule  string
	store store.Store

	advanced time.Duration // by the case, since it began
	started  time.Time     // the last restart
	waited   time.Duration // the real time since then that is part of advanced
	asked    time.Duration // latest at the beginning of the last call
}

// restart forgets the time that the case has taken. Do not use buckets again that were used before.
func (c *check) restart() { c.started, c.waited = time.Now(), 0 }

func (c *check) advance(d time.Duration) {
	if d <= 0 {
		return
	}
	before := time.Now()
	if c.h.Advance != nil {
		c.h.Advance(d)
	} else {
		time.Sleep(d)
	}
	c.advanced += d
	c.waited += min(time.Since(before), d)
}

func (c *check) exact() bool { return c.h.Resolution == 0 }

// slack is the greatest difference between the store's clock and c.advanced.
func (c *check) slack() time.Duration {
	if c.exact() {
		return 0
	}
	return c.h.Resolution + time.Since(c.started) - c.waited
}

// unit is a time that is long compared with the resolution, and short enough to wait for.
func (c *check) unit() time.Duration {
	if c.exact() {
		return time.Minute
	}
	return max(50*time.Millisecond, 50*c.h.Resolution)
}

// early returns how long before its time to try a retry: one nanosecond, or in real time half the
// wait.
func (c *check) early(wait time.Duration) time.Duration {
	if c.exact() {
		return 1
	}
	return wait / 2
}

// steps returns n, or in real time a number of steps that is short enough to wait for.
func (c *check) steps(n int) int {
	if c.exact() {
		return n
	}
	return min(n, 20)
}

// limit returns a limit of a rule. Where time should not matter, let a token take minutes.
func (c *check) limit(rule string, index int, n numbers) *store.Limit {
	c.Helper()
	l, err := store.NewLimit(rule, index, n.count, n.period, n.burst)
	if err != nil {
		c.Fatalf("storetest: %v", err)
	}
	return l
}

// versioned returns a limit of a rule that is in use in several versions.
func (c *check) versioned(rule string, index int, n numbers) *store.Limit {
	c.Helper()
	return c.limit(rule, index, n).Versioned()
}

// perUnit returns a limit of one token per unit.
func (c *check) perUnit(burst int64) *store.Limit {
	c.Helper()
	return c.limit("unit", 0, per(1, c.unit()).holding(burst))
}

// apply calls Apply, which must not fail.
func (c *check) apply(ops ...store.Op) []store.Result {
	c.Helper()
	results, err := c.try(context.Background(), ops)
	if err != nil {
		c.fatalf("Apply(%s) returned the error %v", show(ops), err)
	}
	return results
}

func (c *check) one(op store.Op) store.Result {
	c.Helper()
	return c.apply(op)[0]
}

// try calls Apply with a copy of ops that has old Results in it, and clears the copy afterwards. It
// fails if Apply changed the copy, or if a Result makes no sense.
func (c *check) try(ctx context.Context, ops []store.Op) ([]store.Result, error) {
	c.Helper()
	given := slices.Clone(ops)
	for i := range given {
		given[i].Result = store.Result{
			Allowed: true, ExceedsBurst: true, Overflow: true, Remaining: -1, RetryAfter: -1, ResetAfter: -1,
		}
	}
	c.asked = c.latest()
	err := c.store.Apply(ctx, given)
	results := make([]store.Result, len(ops))
	for i := range given {
		results[i], given[i].Result = given[i].Result, ops[i].Result
		if given[i] != ops[i] {
			c.fatalf("Apply changed op %d of (%s) itself, not its Result", i, show(ops))
		}
		if err != nil || ops[i].Limit == nil { // then the caller wants an error
			continue
		}
		if wrong := c.nonsense(ops[i], results[i]); wrong != "" {
			c.fatalf("Apply(%s): op %d: %s: %+v", show(ops), i, wrong, results[i])
		}
	}
	clear(given)
	return results, err
}

// nonsense returns what is wrong with r in any state of the bucket.
func (c *check) nonsense(op store.Op, r store.Result) string {
	burst := op.Limit.Burst()
	asks := op.Kind == store.Take || op.Kind == store.Peek
	switch {
	case r.Overflow:
		return "Overflow is set, but there is room"
	case !asks && !r.Allowed:
		return "a Refund, Reset or TakeUpTo is not allowed"
	case r.ExceedsBurst != (asks && op.Cost > burst):
		return fmt.Sprintf("ExceedsBurst does not say whether the cost is more than the burst of %d", burst)
	case r.ExceedsBurst && r.Allowed:
		return "both Allowed and ExceedsBurst are set"
	case (r.Allowed || r.ExceedsBurst) && r.RetryAfter != 0:
		return "there is a RetryAfter, but nothing to wait for"
	case !r.Allowed && !r.ExceedsBurst && r.RetryAfter <= 0:
		return "a denial has no RetryAfter"
	case r.Remaining < 0 || r.Remaining > burst:
		return fmt.Sprintf("Remaining is not from 0 to the burst of %d", burst)
	case r.ResetAfter < 0:
		return "ResetAfter is negative"
	case c.exact() && (r.Remaining == burst) != (r.ResetAfter == 0):
		return "Remaining and ResetAfter do not agree on whether the bucket is full"
	}
	return ""
}
