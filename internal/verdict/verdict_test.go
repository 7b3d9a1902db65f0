package verdict

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/ratelimit-go/ratelimit/store"
)

func TestWhatDecided(t *testing.T) {
	p := policyOf(newRule("api"), tenPerMinute)
	for _, test := range []struct {
		name             string
		ops              int
		outcome          Outcome
		decided, limited bool
		strictest        int
		allowed          bool
	}{
		{"two limits", 2, Outcome{}, true, true, 1, false},
		{"one limit", 1, Outcome{}, true, true, 0, true},
		{"no limit", 0, Outcome{}, true, false, -1, true},
		{"limits in memory", 2, Outcome{Failed: Memory}, true, true, 1, false},
		{"a failure, open", 2, Outcome{Failed: Open}, false, false, -1, true},
		{"a failure, closed", 2, Outcome{Failed: Closed}, false, false, -1, false},
		{"a block", 2, Outcome{Denied: Denial{Reason: "blocked"}}, true, false, -1, false},
		{"a block, open", 2, Outcome{Denied: Denial{Reason: "blocked"}, Failed: Open}, false, false, -1, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := answered([]*Policy{p, p}[:test.ops], store.Result{Allowed: true}, store.Result{RetryAfter: time.Second})
			*v.Outcome = test.outcome
			assert.Equal(t, test.decided, v.Decided())
			assert.Equal(t, test.limited, v.Limited())
			assert.Equal(t, test.strictest, v.Strictest())
			assert.Equal(t, test.allowed, v.Allowed(v.Strictest()))
		})
	}
	v := answered([]*Policy{p, p}, store.Result{RetryAfter: time.Second}, store.Result{Allowed: true})
	assert.Zero(t, v.Strictest())
	assert.False(t, v.Allowed(0))
}

// Fewer than two tokens are little of ten. Each rule counts a request once.
func TestCountNear(t *testing.T) {
	a, b := newRule("a"), newRule("b")
	policies := []*Policy{policyOf(a, tenPerMinute), policyOf(a, tenPerMinute), policyOf(b, tenPerMinute)}
	count := func(failed Fallback, left ...int64) [2]int64 {
		v := answered(policies, store.Result{Remaining: left[0]}, store.Result{Remaining: left[1]}, store.Result{Remaining: left[2]})
		v.Failed = failed
		before := [2]int64{a.Tally.Near.Load(), b.Tally.Near.Load()}
		v.CountNear()
		return [2]int64{a.Tally.Near.Load() - before[0], b.Tally.Near.Load() - before[1]}
	}
	assert.Equal(t, [2]int64{0, 0}, count("", 2, 2, 2))
	assert.Equal(t, [2]int64{1, 0}, count("", 1, 2, 2))
	assert.Equal(t, [2]int64{1, 1}, count("", 1, 0, 1))
	assert.Equal(t, [2]int64{0, 1}, count("", 2, 3, 0))
	assert.Equal(t, [2]int64{1, 1}, count(Memory, 1, 1, 1))
	assert.Equal(t, [2]int64{0, 0}, count(Open, 1, 1, 1))
}

func TestCopySharesNothing(t *testing.T) {
	p, q := policyOf(newRule("p"), tenPerMinute), policyOf(newRule("q"), tenPerMinute)
	v := answered([]*Policy{p}, store.Result{Remaining: 3})
	v.Err = errors.New("of the store")
	c := v.Copy()
	assert.Equal(t, v, c)
	v.Ops[0].Result.Remaining, v.From[0], v.Failed = 4, q, Closed
	assert.Equal(t, int64(3), c.Ops[0].Result.Remaining)
	assert.Same(t, p, c.From[0])
	assert.Empty(t, c.Failed)
}
