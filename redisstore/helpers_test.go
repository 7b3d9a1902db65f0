package redisstore_test

import (
	"fmt"
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

// setFullAgain changes the instant from which on the bucket under key is owed its tokens.
func setFullAgain(t testing.TB, client *redis.Client, key string, at time.Time) {
	t.Helper()
	state := client.Get(t.Context(), key).Val()
	require.Greater(t, len(state), 16)
	require.NoError(t, client.Set(t.Context(), key, fmt.Sprint(at.UnixMicro())+state[16:], time.Hour).Err())
}

// latin1 makes a letter of each byte of s.
func latin1(s string) string {
	r := make([]rune, len(s))
	for i := range len(s) {
		r[i] = rune(s[i])
	}
	return string(r)
}
