package redisstore_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/redisstore"
	"github.com/ratelimit-go/ratelimit/redisstore/internal/redistest"
)

// Two instances on one server count violations together. They block a key once, twice as long each
// time, and know of each other's blocks.
func TestBlockInRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	var mu sync.Mutex
	var blocked []time.Duration // how long each block lasts
	var fleet [2]*ratelimit.Limiter
	for i := range fleet {
		l, err := ratelimit.New(ratelimit.Config{
			Rules: []ratelimit.Rule{{
				Name: "p", Limits: ratelimit.MustParse("5 per second"), Key: ratelimit.ByClientIP(),
				Block: &ratelimit.Block{After: ratelimit.Per(20, time.Hour), For: 2 * time.Second, Max: time.Hour, Forget: time.Hour},
			}},
			Store: newStore(t, server.Client(), redisstore.Config{}), StoreTimeout: 10 * time.Second, OnStoreFailure: ratelimit.FailClosed,
			Hooks: ratelimit.Hooks{
				Error: func(_ context.Context, err error) { t.Error(err) },
				Blocked: func(_ context.Context, b ratelimit.Blocked) {
					mu.Lock()
					defer mu.Unlock()
					assert.Len(t, blocked, b.Times-1)
					blocked = append(blocked, time.Until(b.Until))
				},
			},
		})
		require.NoError(t, err)
		fleet[i] = l
	}
	mallory := ratelimit.UserKey("mallory")
	peek := func(l *ratelimit.Limiter) ratelimit.Decision {
		d, err := l.Peek(t.Context(), "p", mallory)
		require.NoError(t, err)
		return d
	}
	for i, most := range []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second} {
		var wg sync.WaitGroup
		for n := range 40 {
			wg.Go(func() {
				_, err := fleet[n%2].Take(t.Context(), "p", mallory, 6)
				assert.NoError(t, err)
			})
		}
		wg.Wait()
		require.Len(t, blocked, i+1)
		require.LessOrEqual(t, blocked[i], most)
		require.Greater(t, blocked[i], most/2, "twice as long each time")
		for _, l := range fleet {
			d := peek(l)
			require.Equal(t, ratelimit.ReasonBlocked, d.Reason)
			require.LessOrEqual(t, d.RetryAfter, most)
			require.Positive(t, d.RetryAfter)
		}
		if i < 2 {
			time.Sleep(peek(fleet[0]).RetryAfter)
			require.True(t, peek(fleet[0]).Allowed, "after RetryAfter")
		}
	}
	require.NoError(t, fleet[0].Unblock(t.Context(), "p", mallory))
	assert.True(t, peek(fleet[0]).Allowed)
	assert.Empty(t, server.Client().Keys(t.Context(), "*block*").Val(), "nothing is left in Redis")
	require.NoError(t, fleet[0].Block(t.Context(), "p", mallory, 365*24*time.Hour))
	keys := server.Client().Keys(t.Context(), "*block*").Val()
	require.Len(t, keys, 1)
	assert.InDelta(t, 365*24, server.Client().TTL(t.Context(), keys[0]).Val().Hours(), 1)
}
