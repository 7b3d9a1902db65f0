package ratelimit_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/store"
)

func TestBlockByHand(t *testing.T) {
	const year = 365 * 24 * time.Hour
	synctest.Test(t, func(t *testing.T) {
		two := newTwoInstances(t, ratelimit.FailOpen, blocking(ratelimit.Block{}), rule("plain", "10 per hour"))
		ctx := t.Context()
		require.NoError(t, two.a.Block(ctx, "p", client(), 24*time.Hour))
		two.requireGet(t, two.a, 429, 0, "at once")
		two.requireGet(t, two.b, 429, 2, "everywhere")
		assert.Equal(t, []ratelimit.Blocked{{Rule: "p", Key: client(), Until: time.Now().Add(24 * time.Hour)}}, two.a.Blocked())
		require.NoError(t, two.a.Block(ctx, "p", client(), time.Minute))
		time.Sleep(time.Minute)
		two.requireGet(t, two.a, 200, 1, "a second Block has shortened it")
		require.NoError(t, two.a.Block(ctx, "p", client(), time.Hour))
		require.NoError(t, two.a.Block(ctx, "p", client(), year))
		time.Sleep(year - 1)
		two.requireGet(t, two.a, 429, 2, "a second Block has lengthened it")
		require.NoError(t, two.a.Reset(ctx, "p", client()))
		two.requireGet(t, two.a, 200, 1, "Reset has unblocked")
		two.requireGet(t, two.a, 429, 1, "the limit")
		for range 5 {
			two.get(two.a)
			require.Equal(t, ratelimit.ReasonLimit, two.lastA.Reason, "no number of violations blocks")
		}
		assert.Empty(t, two.told)
		assert.Empty(t, two.a.Blocked())
	})
}

// A block by hand replaces a block that violations began, and does not count as one.
func TestBlockByHandReplacesABlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		block := ratelimit.Block{After: ratelimit.Per(3, time.Hour)}
		l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{blocking(block)}})
		violate(t, l, 3)
		require.Equal(t, 1, l.Blocked()[0].Times)
		require.NoError(t, l.Block(t.Context(), "p", client(), time.Second))
		assert.Equal(t, []ratelimit.Blocked{{Rule: "p", Key: client(), Until: time.Now().Add(time.Second)}}, l.Blocked())
		time.Sleep(time.Minute)
		assert.Equal(t, 2*time.Minute, violate(t, l, 3), "the second block that violations began")
	})
}

// A block that was shortened by hand counts as two until its first end has passed.
func TestShortenedBlockCountsTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		block := ratelimit.Block{After: ratelimit.Per(3, time.Hour)}
		l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{blocking(block)}})
		violate(t, l, 3)
		require.NoError(t, l.Block(t.Context(), "p", client(), time.Second))
		time.Sleep(time.Second)
		assert.Equal(t, 4*time.Minute, violate(t, l, 3))
		assert.Equal(t, 3, l.Blocked()[0].Times)
	})
}

func TestMistakesInBlockAndUnblock(t *testing.T) {
	t.Parallel()
	cfg := ratelimit.Config{Rules: []ratelimit.Rule{blocking(ratelimit.Block{}), rule("plain", "10 per hour")}}
	remote := cfg
	remote.Store, remote.OnStoreFailure = newMortal(), ratelimit.FailOpen
	none := ratelimit.Key{}
	for name, l := range map[string]*ratelimit.Limiter{"in memory": newLimiter(t, cfg), "in another store": newLimiter(t, remote)} {
		ctx, bounds := t.Context(), "want a millisecond to a year"
		block := func(rule string, key ratelimit.Key, d time.Duration) error { return l.Block(ctx, rule, key, d) }
		unblock := func(rule string, key ratelimit.Key) error { return l.Unblock(ctx, rule, key) }
		for _, tc := range []struct {
			name string
			err  error
			want string // a part of the text
			is   error
		}{
			{"block for no time", block("p", client(), 0), "ratelimit: a block of 0s: " + bounds, nil},
			{"block for too short", block("p", client(), time.Millisecond-1), "ratelimit: a block of 999.999µs: " + bounds, nil},
			{"block for too long", block("p", client(), 366*24*time.Hour), "ratelimit: a block of 8784h0m0s: " + bounds, nil},
			{"block without a key", block("p", none, time.Hour), `ratelimit: rule "p": store: invalid op: no key`, store.ErrInvalidOp},
			{"block under no rule", block("none", client(), time.Hour), `ratelimit: no such rule: "none"`, ratelimit.ErrNoRule},
			{"block without a Block", block("plain", client(), time.Hour), `ratelimit: rule "plain" has no Block`, nil},
			{"unblock under no rule", unblock("none", client()), `ratelimit: no such rule: "none"`, ratelimit.ErrNoRule},
			{"unblock without a Block", unblock("plain", client()), `ratelimit: rule "plain" has no Block`, nil},
			{"unblock without a key", unblock("p", none), `ratelimit: rule "p": store: invalid op: no key`, store.ErrInvalidOp},
		} {
			t.Run(name+"/"+tc.name, func(t *testing.T) {
				require.ErrorContains(t, tc.err, tc.want)
				if tc.is != nil {
					require.ErrorIs(t, tc.err, tc.is)
				}
			})
		}
		_, err := l.Take(ctx, "p", none, 1)
		require.ErrorIs(t, err, store.ErrInvalidOp, name)
		assert.Empty(t, l.Blocked(), name)
		assert.Empty(t, l.Stats().Store.Failures, "a mistake is no failure of the store")
	}
}

