package ratelimit_test

import (
	"context"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// inNetwork returns the key of the n-th address of 10.0.0.0/24.
func inNetwork(n int) ratelimit.Key {
	k, _ := ratelimit.ParseKey(fmt.Sprintf("addr:10.0.0.%d", n))
	return k
}

// fullStore returns the config of a limiter whose store has no room for addresses of 10.0.0.0/24
// under the rule r, and the errors that are reported.
func fullStore(t *testing.T, rules ...ratelimit.Rule) (l *ratelimit.Limiter, reported *[]string) {
	t.Helper()
	reported = new([]string)
	l = newLimiter(t, ratelimit.Config{
		Store: ratelimit.NewMemoryStore(ratelimit.MemoryConfig{MaxKeys: 1}), Rules: rules,
		Hooks: ratelimit.Hooks{Error: func(_ context.Context, err error) { *reported = append(*reported, err.Error()) }},
	})
	take(t, l, rules[0].Name, inNetwork(0), 1)
	return l, reported
}

// A store of any size works, as far as there is memory for the keys that come.
func TestAnyMaxKeys(t *testing.T) {
	for _, n := range []int{1, 2, 1023, 1024, 1 << 30, math.MaxInt32, math.MaxInt/2 + 1, math.MaxInt - 1, math.MaxInt} {
		s := ratelimit.NewMemoryStore(ratelimit.MemoryConfig{MaxKeys: n})
		l := newLimiter(t, ratelimit.Config{
			Store: s, Rules: []ratelimit.Rule{rule("r", "1 per hour")},
			Hooks: ratelimit.Hooks{Error: func(context.Context, error) {}},
		})
		for i := range 10 {
			require.True(t, take(t, l, "r", ratelimit.ValueKey("n", fmt.Sprint(i)), 1).Allowed || n < 10, "%d", n)
		}
		require.False(t, take(t, l, "r", ratelimit.ValueKey("n", "0"), 1).Allowed)
		assert.Equal(t, n, s.Stats().MaxKeys)
		assert.Equal(t, min(n, 10), s.Stats().Keys)
	}
}

// Resets and refunds of keys without room give the flood nothing.
func TestRefundsOfOthersFillNoSharedBucket(t *testing.T) {
	l, _ := fullStore(t, rule("r", "10 per hour"))
	allowed := 0
	for i := range 200 {
		if take(t, l, "r", inNetwork(1+i), 1).Allowed {
			allowed++
		}
		require.NoError(t, l.Refund(t.Context(), "r", inNetwork(201), 1))
		require.NoError(t, l.Reset(t.Context(), "r", inNetwork(202)))
		_, err := l.Apply(t.Context(), ratelimit.Change{Kind: 2, Rule: "r", Key: inNetwork(203), Cost: 5})
		require.NoError(t, err)
	}
	assert.Equal(t, 10, allowed)
}

// What a request has taken from a shared bucket is refunded there.
func TestRefundOfASharedBucket(t *testing.T) {
	outer := rule("outer", "5 per hour")
	l, _ := fullStore(t, outer, counting("free", "5 per hour", ratelimit.Failures))
	h := l.Handler(l.With(rule("inner", "1 per hour"))(answering(200)))
	for i := range 20 {
		codes(h, request(fmt.Sprintf("10.0.0.%d:1", 1+i)))
	}
	d, err := l.Peek(t.Context(), "outer", inNetwork(99))
	require.NoError(t, err)
	assert.True(t, d.Overflow)
	assert.Equal(t, int64(4), d.Remaining, "denied requests cost nothing")
	d, err = l.Peek(t.Context(), "free", inNetwork(99))
	require.NoError(t, err)
	assert.Equal(t, int64(5), d.Remaining, "responses that do not count")
}

// Overflow is reported when it begins, and again if it begins anew.
func TestOverflowIsReportedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, reported := fullStore(t, rule("r", "2 per day"))
		assert.Empty(t, *reported)
		want := `ratelimit: rule "r": the store has no room for new keys: they share a bucket; see Overflow and MaxKeys`
		for i := range 100 {
			take(t, l, "r", inNetwork(1+i), 1)
			time.Sleep(time.Minute)
		}
		assert.Equal(t, []string{want}, *reported)
		time.Sleep(time.Hour)
		take(t, l, "r", inNetwork(1), 1)
		assert.Equal(t, []string{want, want}, *reported)
	})
}
