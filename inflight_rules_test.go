package ratelimit_test

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/store"
)

// A rule can be replaced or removed while its requests are in flight.
func TestInFlightReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		with := func(n ...int) (rules []ratelimit.Rule) {
			for i, n := range n {
				rules = append(rules, atOnce("r"+strconv.Itoa(i), n))
			}
			return rules
		}
		l := newLimiter(t, ratelimit.Config{Rules: with(3)})
		h := l.Handler(lasting)
		code := func() int { return serve(h, request("192.0.2.1:1")).Code }
		for i := range 3 {
			background(h, request("192.0.2.1:1", "Lasts", strconv.Itoa(i+1)+"s"))
		}
		assert.Equal(t, 429, code())
		require.NoError(t, l.SetPolicy(ratelimit.Policy{Rules: with(2)}))
		assert.Equal(t, 429, code())
		pass(time.Second)
		assert.Equal(t, 429, code(), "two are still in flight")
		require.NoError(t, l.SetPolicy(ratelimit.Policy{}))
		assert.Equal(t, 200, code(), "no rule")
		require.NoError(t, l.SetPolicy(ratelimit.Policy{Rules: with(2, 1)}))
		assert.Equal(t, 429, code(), "the two were not forgotten")
		pass(time.Second)
		assert.Equal(t, 200, code())
		require.NoError(t, l.SetPolicy(ratelimit.Policy{Rules: with(1)}))
		assert.Equal(t, 429, code())
		pass(time.Second)
		assert.Equal(t, 200, code())
		requireNoneHeld(t, l)
	})
}

// Peek and Apply tell how many places a key has left under a rule that has no limit.
func TestPeekTellsOfFreePlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		both := atOnce("both", 2)
		both.Limits = ratelimit.MustParse("10 per hour")
		l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{atOnce("places", 3), both}})
		h := l.Handler(lasting)
		free := func(rule string) int64 {
			d, err := l.Peek(t.Context(), rule, client())
			require.NoError(t, err)
			assert.True(t, d.Allowed)
			ds, err := l.Apply(t.Context(), ratelimit.Change{Kind: store.Peek, Rule: rule, Key: client()})
			require.NoError(t, err)
			assert.Equal(t, d, ds[0])
			return d.Remaining
		}
		assert.Equal(t, int64(3), free("places"))
		background(h, request("192.0.2.1:1", "Lasts", "1s"))
		background(h, request("192.0.2.1:1", "Lasts", "1s"))
		background(h, request("192.0.2.2:1", "Lasts", "1s"))
		assert.Equal(t, int64(1), free("places"))
		assert.Equal(t, int64(8), free("both"), "tokens")
		require.NoError(t, l.SetRules(atOnce("places", 1), both))
		assert.Zero(t, free("places"), "more than there are now")
		pass(time.Second)
		assert.Equal(t, int64(1), free("places"))
		d, err := l.Take(t.Context(), "places", client(), 1)
		require.NoError(t, err)
		assert.Zero(t, d.Remaining, "a Take takes no place")
	})
}

// Behind the same decorator twice a request counts once. It counts under each of two rules.
func TestInFlightNested(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, other := newLimiter(t, ratelimit.Config{}), newLimiter(t, ratelimit.Config{})
		one, two, theirs := l.With(atOnce("one", 1)), l.With(atOnce("two", 1)), other.With(atOnce("one", 1))
		h := one(two(theirs(one(two(lasting)))))
		background(h, request("192.0.2.1:1", "Lasts", "1s"))
		permits, _ := l.PermitsHeld()
		assert.Equal(t, 2, permits)
		assert.Equal(t, 429, serve(two(lasting), request("192.0.2.1:1")).Code)
		assert.Equal(t, 429, serve(theirs(lasting), request("192.0.2.1:1")).Code)
		pass(time.Second)
		assert.Equal(t, 200, serve(h, request("192.0.2.1:1")).Code)
		requireNoneHeld(t, l)
		requireNoneHeld(t, other)
	})
}

// Requests do not count under rules that are Off, nor for Explain.
func TestInFlightModes(t *testing.T) {
	for mode, want := range map[ratelimit.Mode]int{ratelimit.Enforce: 429, ratelimit.DryRun: 200, ratelimit.Off: 200} {
		synctest.Test(t, func(t *testing.T) {
			r := atOnce("r", 1)
			r.Mode = mode
			l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{r}})
			h := l.Handler(lasting)
			background(h, request("192.0.2.1:1", "Lasts", "1s"))
			assert.Equal(t, want, serve(h, request("192.0.2.1:1")).Code, mode)
			assert.Empty(t, l.Explain(request("192.0.2.1:1")))
			require.NoError(t, l.SetMode("r", ratelimit.Off))
			assert.Equal(t, 200, serve(h, request("192.0.2.1:1")).Code, mode)
			d, err := l.Take(t.Context(), "r", ratelimit.UserKey("a"), 1)
			require.NoError(t, err)
			assert.Equal(t, ratelimit.Decision{Allowed: true, Rule: "r", Mode: ratelimit.Off}, d, "a rule without limits")
			pass(time.Second)
			requireNoneHeld(t, l)
		})
	}
}

func TestInFlightMistakes(t *testing.T) {
	for n, want := range map[int]string{-1: "Rules[0].InFlight: -1", 1_000_001: "want 1 to 1000000", 0: "Rules[0].Limits: no limits"} {
		_, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{atOnce("r", n)}})
		require.ErrorContains(t, err, want)
	}
	_, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{{
		Name: "r", InFlight: 1, Key: ratelimit.ByClientIP(),
		Limits: ratelimit.Limits{{}},
	}}})
	require.ErrorContains(t, err, "Rules[0].Limits")
}
