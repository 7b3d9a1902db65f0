package ratelimit_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/store"
)

// A bounded store holds at most three limits of one request, and bursts of 1000 tokens.
type boundedStore struct{ store.Store }

func (boundedStore) Check(limits []*store.Limit) error {
	for _, l := range limits {
		if l.Burst() > 1000 && l.Index() == 0 && l.Period() >= time.Second {
			return fmt.Errorf("rule %q: a bucket of %d", l.Rule(), l.Burst())
		}
	}
	if len(limits) > 3 {
		return fmt.Errorf("%d limits", len(limits))
	}
	return nil
}

// What a store cannot hold is a mistake in the Config, not an error at each request.
func TestLimitsThatTheStoreCannotHold(t *testing.T) {
	blocked := rule("blocked", "1 per hour")
	blocked.Block = new(ratelimit.Block)
	waiting := rule("waiting", "10 per second burst 900")
	waiting.MaxWait = time.Minute
	for _, tc := range []struct {
		name string
		cfg  ratelimit.Config
		want string
	}{
		{"few", ratelimit.Config{Rules: []ratelimit.Rule{rule("a", "1/s; 2/m; 3/h")}}, ""},
		{"many", ratelimit.Config{Rules: []ratelimit.Rule{rule("a", "1/s; 2/m"), rule("b", "1/s; 2/m")}}, "ratelimit: Rules: 4 limits"},
		{
			"many with a route", ratelimit.Config{
				Rules: []ratelimit.Rule{rule("a", "1/s; 2/m")}, Routes: map[string][]ratelimit.Rule{"/": {rule("b", "1/s; 2/m")}},
			}, `ratelimit: Routes["/"]: 4 limits`,
		},
		{"many with a block", ratelimit.Config{Rules: []ratelimit.Rule{rule("a", "1/s; 2/m"), blocked}}, "ratelimit: Rules: 4 limits"},
		{"a burst", ratelimit.Config{Rules: []ratelimit.Rule{rule("a", "1/s burst 1001")}}, `ratelimit: Rules: rule "a": a bucket of 1001`},
		{"a burst with MaxWait", ratelimit.Config{Rules: []ratelimit.Rule{waiting}}, `ratelimit: Rules: rule "waiting": a bucket of 1500`},
		{
			"a budget",
			ratelimit.Config{Budgets: []ratelimit.Budget{{Name: "b", Limits: ratelimit.MustParse("1/s burst 2000")}}},
			`ratelimit: Budgets[0]: rule "b": a bucket of 2000`,
		},
	} {
		tc.cfg.Store, tc.cfg.OnStoreFailure = boundedStore{newMortal()}, ratelimit.FailOpen
		l, err := ratelimit.New(tc.cfg)
		if tc.want != "" {
			assert.EqualError(t, err, tc.want, tc.name)
			continue
		}
		assert.NoError(t, err, tc.name)
		_, err = l.Decorator(rule("c", "1/s; 2/m; 3/h; 4/d"))
		assert.EqualError(t, err, "ratelimit: With: 4 limits")
	}
}

// A policy that was read from an empty file would switch all limits off without a word.
func TestEmptyPolicyIsReported(t *testing.T) {
	var reported []string
	cfg := ratelimit.Config{Rules: []ratelimit.Rule{rule("r", "1 per hour")}}
	cfg.Hooks.Error = func(_ context.Context, err error) { reported = append(reported, err.Error()) }
	l := newLimiter(t, cfg)
	assert.NoError(t, l.SetPolicy(ratelimit.Policy{Rules: cfg.Rules}))
	assert.Empty(t, reported)
	assert.NoError(t, l.SetPolicy(ratelimit.Policy{}))
	assert.NoError(t, l.SetPolicy(ratelimit.Policy{}))
	assert.Equal(t, []string{"ratelimit: SetPolicy without any rule"}, reported)
}
