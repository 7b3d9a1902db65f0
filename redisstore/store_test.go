package redisstore_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/redisstore"
	"github.com/ratelimit-go/ratelimit/redisstore/internal/redistest"
	"github.com/ratelimit-go/ratelimit/store"
	"github.com/ratelimit-go/ratelimit/storetest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	storetest.Run(t, storetest.Harness{
		New: func(t testing.TB) store.Store {
			return newStore(t, server.Client(), redisstore.Config{Prefix: prefix()})
		},
		Around:     inParallel,
		Resolution: 5 * time.Millisecond,
		Stall: func() func() {
			server.Pause()
			return server.Resume
		},
	})
}

func TestMistakes(t *testing.T) {
	for name, tc := range map[string]struct {
		client redis.UniversalClient
		cfg    redisstore.Config
		want   []string
	}{
		"no client":          {want: []string{"the client is nil"}},
		"nil client":         {client: (*redis.Client)(nil), want: []string{"the client is nil"}},
		"nil cluster client": {client: (*redis.ClusterClient)(nil), want: []string{"the client is nil"}},
		"nil ring":           {client: (*redis.Ring)(nil), want: []string{"the client is nil"}},
		"no deadline":        {client: redis.NewClient(&redis.Options{}), want: []string{"ContextTimeoutEnabled is false: want true"}},
		"no deadline (ring)": {client: redis.NewRing(&redis.RingOptions{}), want: []string{"ContextTimeoutEnabled is false: want true"}},
		"no deadline (cluster)": {
			client: redis.NewClusterClient(&redis.ClusterOptions{}),
			want:   []string{"ContextTimeoutEnabled is false: want true"},
		},
		"two mistakes": {
			client: redis.NewClient(&redis.Options{}), cfg: redisstore.Config{Prefix: "{a}"},
			want: []string{"ContextTimeoutEnabled is false", `Config.Prefix is "{a}": want at most 64 bytes without braces`},
		},
		"long prefix": {
			client: redis.NewClient(&redis.Options{ContextTimeoutEnabled: true}), cfg: redisstore.Config{Prefix: strings.Repeat("p", 65)},
			want: []string{"want at most 64 bytes without braces"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := redisstore.New(tc.client, tc.cfg)
			for _, want := range tc.want {
				require.ErrorContains(t, err, want)
			}
		})
	}
}

func TestNewSendsNothing(t *testing.T) {
	_, err := redisstore.New(redis.NewClient(&redis.Options{Addr: "192.0.2.1:1", ContextTimeoutEnabled: true}), redisstore.Config{})
	require.NoError(t, err)
}

func TestNames(t *testing.T) {
	server := redistest.Start(t)
	evil := "alice} \r\n{secret"
	for name, cfg := range map[string]redisstore.Config{
		"default": {}, "prefix": {Prefix: "shop"}, "secret": {Secret: []byte("s3cret")},
	} {
		t.Run(name, func(t *testing.T) {
			server.Do("flushall")
			s := newStore(t, server.Client(), cfg)
			ops := append(take(limit(t, "login", 0, "5 per minute"), evil, 1), take(limit(t, "LOGIN", 1, "20 per hour"), evil, 1)...)
			require.NoError(t, s.Apply(t.Context(), ops))
			keys, err := server.Client().Keys(t.Context(), "*").Result()
			require.NoError(t, err)
			require.Len(t, keys, 2)
			prefix := "rl"
			if cfg.Prefix != "" {
				prefix = cfg.Prefix
			}
			for _, key := range keys {
				assert.Regexp(t, `^(?s)`+prefix+`\{[^{}]{16}\}(login|LOGIN)$`, latin1(key))
			}
		})
	}
}

func TestSecretChangesNames(t *testing.T) {
	server := redistest.Start(t)
	l := limit(t, "r", 0, "5 per minute")
	for _, secret := range []string{"", "one", "two"} {
		ops := take(l, "alice", 1)
		require.NoError(t, newStore(t, server.Client(), redisstore.Config{Secret: []byte(secret)}).Apply(t.Context(), ops))
		assert.Equal(t, int64(4), ops[0].Result.Remaining)
	}
}

