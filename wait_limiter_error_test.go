package ratelimit_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/store"
)

func TestWaitErrors(t *testing.T) {
	t.Parallel()
	l := newLimiter(t, ratelimit.Config{Budgets: []ratelimit.Budget{
		queued("plain", "1 per second", 0), queued("queue", "1 per second", time.Minute),
	}})
	for _, tc := range []struct {
		name string
		rule string
		key  ratelimit.Key
		cost int64
		is   error
		text string
	}{
		{"no such rule", "x", client(), 1, ratelimit.ErrNoRule, `ratelimit: no such rule: "x"`},
		{
			"the zero Key", "plain",
			ratelimit.Key{},
			1, store.ErrInvalidOp,
			`ratelimit: rule "plain": store: invalid op: Take, cost 1, key none: want a kind, a key and no negative cost`,
		},
		{
			"a negative cost", "queue", client(), -1, store.ErrInvalidOp,
			`ratelimit: rule "queue": store: invalid op: Take, cost -1, key addr:192.0.2.1: want a kind, a key and no negative cost`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := l.Wait(t.Context(), tc.rule, tc.key, tc.cost)
			require.ErrorIs(t, err, tc.is)
			require.EqualError(t, err, tc.text)
		})
	}
}

// The rule is removed while Wait waits.
func TestWaitForARuleThatIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, ratelimit.Config{Budgets: []ratelimit.Budget{queued("b", "1 per second", 0)}})
		require.NoError(t, l.Wait(t.Context(), "b", client(), 1))
		time.AfterFunc(time.Millisecond, func() { assert.NoError(t, l.SetPolicy(ratelimit.Policy{})) })
		took, err := waits(t.Context(), l, "b", 1)
		require.ErrorIs(t, err, ratelimit.ErrNoRule)
		assert.Equal(t, time.Second, took)
	})
}

// Callers of Wait count for MaxWaiting as requests do.
func TestWaitBeyondMaxWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, h := oneServed(t, 2)
		var all sync.WaitGroup
		all.Go(func() { assert.NoError(t, l.Wait(t.Context(), "r", client(), 1)) })
		synctest.Wait()
		all.Go(func() { assert.Equal(t, 200, serve(h, with()).Code) })
		synctest.Wait()
		took, err := waits(t.Context(), l, "r", 1)
		assert.Zero(t, took)
		checkDenied(t, err, ratelimit.Decision{
			Reason: ratelimit.ReasonLimit, Rule: "r", Mode: ratelimit.Enforce,
			Limit: ratelimit.Limit{Count: 1, Period: time.Second, Burst: 1},
			Key:   client(), RetryAfter: 3 * time.Second, ResetAfter: 3 * time.Second,
		})
		assert.Equal(t, 429, serve(h, with()).Code)
		all.Wait()
		took, err = waits(t.Context(), l, "r", 1)
		require.NoError(t, err)
		assert.Equal(t, time.Second, took, "the denied callers took nothing")
	})
}

// A rule that is Off or in DryRun holds no caller.
func TestWaitObeysTheMode(t *testing.T) {
	for _, mode := range []ratelimit.Mode{ratelimit.Off, ratelimit.DryRun} {
		for _, maxWait := range []time.Duration{0, time.Minute} {
			t.Run(string(mode)+", MaxWait "+maxWait.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := patient("r", "1 per second", maxWait)
					r.Mode = mode
					l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{r}})
					begin := time.Now()
					for range 5 {
						require.NoError(t, l.Wait(t.Context(), "r", client(), 1))
					}
					assert.Zero(t, time.Since(begin))
					require.NoError(t, l.SetMode("r", ratelimit.Enforce))
					d, err := l.Peek(t.Context(), "r", client())
					require.NoError(t, err)
					if mode == ratelimit.Off {
						assert.Equal(t, []time.Duration{0, 0}, []time.Duration{d.RetryAfter, d.ResetAfter}, "it takes nothing")
					} else {
						assert.Equal(t, []time.Duration{time.Second, time.Second}, []time.Duration{d.RetryAfter, d.ResetAfter},
							"it takes the token that is there")
					}
				})
			})
		}
	}
}