// Reset forgets blocks. Replacing rules does not, as long as the rule has a Block.
func TestBlocksAfterResetAndSetPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := blocking(ratelimit.Block{After: ratelimit.Per(3, time.Hour)})
		l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{p}})
		violate(t, l, 3)
		require.NoError(t, l.SetPolicy(ratelimit.Policy{Rules: []ratelimit.Rule{p}}))
		assert.Equal(t, time.Minute, violateUntilBlocked(t, l), "blocked by the same rule")
		require.NoError(t, l.SetPolicy(ratelimit.Policy{Rules: []ratelimit.Rule{rule("p", "1 per hour")}}))
		assert.Equal(t, 200, serve(l.Handler(ok), with()).Code, "the rule has no Block now")
		require.NoError(t, l.SetPolicy(ratelimit.Policy{Rules: []ratelimit.Rule{p}}))
		require.NoError(t, l.Reset(t.Context(), "p", client()))
		assert.Equal(t, time.Minute, violate(t, l, 3), "all blocks are forgotten")
	})
}

// A block of a rule that has no Block any more, or that is gone, blocks no client. It goes on if
// the rule has a Block again.
func TestBlockedAfterANewPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{blocking(ratelimit.Block{})}})
		h := l.Handler(ok)
		require.NoError(t, l.Block(t.Context(), "p", client(), time.Hour))
		without := blocking(ratelimit.Block{})
		without.Block = nil
		for _, rules := range [][]ratelimit.Rule{{without}, {rule("other", "5 per hour")}} {
			require.NoError(t, l.SetPolicy(ratelimit.Policy{Rules: rules}))
			require.Equal(t, []int{200}, codes(h, with()))
			assert.Empty(t, l.Blocked())
			assert.Empty(t, l.Blocked(client()))
		}
		require.NoError(t, l.SetPolicy(ratelimit.Policy{Rules: []ratelimit.Rule{blocking(ratelimit.Block{})}}))
		require.Equal(t, []int{429}, codes(h, with()))
		assert.Len(t, l.Blocked(), 1)
		assert.Len(t, l.Blocked(client()), 1)
	})
}

// Blocked lists the longest block first, then by rule and key. With keys it lists only theirs.
func TestBlockedIsSortedAndSelects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		named := func(name string) ratelimit.Rule {
			r := blocking(ratelimit.Block{})
			r.Name = name
			return r
		}
		l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{named("b"), named("a")}})
		alice, bob := ratelimit.UserKey("alice"), ratelimit.UserKey("bob")
		until := func(rule string, key ratelimit.Key, d time.Duration) ratelimit.Blocked {
			return ratelimit.Blocked{Rule: rule, Key: key, Until: time.Now().Add(d)}
		}
		all := []ratelimit.Blocked{
			until("b", bob, 2*time.Hour), until("a", alice, time.Hour), until("a", bob, time.Hour), until("b", alice, time.Hour),
		}
		for _, i := range []int{3, 1, 0, 2} {
			require.NoError(t, l.Block(t.Context(), all[i].Rule, all[i].Key, time.Until(all[i].Until)))
		}
		assert.Equal(t, all, l.Blocked())
		assert.Equal(t, []ratelimit.Blocked{all[1], all[3]}, l.Blocked(alice))
		assert.Equal(t, all, l.Blocked(alice, bob))
		assert.Empty(t, l.Blocked(ratelimit.UserKey("carol")))
		time.Sleep(time.Hour)
		assert.Equal(t, all[:1], l.Blocked())
		assert.Empty(t, l.Blocked(alice))
	})
}
