package redisstore_test

import (
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/redisstore"
	"github.com/ratelimit-go/ratelimit/store"
)

// ratelimit.New finds limits that this store cannot hold. It needs no server for that.
func TestLimitsThatRedisCannotHold(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", ContextTimeoutEnabled: true})
	t.Cleanup(func() { assert.NoError(t, client.Close()) })
	s, err := redisstore.New(client, redisstore.Config{})
	require.NoError(t, err)
	require.Implements(t, (*store.Checker)(nil), s)

	limit, err := store.NewLimit("r", 0, 1<<20, 1, 1<<48)
	require.NoError(t, err)
	large, err := store.NewLimit("r", 0, 1<<20, 1, 1<<48+1)
	require.NoError(t, err)
	many := make([]*store.Limit, 512)
	for i := range many {
		many[i] = limit
	}
	assert.NoError(t, s.Check(many))
	assert.EqualError(t, s.Check(append(many, limit)), "store: invalid op: redisstore: a batch of 513: want at most 512")
	assert.ErrorContains(t, s.Check([]*store.Limit{limit, large}), `ops[1] (rule "r"): redisstore: a bucket of 281474976710657`)

	_, err = ratelimit.New(ratelimit.Config{
		Store: s, OnStoreFailure: ratelimit.FailOpen,
		Rules: []ratelimit.Rule{{Name: "r", Limits: ratelimit.Limits{{Count: 1 << 20, Period: 1, Burst: 1<<48 + 1}}}},
	})
	assert.ErrorContains(t, err, "ratelimit: Rules: store: invalid op: ")
}
