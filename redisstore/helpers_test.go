package redisstore_test

import (
	"encoding/binary"
	"math"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/redisstore"
)

func newStore(t testing.TB, client redis.UniversalClient, cfg redisstore.Config) *redisstore.Store {
	t.Helper()
	s, err := redisstore.New(client, cfg)
	require.NoError(t, err)
	return s
}

func limit(t testing.TB, rule string, index int, text string) *ratelimit.NamedLimit {
	t.Helper()
	l, err := ratelimit.NameLimit(rule, index, ratelimit.MustParse(text)[0])
	require.NoError(t, err)
	return l
}

func take(l *ratelimit.NamedLimit, user string, n int64) []ratelimit.Op {
	return []ratelimit.Op{{Limit: l, Key: ratelimit.UserKey(user), Cost: n}}
}

// setFullAgain changes the instant at which the bucket under key is full.
func setFullAgain(t testing.TB, client *redis.Client, key string, at time.Time) {
	t.Helper()
	state := []byte(client.Get(t.Context(), key).Val())
	require.Len(t, state, 25)
	binary.BigEndian.PutUint64(state[1:], math.Float64bits(float64(at.UnixMicro())))
	require.NoError(t, client.Set(t.Context(), key, state, time.Hour).Err())
}