func TestBucketsExpireWhenFull(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	s := newStore(t, client, redisstore.Config{})
	ops := take(limit(t, "r", 0, "3 per hour"), "a", 2)
	require.NoError(t, s.Apply(t.Context(), ops))
	key := keysOf(t, client)[0]
	ttl := client.PTTL(t.Context(), key).Val()
	assert.Greater(t, ttl, ops[0].Result.ResetAfter-time.Second)
	assert.LessOrEqual(t, ttl, ops[0].Result.ResetAfter+2*time.Millisecond)

	ops[0].Kind = store.Reset
	require.NoError(t, s.Apply(t.Context(), ops))
	assert.Zero(t, client.DBSize(t.Context()).Val(), "a full bucket is kept")
}

func TestDenialsWriteNothing(t *testing.T) {
	server := redistest.Start(t)
	s := newStore(t, server.Client(), redisstore.Config{})
	l := limit(t, "r", 0, "1 per hour")
	require.NoError(t, s.Apply(t.Context(), take(l, "a", 1)))
	before := server.Calls()["set"]
	for range 3 {
		ops := take(l, "a", 1)
		require.NoError(t, s.Apply(t.Context(), ops))
		require.False(t, ops[0].Result.Allowed)
	}
	assert.Equal(t, before, server.Calls()["set"])
}

// A decision with several limits is one command. The text of the script is sent only to a server
// that does not know it.
func TestOneRoundTrip(t *testing.T) {
	server := redistest.Start(t)
	s := newStore(t, server.Client(), redisstore.Config{})
	pings := server.Calls()["ping"]
	decide := func() {
		var ops []store.Op
		for i, text := range []string{"10 per second", "100 per minute", "1000 per hour"} {
			ops = append(ops, take(limit(t, "r", i, text), "a", 1)...)
		}
		require.NoError(t, s.Apply(t.Context(), ops))
	}
	decide()
	before := server.Calls()
	assert.Equal(t, 1, before["eval"])
	for range 5 {
		decide()
	}
	after := server.Calls()
	assert.Equal(t, before["evalsha"]+5, after["evalsha"])
	assert.Equal(t, 1, after["eval"])
	assert.Equal(t, pings, after["ping"])

	server.Do("script", "flush")
	decide()
	assert.Equal(t, 2, server.Calls()["eval"])
}

func TestUnknownStateIsAnEmptyBucket(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	s := newStore(t, client, redisstore.Config{})
	l := limit(t, "r", 0, "2 per hour")
	require.NoError(t, s.Apply(t.Context(), take(l, "a", 1)))
	key := keysOf(t, client)[0]
	good := client.Get(t.Context(), key).Val()
	for name, state := range map[string]string{
		"nothing": "", "text": "17", "a later version": "\x02" + good[1:], "longer": good + "x", "zeros": strings.Repeat("\x00", 25),
		"not numbers": "\x01" + strings.Repeat("\xff", 24),
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, client.Set(t.Context(), key, state, 0).Err())
			ops := take(l, "a", 1)
			require.NoError(t, s.Apply(t.Context(), ops))
			assert.False(t, ops[0].Result.Allowed)
			assert.InDelta(t, (30 * time.Minute).Seconds(), ops[0].Result.RetryAfter.Seconds(), 5)
			assert.Positive(t, client.PTTL(t.Context(), key).Val(), "it must fill again")
		})
	}
}

func TestCanceledContext(t *testing.T) {
	s := newStore(t, redistest.Start(t).Client(), redisstore.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.Apply(ctx, take(limit(t, "r", 0, "1 per hour"), "a", 1)), context.Canceled)
	ops := take(limit(t, "r", 0, "1 per hour"), "a", 1)
	require.NoError(t, s.Apply(t.Context(), ops))
	assert.True(t, ops[0].Result.Allowed, "the canceled take was charged")
}
