package ratelimit_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/testsize"
)

// greedy returns how many requests of one client the rules allow together. They share a store and
// decide by turns until all deny, every 50 ms for half an hour. In the smaller size it is every
// second for a quarter of an hour, in which each count is still used up: "50 per minute; 500 per
// hour" takes eleven minutes.
func greedy(t *testing.T, rules ...ratelimit.Rule) (allowed int) {
	pause := time.Duration(testsize.Of(50, 1000)) * time.Millisecond
	length := time.Duration(testsize.Of(30, 15)) * time.Minute
	synctest.Test(t, func(t *testing.T) {
		s := ratelimit.NewMemoryStore(ratelimit.MemoryConfig{})
		var fleet []*ratelimit.Limiter
		for _, r := range rules {
			r.Name = "r"
			fleet = append(fleet, newLimiter(t, ratelimit.Config{Store: s, Rules: []ratelimit.Rule{r}}))
		}
		for begin := time.Now(); time.Since(begin) < length; time.Sleep(pause) {
			for turn, before := 0, -1; allowed > before && turn < 2000; turn++ { // no burst is larger
				before = allowed
				for _, l := range fleet {
					d, err := l.Take(t.Context(), "r", ratelimit.UserKey("a"), 1)
					if err != nil {
						require.NoError(t, err)
					}
					if d.Allowed {
						allowed++
					}
				}
			}
		}
	})
	return allowed
}

// Two versions of a policy in one fleet allow at most what the larger of them allows alone.
func TestTwoVersionsOfAPolicy(t *testing.T) {
	for _, row := range []struct{ name, a, b, larger string }{
		{"a lower count", "1000 per hour", "100 per hour", ""},
		{"a lower burst", "1000 per hour burst 20", "1000 per hour burst 10", ""},
		{"another period", "100 per minute", "600 per hour burst 100", ""},
		{"another order", "10 per second; 100 per hour", "100 per hour; 10 per second", ""},
		{"another order of three", "5 per second; 50 per minute; 500 per hour", "500 per hour; 5 per second; 50 per minute", ""},
		{"a faster limit more", "100 per hour", "10 per second; 100 per hour", ""},
		{"a faster limit more, at the end", "100 per hour", "100 per hour; 10 per second", ""},
		{"a faster limit more beside two", "50 per minute; 500 per hour", "5 per second; 50 per minute; 500 per hour", ""},
		{"a limit more in between", "5 per second; 500 per hour", "5 per second; 50 per minute; 500 per hour", ""},
		{"other numbers of one of two", "5 per second; 500 per hour", "5 per second; 100 per hour", ""},
		{"other numbers and order", "5 per second; 500 per hour", "100 per hour; 2 per second", ""},
		{"a slower limit more", "50 per minute", "50 per minute; 500 per hour", ""},
		{"a slower limit more beside two", "5 per second; 50 per minute", "5 per second; 50 per minute; 500 per hour", ""},
		{"a slower limit more, in another order", "50 per minute; 5 per second", "500 per hour; 5 per second; 50 per minute", ""},
		{"a slower limit more and a higher count", "50 per minute", "500 per hour; 70 per minute", "70 per minute"},
		{"a slower limit more and a lower count", "50 per minute", "40 per minute; 500 per hour", ""},
		{"a slower limit more and a burst", "50 per minute burst 10", "50 per minute; 500 per hour", "50 per minute"},
		{"a slower limit more and a faster one less", "5 per second; 50 per minute", "50 per minute; 500 per hour", ""},
		{"a longer period of the same rate more", "10 per second", "10 per second; 600 per minute", ""},
		{"a shorter period of the same rate more", "600 per minute", "10 per second; 600 per minute", ""},
		{"a larger burst of the same rate more", "50 per minute burst 10", "50 per minute; 50 per minute burst 10", ""},
		{"two slower limits more", "5 per second", "5 per second; 50 per minute; 500 per hour", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			a := ratelimit.Rule{Limits: ratelimit.MustParse(row.a)}
			b := ratelimit.Rule{Limits: ratelimit.MustParse(row.b)}
			alone := max(greedy(t, a), greedy(t, b))
			if row.larger != "" { // the largest burst at the fastest rate
				alone = greedy(t, ratelimit.Rule{Limits: ratelimit.MustParse(row.larger)})
			}
			assert.LessOrEqual(t, greedy(t, a, b), alone, "%s, and %s", row.a, row.b)
		})
	}
}

// A version with MaxWait lends what flows in meanwhile, and no more.
func TestVersionsWithAndWithoutMaxWait(t *testing.T) {
	a := ratelimit.Rule{Limits: ratelimit.MustParse("100 per hour")}
	b := a
	b.MaxWait = 2 * time.Minute // three tokens
	assert.LessOrEqual(t, greedy(t, a, b), greedy(t, a)+3)
}

// A policy that changes in a process keeps what was spent, in any order of its limits.
func TestSetPolicyInAnotherOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rule := ratelimit.Rule{Name: "r", Limits: ratelimit.MustParse("100 per hour")}
		l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule}})
		for range 100 {
			_, err := l.Take(t.Context(), "r", ratelimit.UserKey("a"), 1)
			require.NoError(t, err)
		}
		for _, text := range []string{"10 per second; 100 per hour", "100 per hour; 10 per second", "100 per hour"} {
			rule.Limits = ratelimit.MustParse(text)
			require.NoError(t, l.SetPolicy(ratelimit.Policy{Rules: []ratelimit.Rule{rule}}))
			d, err := l.Take(t.Context(), "r", ratelimit.UserKey("a"), 1)
			require.NoError(t, err)
			assert.False(t, d.Allowed, text)
		}
	})
}
