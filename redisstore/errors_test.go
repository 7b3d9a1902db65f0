package redisstore_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/redisstore"
	"github.com/ratelimit-go/ratelimit/redisstore/internal/redistest"
	"github.com/ratelimit-go/ratelimit/store"
)

func TestReasons(t *testing.T) {
	l := limit(t, "r", 0, "5 per minute")
	apply := func(client redis.UniversalClient) error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		return newStore(t, client, redisstore.Config{}).Apply(ctx, take(l, "a", 1))
	}
	t.Run("timeout", func(t *testing.T) {
		server := redistest.Start(t)
		client := server.Client()
		require.NoError(t, apply(client))
		server.Pause()
		begin := time.Now()
		wantReason(t, apply(client), store.ReasonTimeout)
		assert.Less(t, time.Since(begin), 2500*time.Millisecond, "its own timeout is three seconds")
		server.Resume()
		require.Eventually(t, func() bool { return apply(client) == nil }, 5*time.Second, 10*time.Millisecond)
	})
	t.Run("connect", func(t *testing.T) {
		server := redistest.Start(t)
		client := server.Client()
		require.NoError(t, apply(client))
		server.Kill()
		wantReason(t, apply(client), store.ReasonConnect)
		server.Restart()
		require.Eventually(t, func() bool { return apply(client) == nil }, 5*time.Second, 10*time.Millisecond)
	})
	t.Run("readonly", func(t *testing.T) {
		wantReason(t, apply(redistest.Start(t).StartReplica().Client()), store.ReasonReadOnly)
	})
	t.Run("memory", func(t *testing.T) {
		server := redistest.Start(t, "--maxmemory", "1", "--maxmemory-policy", "noeviction")
		wantReason(t, apply(server.Client()), store.ReasonMemory)
	})
	t.Run("auth", func(t *testing.T) {
		wantReason(t, apply(redistest.Start(t, "--requirepass", "x").Client()), store.ReasonAuth)
	})
	t.Run("script", func(t *testing.T) {
		server := redistest.Start(t)
		client := server.Client()
		require.NoError(t, apply(client))
		key := keysOf(t, client)[0]
		server.Do("del", key)
		server.Do("lpush", key, "a list of another program")
		wantReason(t, apply(client), store.ReasonScript)
	})
	t.Run("cluster", func(t *testing.T) {
		wantReason(t, apply(redistest.Start(t, "--cluster-enabled", "yes").Client()), store.ReasonCluster)
	})
}
