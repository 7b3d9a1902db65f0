package ratelimit_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/store"
)

// step applies changes of the kinds and costs in one step, each to the client under the named rule.
func step(t testing.TB, l *ratelimit.Limiter, changes ...ratelimit.Change) []ratelimit.Decision {
	t.Helper()
	for i := range changes {
		changes[i].Key = client()
	}
	ds, err := l.Apply(t.Context(), changes...)
	require.NoError(t, err)
	require.Len(t, ds, len(changes))
	return ds
}

// guardedRule returns a rule that blocks a key for a minute after three violations.
func guardedRule() ratelimit.Rule {
	r := rule("guarded", "10 per hour")
	r.Block = &ratelimit.Block{After: ratelimit.Per(3, time.Hour)}
	return r
}

// The changes of a user and of the company are one step, no matter how many goroutines make them.
func TestApplyIsOneStep(t *testing.T) {
	t.Parallel()
	const users, goroutines, each = 4, 8, 200
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("user", "100 per day"), rule("company", "250 per day")}})
	var allowed [users]atomic.Int64
	var all sync.WaitGroup
	for g := range goroutines {
		all.Go(func() {
			for i := range each {
				n := (g + i) % users
				changes := []ratelimit.Change{
					{Rule: "user", Key: ratelimit.UserKey(fmt.Sprint(n)), Cost: 1},
					{Rule: "company", Key: ratelimit.ValueKey("company", "acme"), Cost: 1},
				}
				if g%2 == 0 {
					changes[0], changes[1] = changes[1], changes[0]
				}
				ds, err := l.Apply(t.Context(), changes...)
				if assert.NoError(t, err) && ds[0].Allowed && ds[1].Allowed {
					allowed[n].Add(1)
				}
			}
		})
	}
	all.Wait()
	sum := int64(0)
	for n := range users {
		d, err := l.Peek(t.Context(), "user", ratelimit.UserKey(fmt.Sprint(n)))
		require.NoError(t, err)
		assert.Equal(t, 100-allowed[n].Load(), d.Remaining, "user %d", n)
		sum += allowed[n].Load()
	}
	assert.Equal(t, int64(250), sum)
}

// A TakeUpTo takes the tokens that there are. It is not denied, and denies nothing.
func TestApplyTakesUpToACost(t *testing.T) {
	t.Parallel()
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("a", "10 per hour"), rule("b", "10 per hour")}})
	ds := step(t, l, ratelimit.Change{Kind: store.TakeUpTo, Rule: "a", Cost: 25}, ratelimit.Change{Rule: "b", Cost: 1})
	assert.Equal(t, []bool{true, true}, []bool{ds[0].Allowed, ds[1].Allowed})
	assert.Equal(t, []int64{0, 9}, []int64{remaining(t, l, "a"), remaining(t, l, "b")})
}

// A Peek that is denied reports the level of the bucket, with MaxWait as without it.
func TestPeekUnderMaxWait(t *testing.T) {
	for _, wait := range []time.Duration{0, time.Minute} {
		t.Run(wait.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := rule("q", "1 per second burst 3")
				q.MaxWait = wait
				l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{q}})
				step(t, l, ratelimit.Change{Rule: "q", Cost: 3})
				d, err := l.Peek(t.Context(), "q", client())
				require.NoError(t, err)
				assert.Equal(t, ratelimit.Decision{
					Reason: ratelimit.ReasonLimit, Rule: "q", Mode: ratelimit.Enforce, Key: client(),
					Limit: ratelimit.Limit{Count: 1, Period: time.Second, Burst: 3}, RetryAfter: time.Second, ResetAfter: 3 * time.Second,
				}, d)
			})
		})
	}
}

