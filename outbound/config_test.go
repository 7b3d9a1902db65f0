package outbound_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/outbound"
)

// New reports all mistakes at once.
func TestMistakes(t *testing.T) {
	l := newBudgets(t, "own", "1 per second")
	_, err := outbound.New(outbound.Config{
		MaxWait: 366 * 24 * time.Hour, MaxPause: time.Millisecond, MaxWaiting: -1, MaxKeys: 1_000_001, MaxRetries: 11,
		Rules: []outbound.Rule{{Limiter: l, Budget: "own"}, {Budget: "own"}, {Limiter: l, Budget: "other"}},
	})
	require.Error(t, err)
	assert.Equal(t, []string{
		"outbound: MaxWait: 8784h0m0s: want 1ms to a year, 0 for a minute, or less than 0 for no wait",
		"outbound: MaxPause: 1ms: want a second to a year, or 0 for 24 hours",
		"outbound: MaxWaiting: -1: want a positive number, or 0 for 1000",
		"outbound: MaxKeys: 1000001: want 1 to 1000000, or 0 for 10000",
		"outbound: MaxRetries: 11: want at most 10, or 0 for 2",
		"outbound: Rules[1].Limiter: nil: want a limiter with the budget",
	}, strings.Split(err.Error(), "\n")[:6])
	assert.ErrorContains(t, err, `outbound: Rules[2].Budget: "other": want the name of a budget`)
	assert.ErrorIs(t, err, ratelimit.ErrNoRule)
}

// A number without a unit is nanoseconds, so that no request would wait. Negative says that.
func TestMaxWaitWithoutAUnit(t *testing.T) {
	_, err := outbound.New(outbound.Config{MaxWait: 30})
	assert.EqualError(t, err,
		"outbound: MaxWait: 30ns: want 1ms to a year, 0 for a minute, or less than 0 for no wait")
	for _, wait := range []time.Duration{-1, 0, time.Millisecond} {
		_, err := outbound.New(outbound.Config{MaxWait: wait})
		assert.NoError(t, err, wait)
	}
}

// The zero Config is valid.
func TestZeroConfig(t *testing.T) {
	_, err := outbound.New(outbound.Config{})
	assert.NoError(t, err)
}

func TestWaitErrorText(t *testing.T) {
	e := &outbound.WaitError{Key: "https://api.test", Budget: "own"}
	assert.EqualError(t, e, `outbound: request to "https://api.test" not sent: budget "own": waiting does not help`)
	e = &outbound.WaitError{Key: "https://api.test", Until: time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)}
	assert.EqualError(t, e, `outbound: request to "https://api.test" not sent: would wait until 2026-11-27T12:00:00Z`)
}
