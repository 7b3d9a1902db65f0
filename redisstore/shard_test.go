package redisstore

import (
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/redisstore/internal/redistest"
)

// The slots follow the specification of Redis Cluster.
func TestSlotOf(t *testing.T) {
	for name, want := range map[string]uint16{
		"123456789": 0x31C3 & 0x3fff, "foo": 12182, "{foo}bar": 12182, "a{foo}": 12182, "somekey": 11058,
	} {
		assert.Equal(t, want, slotOf(name), name)
	}
}

func TestShardIsNamedIfThereAreSeveral(t *testing.T) {
	key := ratelimit.UserKey("a")
	server := redistest.Start(t)
	one, err := New(server.Client(), Config{})
	require.NoError(t, err)
	assert.Empty(t, one.Shard(key))
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": server.Addr()}, ContextTimeoutEnabled: true})
	defer ring.Close()
	s, err := New(ring, Config{})
	require.NoError(t, err)
	assert.Equal(t, server.Addr(), s.Shard(key))
	cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{server.Addr()}, ContextTimeoutEnabled: true})
	defer cluster.Close()
	s, err = New(cluster, Config{})
	require.NoError(t, err)
	assert.Regexp(t, `^slots \d+\+$`, s.Shard(key), "the client has not asked for the owners of the slots")
	unknown, err := New(struct{ redis.UniversalClient }{server.Client()}, Config{})
	require.NoError(t, err)
	assert.Regexp(t, `^slots \d+\+$`, unknown.Shard(key))
}