// A Take or Peek under a Block or a MaxWait is made alone. Beside other changes it is an error, and
// nothing is changed.
func TestApplyOfRulesThatStandAlone(t *testing.T) {
	t.Parallel()
	waiting := rule("waiting", "10 per hour")
	waiting.MaxWait = time.Hour
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{guardedRule(), waiting, rule("b", "10 per hour")}})
	for _, name := range []string{"guarded", "waiting"} {
		for _, kind := range []store.Kind{store.Take, store.Peek} {
			one := ratelimit.Change{Kind: kind, Rule: name, Key: client(), Cost: 1}
			other := ratelimit.Change{Rule: "b", Key: client(), Cost: 1}
			for _, changes := range [][]ratelimit.Change{{one, other}, {other, one}, {one, one}} {
				ds, err := l.Apply(t.Context(), changes...)
				require.ErrorIs(t, err, store.ErrInvalidOp)
				require.EqualError(t, err, `ratelimit: rule "`+name+`": store: invalid op: `+kind.String()+
					` under a Block or MaxWait: want no other change beside it`)
				assert.Nil(t, ds)
			}
		}
		assert.Equal(t, int64(10), remaining(t, l, name))
		ds := step(t, l, ratelimit.Change{Rule: name, Cost: 4})
		assert.Equal(t, []any{true, int64(6)}, []any{ds[0].Allowed, ds[0].Remaining})
	}
	assert.Equal(t, int64(10), remaining(t, l, "b"))
}

// A Take by Apply that its rule denies is a violation. A Peek is none.
func TestApplyCountsViolations(t *testing.T) {
	t.Parallel()
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{guardedRule()}})
	for range 2 {
		ds := step(t, l, ratelimit.Change{Rule: "guarded", Cost: 11})
		assert.Equal(t, ratelimit.ReasonExceedsBurst, ds[0].Reason)
		step(t, l, ratelimit.Change{Kind: store.Peek, Rule: "guarded", Cost: 11})
	}
	assert.Empty(t, l.Blocked())
	ds := step(t, l, ratelimit.Change{Rule: "guarded", Cost: 11})
	assert.Equal(t, []any{ratelimit.ReasonBlocked, time.Minute}, []any{ds[0].Reason, ds[0].RetryAfter})
	assert.Len(t, l.Blocked(), 1)
}

// A Reset ends a block only if the step is made.
func TestResetInADeniedStepEndsNoBlock(t *testing.T) {
	for name, elsewhere := range map[string]bool{"memory": false, "store elsewhere": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := ratelimit.Config{
					Rules:          []ratelimit.Rule{guardedRule(), rule("b", "10 per hour")},
					OnStoreFailure: ratelimit.FailClosed,
				}
				if elsewhere {
					cfg.Store = newMortal()
				}
				l := newLimiter(t, cfg)
				require.NoError(t, l.Block(t.Context(), "guarded", client(), time.Hour))
				reset := ratelimit.Change{Kind: store.Reset, Rule: "guarded"}
				ds := step(t, l, reset, ratelimit.Change{Rule: "b", Cost: 11})
				assert.Equal(t, []any{false, ratelimit.ReasonExceedsBurst}, []any{ds[1].Allowed, ds[1].Reason})
				d, err := l.Take(t.Context(), "guarded", client(), 1)
				require.NoError(t, err)
				assert.Equal(t, []any{false, ratelimit.ReasonBlocked, time.Hour}, []any{d.Allowed, d.Reason, d.RetryAfter})

				step(t, l, reset, ratelimit.Change{Rule: "b", Cost: 10})
				d, err = l.Take(t.Context(), "guarded", client(), 1)
				require.NoError(t, err)
				assert.True(t, d.Allowed)
			})
		})
	}
}

// A TakeUpTo would take the tokens of requests that are held.
func TestNoTakeUpToUnderMaxWait(t *testing.T) {
	t.Parallel()
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{patient("r", "1 per second", time.Minute)}})
	ds, err := l.Apply(t.Context(), ratelimit.Change{Kind: store.TakeUpTo, Rule: "r", Key: client(), Cost: 1})
	require.ErrorIs(t, err, store.ErrInvalidOp)
	require.EqualError(t, err, `ratelimit: rule "r": store: invalid op: TakeUpTo under a MaxWait: want a Take`)
	assert.Nil(t, ds)
	assert.Equal(t, int64(1), remaining(t, l, "r"))
}
