package ratelimit_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/clientip"
)

func TestLimitWithoutAKey(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{ClientIP: clientip.ForwardedFor(clientip.TrustedHops(1))})
	h := l.Limit("1 per hour")(ok)
	first, second := with("X-Forwarded-For", "203.0.113.1"), with("X-Forwarded-For", "203.0.113.2")
	assert.Equal(t, []int{200, 429, 200, 429}, codes(h, first, first, second, second), "by Config.ClientIP")
	assert.Equal(t, []int{200, 200}, codes(l.Limit("1 per hour")(ok), first, second), "each call of Limit is one budget")
}

func TestLimitWithOneKey(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{})
	h := l.Limit("1/hour; 5 per day", ratelimit.ByUser(field("User")))(ok)
	alice, bob := with("User", "alice"), with("User", "bob")
	assert.Equal(t, []int{200, 200, 429, 429}, codes(h, alice, bob, alice, bob))
	d, err := l.Peek(t.Context(), "1 per hour; 5 per day", ratelimit.UserKey("alice"))
	require.NoError(t, err)
	assert.False(t, d.Allowed, "the rule has the limits as its name")
	again := l.Limit("1 per hour; 5 per day", ratelimit.ByClientIP())(ok)
	assert.Equal(t, []int{200, 429}, codes(again, alice, bob))
	_, err = l.Peek(t.Context(), "1 per hour; 5 per day #2", client())
	require.NoError(t, err)
}

func TestLimitMistakes(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{})
	assert.PanicsWithValue(t, "ratelimit: Limit: 2 keys: want one that is not nil: see AllOf and FirstOf", func() {
		l.Limit("1 per hour", ratelimit.ByClientIP(), ratelimit.ByPattern())
	})
	unknown := `ratelimit: limit "1 per fortnight", offset 6: unknown unit "fortnight"; use second, minute, hour, day, week, month or year`
	assert.PanicsWithValue(t, unknown, func() { l.Limit("1 per fortnight") })
	assert.PanicsWithValue(t, "ratelimit: With[0].Key: ByUser(nil): want a function", func() {
		l.Limit("1 per hour", ratelimit.ByUser(nil))
	})
	assert.Panics(t, func() { l.Limit("") })
}
