package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/store"
)

// A bucket is idle from the instant at which it is full again. Before, Idle is negative.
func TestIdle(t *testing.T) {
	l, err := store.NewLimit("r", 0, 1, time.Minute, 0)
	require.NoError(t, err)
	var b store.Bucket
	require.True(t, b.Apply(&store.Op{Limit: l, Cost: 1}, time.Hour))
	for now, want := range map[time.Duration]time.Duration{60: 0, 61: time.Second, 90: 30 * time.Second} {
		assert.Equal(t, want, b.Idle(time.Hour+now*time.Second))
		assert.True(t, b.Full(time.Hour+now*time.Second))
	}
	for _, now := range []time.Duration{0, 59 * time.Second, time.Minute - 1} {
		assert.Negative(t, b.Idle(time.Hour+now))
		assert.False(t, b.Full(time.Hour+now))
	}
}

func TestNamesOfLeaseKinds(t *testing.T) {
	assert.Equal(t, "Acquire", store.Acquire.String())
	assert.Equal(t, "Renew", store.Renew.String())
	assert.Equal(t, "Release", store.Release.String())
	assert.Equal(t, "LeaseKind(3)", store.LeaseKind(3).String())
}

func TestBoundsOfLeases(t *testing.T) {
	good := store.Lease{Rule: "r", Key: alice, Max: 1, TTL: time.Millisecond}
	require.NoError(t, store.CheckLeases(store.Acquire, []store.Lease{good}))
	for _, change := range []func(l *store.Lease){
		func(l *store.Lease) { l.Max = 0 }, func(l *store.Lease) { l.TTL = time.Millisecond - 1 },
		func(l *store.Lease) { l.Key = store.Key{} },
	} {
		bad := good
		change(&bad)
		require.ErrorIs(t, store.CheckLeases(store.Acquire, []store.Lease{good, bad}), store.ErrInvalidOp)
	}
}
