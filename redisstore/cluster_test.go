package redisstore_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/redisstore"
	"github.com/ratelimit-go/ratelimit/redisstore/internal/redistest"
	"github.com/ratelimit-go/ratelimit/store"
)

func TestCluster(t *testing.T) {
	t.Parallel()
	nodes := redistest.StartCluster(t, 3)
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{nodes[0].Addr()}, ContextTimeoutEnabled: true})
	defer client.Close()
	s := newStore(t, client, redisstore.Config{})
	testShards(t, s)
	testShardedLeases(t, s)
	for _, s := range nodes {
		assert.Positive(t, s.Calls()["evalsha"], "no script was sent to a node")
	}
}

func TestRing(t *testing.T) {
	client := redis.NewRing(&redis.RingOptions{
		Addrs:                 map[string]string{"a": redistest.Start(t).Addr(), "b": redistest.Start(t).Addr()},
		ContextTimeoutEnabled: true,
	})
	defer client.Close()
	testShards(t, newStore(t, client, redisstore.Config{}))
}

// If a server hangs until the deadline, what another server has charged is refunded.
func TestRingWithAServerThatHangs(t *testing.T) {
	t.Parallel()
	well, hangs := redistest.Start(t), redistest.Start(t)
	client := redis.NewRing(&redis.RingOptions{
		Addrs:                 map[string]string{"a": well.Addr(), "b": hangs.Addr()},
		ContextTimeoutEnabled: true,
		HeartbeatFrequency:    time.Hour, // otherwise the client would leave out the server that hangs
	})
	defer client.Close()
	s, l := newStore(t, client, redisstore.Config{}), limit(t, "r", 0, "100 per day")
	place := map[bool]string{} // a user on each server
	for i := 0; len(place) < 2; i++ {
		user, before := fmt.Sprint("u", i), well.Calls()["evalsha"]
		require.NoError(t, s.Apply(t.Context(), take(l, user, 1)))
		place[well.Calls()["evalsha"] > before] = user
	}
	hangs.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	require.Error(t, s.Apply(ctx, append(take(l, place[true], 10), take(l, place[false], 10)...)))
	ops := take(l, place[true], 0)
	require.NoError(t, s.Apply(t.Context(), ops))
	assert.EqualValues(t, 99, ops[0].Result.Remaining)
	hangs.Resume()
}

// testShards decides batches on keys of different servers.
func testShards(t *testing.T, s *redisstore.Store) {
	user, addr := limit(t, "user", 0, "5 per hour"), limit(t, "addr", 0, "3 per hour")
	batch := func(i int, kinds ...store.Kind) []store.Op {
		ops := append(take(user, fmt.Sprint("u", i), 1), take(addr, fmt.Sprint("a", i), 1)...)
		ops = append(ops, take(limit(t, "user", 1, "4 per hour"), fmt.Sprint("u", i), 1)...)
		for j, kind := range kinds {
			ops[j].Kind = kind
		}
		require.NoError(t, s.Apply(t.Context(), ops))
		return ops
	}
	left := func(ops []store.Op) []int64 {
		var n []int64
		for _, op := range ops {
			n = append(n, op.Result.Remaining)
		}
		return n
	}
	for i := range 20 {
		for n := range int64(3) {
			ops := batch(i)
			require.True(t, ops[0].Result.Allowed && ops[1].Result.Allowed && ops[2].Result.Allowed)
			require.Equal(t, []int64{4 - n, 2 - n, 3 - n}, left(ops))
		}
		ops := batch(i)
		assert.True(t, ops[0].Result.Allowed)
		assert.False(t, ops[1].Result.Allowed)
		assert.Positive(t, ops[1].Result.RetryAfter)
		assert.True(t, ops[2].Result.Allowed)
		require.Equal(t, []int64{2, 0, 1}, left(ops), "what the first key paid must be refunded")

		// If a take is denied, a reset in its batch is not done.
		ops = batch(i, store.Reset, store.Take, store.Refund)
		require.Equal(t, []int64{2, 0, 1}, left(ops))
		ops = batch(i, store.Refund, store.Refund, store.Refund)
		require.Equal(t, []int64{3, 1, 2}, left(ops))
		ops = batch(i, store.Reset, store.Reset, store.Reset)
		require.Equal(t, []int64{5, 3, 4}, left(ops))
	}
}

// testShardedLeases acquires leases on keys of different servers, all or none per batch.
func testShardedLeases(t *testing.T, s *redisstore.Store) {
	batch := func(request byte, user string) []store.Lease {
		var leases []store.Lease
		for _, e := range []struct{ rule, key string }{{"user", user}, {"all", "everybody"}, {"user-day", user}} {
			id, k := [16]byte{request}, ratelimit.UserKey(e.key)
			leases = append(leases, store.Lease{Rule: e.rule, Key: k, ID: id, Max: 10, TTL: time.Minute})
		}
		return leases
	}
	for i := range byte(20) {
		leases := batch(i, fmt.Sprint("u", i))
		require.NoError(t, s.Lease(t.Context(), store.Acquire, leases))
		require.Equal(t, []bool{true, i < 10, true}, []bool{leases[0].Granted, leases[1].Granted, leases[2].Granted})
	}
	for i := range byte(20) {
		leases := batch(i, fmt.Sprint("u", i))
		require.NoError(t, s.Lease(t.Context(), store.Release, leases))
		held := i < 10 // the other requests hold nothing
		require.Equal(t, []bool{held, held, held}, []bool{leases[0].Granted, leases[1].Granted, leases[2].Granted})
	}
}
