package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/key"
	"github.com/ratelimit-go/ratelimit/store"
)

func errorCases() []testCase {
	const (
		invalid = "For an op that CheckOps rejects, Apply returns an error that wraps ErrInvalidOp, " +
			"and changes no bucket."
		done = "Apply must return when ctx is done. After an error no bucket has changed. " +
			"After a timeout all may have changed."
	)
	return []testCase{
		{"invalid ops are errors", invalid, invalidOps},
		{"keys that identify no client are errors", invalid, zeroKeys},
		{"a batch under a done context is all or nothing", done, contextDone},
		{"a done context harms no later call", done, contextDoneOnce},
	}
}

func invalidOps(c *check) {
	l := c.limit("r", 0, per(10, time.Hour))
	a := user("a")
	for _, tc := range []struct {
		name string
		op   store.Op
	}{
		{"the zero Op", store.Op{}},
		{"no limit", take(nil, a, 1)},
		{"the zero Key", take(l, store.Key{}, 1)},
		{"a take of -1", take(l, a, -1)},
		{"a take of the least number", take(l, a, math.MinInt64)},
		{"a peek for -1", peek(l, a, -1)},
		{"a refund of -1", refund(l, a, -1)},
		{"a refund of the least number", refund(l, a, math.MinInt64)},
		{"a kind that does not exist", store.Op{Kind: store.TakeUpTo + 1, Limit: l, Key: a, Cost: 1}},
		{"the greatest kind", store.Op{Kind: 255, Limit: l, Key: a, Cost: 1}},
		{"a peek without a key", peek(l, store.Key{}, 0)},
		{"a reset without a key", reset(l, store.Key{})},
	} {
		c.apply(reset(l, a), take(l, a, 4))
		for place := range 3 {
			ops := slices.Insert([]store.Op{take(l, a, 1), refund(l, a, 3)}, place, tc.op)
			c.wantInvalid(fmt.Sprintf("%s as op %d", tc.name, place), ops)
			c.wantSpent("after "+tc.name, l, a, 4)
		}
		c.wantInvalid(tc.name, []store.Op{tc.op})
		c.wantSpent("after "+tc.name, l, a, 4)
	}
}

func (c *check) wantInvalid(what string, ops []store.Op) {
	c.Helper()
	if _, err := c.try(context.Background(), ops); !errors.Is(err, store.ErrInvalidOp) {
		c.fatalf("%s: Apply returned %v, want an error that wraps ErrInvalidOp", what, err)
	}
}

func zeroKeys(c *check) {
	l := c.limit("r", 0, per(10, time.Hour))
	for what, k := range map[string]store.Key{
		"a user without a name":    key.Text(key.User, ""),
		"a key without a value":    key.Pair("tenant", ""),
		"a join of nothing":        key.Join(),
		"a join with half missing": key.Join(user("a"), user("")),
	} {
		c.wantInvalid(what, []store.Op{take(l, k, 1)})
	}
}

// doneContexts returns contexts that are done, by what they are, and a function that frees them.
func doneContexts() (map[string]context.Context, func()) {
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	expired, release := context.WithDeadline(context.Background(), time.Now().Add(-time.Hour))
	return map[string]context.Context{"a canceled context": canceled, "an expired context": expired}, release
}

// contextDone also accepts a store that waits for nothing and ignores its context.
func contextDone(c *check) {
	contexts, release := doneContexts()
	defer release()
	for what, ctx := range contexts {
		l := c.limit(what, 0, per(10, time.Hour))
		ops := []store.Op{take(l, user("a"), 1), take(l, user("b"), 1), take(l, user("c"), 1)}
		_, err := c.try(ctx, ops)
		spent := 10 - c.one(peek(l, user("a"), 0)).Remaining
		if spent != 1 && (err == nil || spent != 0) {
			c.fatalf("%s: Apply returned %v and charged %d, of 1", what, err, spent)
		}
		for _, op := range ops {
			c.wantSpent(fmt.Sprintf("%s: Apply returned %v", what, err), l, op.Key, spent)
		}

		c.apply(take(l, user("empty"), 10))
		denied := []store.Op{take(l, user("d"), 1), take(l, user("empty"), 1), refund(l, user("a"), 1)}
		_, err = c.try(ctx, denied)
		for i, want := range []int64{0, 10, spent} {
			what := fmt.Sprintf("%s: Apply of a denied batch returned %v", what, err)
			c.wantSpent(what, l, denied[i].Key, want)
		}
	}
}

// contextDoneOnce has calls with a live context between calls whose context is done.
func contextDoneOnce(c *check) {
	contexts, release := doneContexts()
	defer release()
	l := c.limit("r", 0, per(1000, day))
	low, high := int64(0), int64(0) // what may have been spent
	for _, ctx := range contexts {
		for range 20 {
			if _, err := c.try(ctx, []store.Op{take(l, user("a"), 1)}); err == nil {
				low++
			}
			high++
			r := c.one(take(l, user("a"), 1))
			low, high = low+1, high+1
			c.wantAllowed("a live call between canceled ones", r)
			atMost := 1000 - low + tokensIn(l, c.slack())
			c.wantRemaining("a live call between canceled ones", l, r, 1000-high, atMost)
		}
	}
}
