package ratelimit_test

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/store"
)

// Take, Peek, Refund and Reset have a faster way for rules with few limits in memory. Decisions and
// errors are the same as with Apply.
func TestTakeAgreesWithApply(t *testing.T) {
	for _, limits := range []string{
		"5 per hour burst 3", "4 per minute; 6 per hour", "9 per hour; 7 per 30 minutes; 5 per 10 minutes",
		"9 per hour; 7 per 30 minutes; 8 per 20 minutes; 5 per 10 minutes", "unlimited",
	} {
		t.Run(limits, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := ratelimit.Config{Rules: []ratelimit.Rule{rule("r", limits)}}
				agreeOnTakes(t, newLimiter(t, cfg), newLimiter(t, cfg), limits == "unlimited")
			})
		})
	}
}

// agreeOnTakes makes the same random changes by the methods of one and by the Apply of other.
func agreeOnTakes(t *testing.T, one, other *ratelimit.Limiter, unlimited bool) {
	t.Helper()
	rng, allowed, denied := rand.New(rand.NewPCG(3, 4)), 0, 0
	for range 600 {
		ch := ratelimit.Change{
			Kind: []store.Kind{store.Take, store.Take, store.Take, store.Peek, store.Refund, store.Reset}[rng.IntN(6)],
			Rule: []string{"r", "r", "r", "r", "lost"}[rng.IntN(5)],
			Key:  []ratelimit.Key{client(), ratelimit.UserKey("alice"), {}}[rng.IntN(3)],
			Cost: []int64{1, 1, 1, 2, 0, 1000, -1}[rng.IntN(7)],
		}
		switch ch.Kind {
		case store.Peek:
			ch.Cost = 1
		case store.Reset:
			ch.Cost = 0
			if rng.IntN(4) > 0 {
				continue
			}
		}
		want, wantErr := other.Apply(t.Context(), ch)
		got, err := change(t, one, ch)
		if wantErr != nil {
			require.EqualError(t, err, wantErr.Error())
			continue
		}
		require.NoError(t, err)
		require.Len(t, want, 1)
		if ch.Kind == store.Take || ch.Kind == store.Peek {
			require.Equal(t, want[0], got)
			if got.Allowed {
				allowed++
			} else {
				denied++
			}
		}
		time.Sleep(time.Duration(rng.IntN(60)) * time.Second)
	}
	assert.Greater(t, allowed, 30)
	assert.True(t, unlimited || denied > 30)
}

// change makes a change by the method of its kind.
func change(t *testing.T, l *ratelimit.Limiter, ch ratelimit.Change) (d ratelimit.Decision, err error) {
	t.Helper()
	switch ch.Kind { // Peek looks for one token
	case store.Take:
		return l.Take(t.Context(), ch.Rule, ch.Key, ch.Cost)
	case store.Refund:
		return d, l.Refund(t.Context(), ch.Rule, ch.Key, ch.Cost)
	case store.Reset:
		return d, l.Reset(t.Context(), ch.Rule, ch.Key)
	default:
		return l.Peek(t.Context(), ch.Rule, ch.Key)
	}
}
