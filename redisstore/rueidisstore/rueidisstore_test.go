package rueidisstore_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/redisstore"
	"github.com/ratelimit-go/ratelimit/redisstore/internal/redistest"
	"github.com/ratelimit-go/ratelimit/redisstore/rueidisstore"
	"github.com/ratelimit-go/ratelimit/storetest"
)

// newStore has one connection, so that what a test does to it is done to the next decision.
func newStore(t testing.TB, addr string) *redisstore.Store {
	t.Helper()
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{addr}, DisableCache: true, PipelineMultiplex: -1, Dialer: net.Dialer{Timeout: time.Second}})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	store, err := rueidisstore.New(client, redisstore.Config{})
	require.NoError(t, err)
	return store
}

func take(t testing.TB, user, limit string) []ratelimit.Op {
	t.Helper()
	l, err := ratelimit.NameLimit("r", 0, ratelimit.MustParse(limit)[0])
	require.NoError(t, err)
	return []ratelimit.Op{{Limit: l, Key: ratelimit.UserKey(user), Cost: 1}}
}

func TestConformance(t *testing.T) {
	server := redistest.Start(t)
	storetest.Run(t, storetest.Harness{
		New: func(t testing.TB) ratelimit.Store {
			server.Do("flushall")
			return newStore(t, server.Addr())
		},
		Resolution: 5 * time.Millisecond,
	})
}

func TestMistakes(t *testing.T) {
	_, err := rueidisstore.New(nil, redisstore.Config{})
	require.ErrorContains(t, err, "the client is nil")
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{redistest.Start(t).Addr()}, DisableCache: true})
	require.NoError(t, err)
	defer client.Close()
	_, err = rueidisstore.New(client, redisstore.Config{Prefix: "{"})
	require.ErrorContains(t, err, "Config.Prefix")
}

// One decision is one command, and the script is sent only to a server that does not know it.
func TestOneRoundTrip(t *testing.T) {
	server := redistest.Start(t)
	store := newStore(t, server.Addr())
	for range 5 {
		require.NoError(t, store.Apply(t.Context(), take(t, "a", "100 per hour")))
	}
	assert.Equal(t, 1, server.Calls()["eval"])
	assert.Equal(t, 5, server.Calls()["evalsha"])
	server.Do("script", "flush")
	require.NoError(t, store.Apply(t.Context(), take(t, "a", "100 per hour")))
	assert.Equal(t, 2, server.Calls()["eval"])
}

// Both clients name keys alike, and so share limits.
func TestClientsShareLimits(t *testing.T) {
	server := redistest.Start(t)
	other, err := redisstore.New(server.Client(), redisstore.Config{})
	require.NoError(t, err)
	for i, store := range []ratelimit.Store{other, newStore(t, server.Addr()), other} {
		ops := take(t, "a", "5 per hour")
		require.NoError(t, store.Apply(t.Context(), ops))
		assert.Equal(t, int64(4-i), ops[0].Result.Remaining)
	}
}

func wantReason(t *testing.T, err error, want ratelimit.FailureReason) {
	t.Helper()
	var e *redisstore.Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, want, e.Reason, "%v", err)
}

func TestReasons(t *testing.T) {
	ask := func(store *redisstore.Store) error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		return store.Apply(ctx, take(t, "a", "5 per hour"))
	}
	t.Run("timeout", func(t *testing.T) {
		server := redistest.Start(t)
		store := newStore(t, server.Addr())
		require.NoError(t, ask(store))
		server.Pause()
		begin := time.Now()
		wantReason(t, ask(store), ratelimit.FailureTimeout)
		assert.Less(t, time.Since(begin), 5*time.Second)
		server.Resume()
		require.Eventually(t, func() bool { return ask(store) == nil }, 5*time.Second, 10*time.Millisecond)
	})
	t.Run("connect", func(t *testing.T) {
		server := redistest.Start(t)
		store := newStore(t, server.Addr())
		require.NoError(t, ask(store))
		server.Kill()
		require.Error(t, ask(store))
		wantReason(t, ask(store), ratelimit.FailureConnect)
		server.Restart()
		require.Eventually(t, func() bool { return ask(store) == nil }, 5*time.Second, 10*time.Millisecond)
	})
	t.Run("readonly", func(t *testing.T) {
		wantReason(t, ask(newStore(t, redistest.Start(t).StartReplica().Addr())), ratelimit.FailureReadOnly)
	})
	t.Run("memory", func(t *testing.T) {
		server := redistest.Start(t, "--maxmemory", "1", "--maxmemory-policy", "noeviction")
		wantReason(t, ask(newStore(t, server.Addr())), ratelimit.FailureMemory)
	})
	t.Run("script", func(t *testing.T) {
		server := redistest.Start(t)
		store := newStore(t, server.Addr())
		require.NoError(t, ask(store))
		key := server.Client().Keys(t.Context(), "*").Val()[0]
		server.Do("del", key)
		server.Do("lpush", key, "a list of somebody else's")
		wantReason(t, ask(store), ratelimit.FailureScript)
	})
}

// A take whose answer is lost is charged once, and not sent again.
func TestLostAnswerIsNotRetried(t *testing.T) {
	server := redistest.Start(t)
	var lose atomic.Bool
	store := newStore(t, proxy(t, server.Addr(), &lose))
	require.NoError(t, store.Apply(t.Context(), take(t, "a", "10 per hour")))
	lose.Store(true)
	wantReason(t, store.Apply(t.Context(), take(t, "a", "10 per hour")), ratelimit.FailureConnect)
	ops := take(t, "a", "10 per hour")
	require.NoError(t, store.Apply(t.Context(), ops))
	assert.Equal(t, int64(7), ops[0].Result.Remaining)
}

// proxy cuts a connection instead of passing on the next answer when lose is set.
func proxy(t *testing.T, server string, lose *atomic.Bool) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", server)
			if err != nil {
				_ = client.Close()
				continue
			}
			go func() { _, _ = io.Copy(up, client); _ = up.Close() }()
			go func() {
				defer client.Close()
				defer up.Close()
				buf := make([]byte, 64<<10)
				for {
					n, err := up.Read(buf)
					if err != nil || lose.CompareAndSwap(true, false) {
						return
					}
					if _, err := client.Write(buf[:n]); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

func TestCluster(t *testing.T) {
	nodes := redistest.StartCluster(t, 3)
	store := newStore(t, nodes[0].Addr())
	for i := range 20 {
		user, tenant := fmt.Sprint("u", i), fmt.Sprint("t", i)
		for n := range int64(3) {
			ops := append(take(t, user, "5 per hour"), take(t, tenant, "3 per hour")...)
			require.NoError(t, store.Apply(t.Context(), ops))
			require.Equal(t, []int64{4 - n, 2 - n}, []int64{ops[0].Result.Remaining, ops[1].Result.Remaining})
		}
		ops := append(take(t, user, "5 per hour"), take(t, tenant, "3 per hour")...)
		require.NoError(t, store.Apply(t.Context(), ops))
		assert.False(t, ops[1].Result.Allowed)
		assert.Equal(t, int64(2), ops[0].Result.Remaining, "what the first key paid must be given back")
	}
	for _, s := range nodes {
		assert.Positive(t, s.Calls()["evalsha"], "a node was never asked")
	}
}
