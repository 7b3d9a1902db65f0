package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/ratelimit-go/ratelimit"
)

func errorCases() []testCase {
	const invalid = "An invalid op is an error that wraps ErrInvalidOp, and nothing may have been charged."
	const done = "It must give up when ctx is done. An error means that no part of the batch was applied (or, after a timeout, all of it)."
	return []testCase{
		{"invalid ops", invalid, invalidOps},
		{"keys that are no identity", invalid, zeroKeys},
		{"a context that is done", done, contextDone},
		{"a context that was canceled once", done, contextDoneOnce},
	}
}

func invalidOps(c *check) {
	l := c.named("r", 0, "10 per hour")
	a := user("a")
	for _, tc := range []struct {
		name string
		op   ratelimit.Op
	}{
		{"the zero Op", ratelimit.Op{}},
		{"no limit", take(nil, a, 1)},
		{"the zero Key", take(l, ratelimit.Key{}, 1)},
		{"a take of -1", take(l, a, -1)},
		{"a take of the least number", take(l, a, math.MinInt64)},
		{"a peek for -1", peek(l, a, -1)},
		{"a credit of -1", credit(l, a, -1)},
		{"a credit of the least number", credit(l, a, math.MinInt64)},
		{"a kind that does not exist", ratelimit.Op{Kind: ratelimit.OpDrain + 1, Limit: l, Key: a, Cost: 1}},
		{"the greatest kind", ratelimit.Op{Kind: 255, Limit: l, Key: a, Cost: 1}},
		{"a peek without a key", peek(l, ratelimit.Key{}, 0)},
		{"a reset without a key", reset(l, ratelimit.Key{})},
	} {
		c.apply(reset(l, a), take(l, a, 4))
		for place := range 3 {
			ops := slices.Insert([]ratelimit.Op{take(l, a, 1), credit(l, a, 3)}, place, tc.op)
			c.wantInvalid(fmt.Sprintf("%s as op %d", tc.name, place), ops)
			c.wantSpent("after "+tc.name, l, a, 4)
		}
		c.wantInvalid(tc.name, []ratelimit.Op{tc.op})
		c.wantSpent("after "+tc.name, l, a, 4)
	}
}

func (c *check) wantInvalid(what string, ops []ratelimit.Op) {
	c.Helper()
	if _, err := c.try(context.Background(), ops); !errors.Is(err, ratelimit.ErrInvalidOp) {
		c.fatalf("%s: Apply returned %v, want an error that wraps ErrInvalidOp", what, err)
	}
}

func zeroKeys(c *check) {
	l := c.named("r", 0, "10 per hour")
	for what, key := range map[string]ratelimit.Key{
		"a user without a name":    ratelimit.UserKey(""),
		"a key without a value":    ratelimit.NamedKey("tenant", ""),
		"a join of nothing":        ratelimit.JoinKeys(),
		"a join with half missing": ratelimit.JoinKeys(user("a"), user("")),
	} {
		c.wantInvalid(what, []ratelimit.Op{take(l, key, 1)})
	}
}

// doneContexts returns contexts that are done, and what they are.
func doneContexts() (map[string]context.Context, func()) {
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	expired, release := context.WithDeadline(context.Background(), time.Now().Add(-time.Hour))
	return map[string]context.Context{"a canceled context": canceled, "an expired context": expired}, release
}

// contextDone knows that a store which waits for nothing may ignore its context.
func contextDone(c *check) {
	contexts, release := doneContexts()
	defer release()
	for what, ctx := range contexts {
		l := c.named(what, 0, "10 per hour")
		ops := []ratelimit.Op{take(l, user("a"), 1), take(l, user("b"), 1), take(l, user("c"), 1)}
		_, err := c.try(ctx, ops)
		spent := 10 - c.one(peek(l, user("a"), 0)).Remaining
		if spent != 1 && (err == nil || spent != 0) {
			c.fatalf("%s: Apply returned %v and charged %d, of 1", what, err, spent)
		}
		for _, op := range ops {
			c.wantSpent(fmt.Sprintf("%s: Apply returned %v", what, err), l, op.Key, spent)
		}

		c.apply(take(l, user("empty"), 10))
		refused := []ratelimit.Op{take(l, user("d"), 1), take(l, user("empty"), 1), credit(l, user("a"), 1)}
		_, err = c.try(ctx, refused)
		for i, want := range []int64{0, 10, spent} {
			c.wantSpent(fmt.Sprintf("%s: Apply of a batch without room returned %v", what, err), l, refused[i].Key, want)
		}
	}
}

// contextDoneOnce looks for damage that a done context leaves behind for others.
func contextDoneOnce(c *check) {
	contexts, release := doneContexts()
	defer release()
	l := c.named("r", 0, "1000 per day")
	low, high := int64(0), int64(0) // what may have been spent
	for _, ctx := range contexts {
		for range 20 {
			if _, err := c.try(ctx, []ratelimit.Op{take(l, user("a"), 1)}); err == nil {
				low++
			}
			high++
			r := c.one(take(l, user("a"), 1))
			low, high = low+1, high+1
			c.wantAllowed("a live call between canceled ones", r)
			c.wantRemaining("a live call between canceled ones", l, r, 1000-high, 1000-low+tokensIn(l, c.slack()))
		}
	}
}
