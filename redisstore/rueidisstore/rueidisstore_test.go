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
	"github.com/ratelimit-go/ratelimit/store"
	"github.com/ratelimit-go/ratelimit/storetest"
)

// newStore returns a store with one connection, so a test knows which connection the next decision
// uses.
func newStore(t testing.TB, addr, prefix string) *redisstore.Store {
	t.Helper()
	client, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{addr}, DisableCache: true, PipelineMultiplex: -1, Dialer: net.Dialer{Timeout: time.Second},
	})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	s, err := rueidisstore.New(client, redisstore.Config{Prefix: prefix})
	require.NoError(t, err)
	return s
}

func take(t testing.TB, user, limit string) []store.Op {
	t.Helper()
	n := ratelimit.MustParse(limit)[0]
	l, err := store.NewLimit("r", 0, n.Count, n.Period, n.Burst)
	require.NoError(t, err)
	return []store.Op{{Limit: l, Key: ratelimit.UserKey(user), Cost: 1}}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	var stores atomic.Int64 // each with a prefix of its own
	storetest.Run(t, storetest.Harness{
		New: func(t testing.TB) store.Store {
			return newStore(t, server.Addr(), fmt.Sprint("s", stores.Add(1)))
		},
		// Most cases wait.
		Around:     func(t *testing.T, f func(t *testing.T)) { t.Parallel(); f(t) },
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

// A decision is one command. The text of the script is sent only to a server that does not know it.
func TestOneRoundTrip(t *testing.T) {
	server := redistest.Start(t)
	s := newStore(t, server.Addr(), "")
	for range 5 {
		require.NoError(t, s.Apply(t.Context(), take(t, "a", "100 per hour")))
	}
	assert.Equal(t, 1, server.Calls()["eval"])
	assert.Equal(t, 5, server.Calls()["evalsha"])
	server.Do("script", "flush")
	require.NoError(t, s.Apply(t.Context(), take(t, "a", "100 per hour")))
	assert.Equal(t, 2, server.Calls()["eval"])
}

// Both clients use the same names of keys, so they share limits.
func TestClientsShareLimits(t *testing.T) {
	server := redistest.Start(t)
	other, err := redisstore.New(server.Client(), redisstore.Config{})
	require.NoError(t, err)
	for i, s := range []store.Store{other, newStore(t, server.Addr(), ""), other} {
		ops := take(t, "a", "5 per hour")
		require.NoError(t, s.Apply(t.Context(), ops))
		assert.Equal(t, int64(4-i), ops[0].Result.Remaining)
	}
}

func wantReason(t *testing.T, err error, want store.Reason) {
	t.Helper()
	var e *redisstore.Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, want, e.Reason, "%v", err)
}

func TestReasons(t *testing.T) {
	t.Parallel()
	apply := func(s *redisstore.Store) error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		return s.Apply(ctx, take(t, "a", "5 per hour"))
	}
	t.Run("timeout", func(t *testing.T) {
		server := redistest.Start(t)
		s := newStore(t, server.Addr(), "")
		require.NoError(t, apply(s))
		server.Pause()
		begin := time.Now()
		wantReason(t, apply(s), store.ReasonTimeout)
		assert.Less(t, time.Since(begin), 5*time.Second)
		server.Resume()
		require.Eventually(t, func() bool { return apply(s) == nil }, 5*time.Second, 10*time.Millisecond)
	})
	t.Run("connect", func(t *testing.T) {
		server := redistest.Start(t)
		s := newStore(t, server.Addr(), "")
		require.NoError(t, apply(s))
		server.Kill()
		require.Error(t, apply(s))
		wantReason(t, apply(s), store.ReasonConnect)
		server.Restart()
		require.Eventually(t, func() bool { return apply(s) == nil }, 5*time.Second, 10*time.Millisecond)
	})
	t.Run("readonly", func(t *testing.T) {
		wantReason(t, apply(newStore(t, redistest.Start(t).StartReplica().Addr(), "")), store.ReasonReadOnly)
	})
	t.Run("memory", func(t *testing.T) {
		server := redistest.Start(t, "--maxmemory", "1", "--maxmemory-policy", "noeviction")
		wantReason(t, apply(newStore(t, server.Addr(), "")), store.ReasonMemory)
	})
	t.Run("key", func(t *testing.T) {
		server := redistest.Start(t)
		s := newStore(t, server.Addr(), "")
		require.NoError(t, apply(s))
		key := server.Client().Keys(t.Context(), "*").Val()[0]
		server.Do("del", key)
		server.Do("lpush", key, "a list of another program")
		wantReason(t, apply(s), store.ReasonKey)
	})
}

// A take whose answer is lost is charged once and not retried.
func TestLostAnswerIsNotRetried(t *testing.T) {
	server := redistest.Start(t)
	var lose atomic.Bool
	s := newStore(t, proxy(t, server.Addr(), &lose), "")
	require.NoError(t, s.Apply(t.Context(), take(t, "a", "10 per hour")))
	lose.Store(true)
	wantReason(t, s.Apply(t.Context(), take(t, "a", "10 per hour")), store.ReasonConnect)
	ops := take(t, "a", "10 per hour")
	require.NoError(t, s.Apply(t.Context(), ops))
	assert.Equal(t, int64(7), ops[0].Result.Remaining)
}

// proxy starts a proxy and returns its address. If lose is set, the proxy cuts the connection
// instead of passing on the next answer.
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
	t.Parallel()
	nodes := redistest.StartCluster(t, 3)
	s := newStore(t, nodes[0].Addr(), "")
	for i := range 20 {
		user, tenant := fmt.Sprint("u", i), fmt.Sprint("t", i)
		for n := range int64(3) {
			ops := append(take(t, user, "5 per hour"), take(t, tenant, "3 per hour")...)
			require.NoError(t, s.Apply(t.Context(), ops))
			require.Equal(t, []int64{4 - n, 2 - n}, []int64{ops[0].Result.Remaining, ops[1].Result.Remaining})
		}
		ops := append(take(t, user, "5 per hour"), take(t, tenant, "3 per hour")...)
		require.NoError(t, s.Apply(t.Context(), ops))
		assert.False(t, ops[1].Result.Allowed)
		assert.Equal(t, int64(2), ops[0].Result.Remaining, "what the first key paid must be refunded")
	}
	for _, s := range nodes {
		assert.Positive(t, s.Calls()["evalsha"], "no script was sent to a node")
	}
}

// A name is pointed to another server, and the old one becomes its replica and keeps its
// connections.
func TestNameIsPointedElsewhere(t *testing.T) {
	old, next := redistest.Start(t), redistest.Start(t)
	route := redistest.NewRoute(t, old.Addr())
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{route.Addr()}, DisableCache: true})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	s, err := rueidisstore.New(client, redisstore.Config{})
	require.NoError(t, err)
	ask := func(row int) error {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		return s.Apply(ctx, take(t, fmt.Sprint(row), "1000 per hour"))
	}
	for row := range 100 {
		require.NoError(t, ask(row))
	}
	host, port, _ := net.SplitHostPort(next.Addr())
	old.Do("replicaof", host, port)
	route.To(next.Addr())
	wantReason(t, ask(0), store.ReasonReadOnly)
	begin, first, row := time.Now(), time.Duration(0), 0
	for row < 100 {
		require.Less(t, time.Since(begin), 20*time.Second)
		if row++; ask(row) != nil {
			row = 0
			continue
		}
		if row == 1 {
			first = time.Since(begin)
		}
	}
	t.Logf("in use after %v", first)
	assert.Less(t, first, 2*time.Second)
	assert.Positive(t, next.Calls()["evalsha"])
}