// If the store fails, OnStoreFailure decides.
func TestWaitWhileTheStoreFails(t *testing.T) {
	for _, tc := range []struct {
		name    string
		policy  ratelimit.FailurePolicy
		maxWait time.Duration
		took    time.Duration // of the second call
		denied  string
	}{
		{"open", ratelimit.FailOpen, 0, 0, ""},
		{"open, in a queue", ratelimit.FailOpen, time.Minute, 0, ""},
		{"closed", ratelimit.FailClosed, 0, 0, `ratelimit: rule "r": denied: store, retry after 1s`},
		{"closed, in a queue", ratelimit.FailClosed, time.Minute, 0, `ratelimit: rule "r": denied: store, retry after 1s`},
		{"memory", ratelimit.UseMemory, 0, time.Second, ""},
		{"memory, in a queue", ratelimit.UseMemory, time.Minute, time.Second, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := deadLimiter(t, ratelimit.Config{
					Rules: []ratelimit.Rule{patient("r", "1 per second", tc.maxWait)}, OnStoreFailure: tc.policy,
				})
				_, _ = waits(t.Context(), l, "r", 1)
				took, err := waits(t.Context(), l, "r", 1)
				assert.Equal(t, tc.took, took)
				if tc.denied == "" {
					require.NoError(t, err)
					return
				}
				require.EqualError(t, err, tc.denied)
				var denied *ratelimit.DeniedError
				require.ErrorAs(t, err, &denied)
				require.EqualError(t, denied.Decision.StoreErr, "ratelimit: store: a secret")
			})
		})
	}
}

// Callers that wait as they are told exceed nothing, so a Block does not block their key. A Take
// that is denied is a violation.
func TestWaitIsNoViolation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rule("r", "1 per second")
		r.Block = &ratelimit.Block{After: ratelimit.Per(3, time.Hour)}
		l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{r}})
		begin := time.Now()
		for range 10 {
			require.NoError(t, l.Wait(t.Context(), "r", client(), 1))
		}
		require.Equal(t, 9*time.Second, time.Since(begin))
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		for range 10 {
			require.ErrorContains(t, l.Wait(ctx, "r", client(), 1), "denied: limit")
		}
		for i := range 3 {
			d, err := l.Take(t.Context(), "r", client(), 1)
			require.NoError(t, err)
			require.False(t, d.Allowed)
			require.Len(t, l.Blocked(), i/2)
		}
	})
}

// Without a MaxWait, Wait waits for the end of a block too. With a MaxWait, a blocked key is denied
// at once.
func TestWaitOfABlockedKey(t *testing.T) {
	for _, maxWait := range []time.Duration{0, 2 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			r := patient("r", "1 per second", maxWait)
			r.Block = &ratelimit.Block{}
			l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{r}})
			require.NoError(t, l.Block(t.Context(), "r", client(), time.Minute))
			took, err := waits(t.Context(), l, "r", 1)
			if maxWait == 0 {
				require.NoError(t, err)
				assert.Equal(t, time.Minute, took)
				return
			}
			assert.Zero(t, took)
			require.EqualError(t, err, `ratelimit: rule "r": denied: blocked, retry after 1m0s`)
			checkDenied(t, err, ratelimit.Decision{
				Reason: ratelimit.ReasonBlocked, Rule: "r", Mode: ratelimit.Enforce, Key: client(), RetryAfter: time.Minute,
			})
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			time.Sleep(time.Minute)
			took, err = waits(ctx, l, "r", 1)
			require.NoError(t, err)
			assert.Zero(t, took)
		})
	}
}

// If the context has ended before, Wait takes nothing, although the tokens are there.
func TestWaitWithAnEndedContext(t *testing.T) {
	t.Parallel()
	for _, maxWait := range []time.Duration{0, time.Hour} {
		l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{patient("r", "5 per hour", maxWait)}})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, l.Wait(ctx, "r", client(), 1), context.Canceled)
		assert.Equal(t, int64(5), remaining(t, l, "r"))
	}
}
