package redisstore_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/redisstore"
	"github.com/ratelimit-go/ratelimit/redisstore/internal/redistest"
)

func wantReason(t testing.TB, err error, want ratelimit.FailureReason) {
	t.Helper()
	var e *redisstore.Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, want, e.Reason, "%v", err)
}

func TestReasons(t *testing.T) {
	l := limit(t, "r", 0, "5 per minute")
	ask := func(client redis.UniversalClient) error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		return newStore(t, client, redisstore.Config{}).Apply(ctx, take(l, "a", 1))
	}
	t.Run("timeout", func(t *testing.T) {
		server := redistest.Start(t)
		client := server.Client()
		require.NoError(t, ask(client))
		server.Pause()
		begin := time.Now()
		wantReason(t, ask(client), ratelimit.FailureTimeout)
		assert.Less(t, time.Since(begin), 2500*time.Millisecond, "its own timeout is three seconds")
		server.Resume()
		require.Eventually(t, func() bool { return ask(client) == nil }, 5*time.Second, 10*time.Millisecond)
	})
	t.Run("connect", func(t *testing.T) {
		server := redistest.Start(t)
		client := server.Client()
		require.NoError(t, ask(client))
		server.Kill()
		wantReason(t, ask(client), ratelimit.FailureConnect)
		server.Restart()
		require.Eventually(t, func() bool { return ask(client) == nil }, 5*time.Second, 10*time.Millisecond)
	})
	t.Run("readonly", func(t *testing.T) {
		wantReason(t, ask(redistest.Start(t).StartReplica().Client()), ratelimit.FailureReadOnly)
	})
	t.Run("memory", func(t *testing.T) {
		server := redistest.Start(t, "--maxmemory", "1", "--maxmemory-policy", "noeviction")
		wantReason(t, ask(server.Client()), ratelimit.FailureMemory)
	})
	t.Run("auth", func(t *testing.T) {
		wantReason(t, ask(redistest.Start(t, "--requirepass", "x").Client()), ratelimit.FailureAuth)
	})
	t.Run("script", func(t *testing.T) {
		server := redistest.Start(t)
		client := server.Client()
		require.NoError(t, ask(client))
		key := client.Keys(t.Context(), "*").Val()[0]
		server.Do("del", key)
		server.Do("lpush", key, "a list of somebody else's")
		wantReason(t, ask(client), ratelimit.FailureScript)
	})
	t.Run("cluster", func(t *testing.T) {
		wantReason(t, ask(redistest.Start(t, "--cluster-enabled", "yes").Client()), ratelimit.FailureCluster)
	})
}

// What the script is allowed to do is all it needs.
func TestLeastPrivilege(t *testing.T) {
	server := redistest.Start(t)
	server.Do("acl", "setuser", "limiter", "on", ">pw", "resetkeys", "~rl{*", "resetchannels",
		"-@all", "+evalsha", "+eval", "+time", "+get", "+set", "+del", "+pttl", "+hello",
		"+zadd", "+zrem", "+zcard", "+zscore", "+zremrangebyscore", "+pexpire")
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), Username: "limiter", Password: "pw", DisableIdentity: true, ContextTimeoutEnabled: true})
	defer client.Close()
	store := newStore(t, client, redisstore.Config{})
	ops := take(limit(t, "r", 0, "5 per minute"), "a", 1)
	require.NoError(t, store.Apply(t.Context(), ops))
	ops[0].Kind = ratelimit.OpReset
	require.NoError(t, store.Apply(t.Context(), ops))
	leases := []ratelimit.Lease{{Rule: "r", Key: ratelimit.UserKey("a"), Max: 1, TTL: time.Second}}
	for _, kind := range []ratelimit.LeaseKind{ratelimit.LeaseAcquire, ratelimit.LeaseRenew, ratelimit.LeaseRelease} {
		require.NoError(t, store.Lease(t.Context(), kind, leases))
	}
}

// dropAnswers is a proxy that passes requests on, and cuts the connection instead of
// passing on the next answer when lost is set.
func dropAnswers(t *testing.T, server string, lost *atomic.Bool) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	pass := func(to, from net.Conn, answers bool) {
		defer to.Close()
		defer from.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := from.Read(buf)
			if err != nil || answers && lost.CompareAndSwap(true, false) {
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
	}
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
			go pass(up, client, false)
			go pass(client, up, true)
		}
	}()
	return l.Addr().String()
}

// The client retries three times if it is let. A take must not be one of these commands.
func TestLostAnswerIsNotRetried(t *testing.T) {
	server := redistest.Start(t)
	var lost atomic.Bool
	client := redis.NewClient(&redis.Options{
		Addr: dropAnswers(t, server.Addr(), &lost), ContextTimeoutEnabled: true,
		MaxRetries: 3, MinRetryBackoff: time.Millisecond, DisableIdentity: true,
	})
	defer client.Close()
	store := newStore(t, client, redisstore.Config{})
	l := limit(t, "r", 0, "10 per hour")
	require.NoError(t, store.Apply(t.Context(), take(l, "a", 1)))
	lost.Store(true)
	wantReason(t, store.Apply(t.Context(), take(l, "a", 1)), ratelimit.FailureConnect)
	ops := take(l, "a", 1)
	require.NoError(t, store.Apply(t.Context(), ops))
	assert.Equal(t, int64(7), ops[0].Result.Remaining, "the lost take must be charged once")
}

// While the server is killed and started again under load, every request is answered, and
// soon the server is asked again.
func TestKilledUnderLoad(t *testing.T) {
	server := redistest.Start(t)
	for name, policy := range map[string]ratelimit.FailurePolicy{"open": ratelimit.FailOpen, "memory": ratelimit.UseMemory} {
		t.Run(name, func(t *testing.T) {
			limiter, err := ratelimit.New(ratelimit.Config{
				Store: newStore(t, server.Client(), redisstore.Config{Prefix: name}), OnStoreFailure: policy,
				OnError: func(context.Context, error) {},
				Rules:   []ratelimit.Rule{{Name: "r", Limits: ratelimit.MustParse("1_000_000 per second"), Key: ratelimit.ByRemoteIP()}},
			})
			require.NoError(t, err)
			var failed, viaStore atomic.Int64
			h := limiter.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if d, _ := ratelimit.DecisionFrom(r.Context()); !d.StoreFailed {
					viaStore.Add(1)
				}
			}))
			stop := make(chan struct{})
			var load sync.WaitGroup
			for range 8 {
				load.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						w := httptest.NewRecorder()
						h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
						if w.Code != http.StatusOK {
							failed.Add(1)
						}
						time.Sleep(time.Millisecond)
					}
				})
			}
			served := func() bool { return viaStore.Swap(0) > 0 }
			require.Eventually(t, served, 10*time.Second, 10*time.Millisecond)
			server.Kill()
			time.Sleep(300 * time.Millisecond)
			viaStore.Store(0)
			server.Restart()
			begin := time.Now()
			require.Eventually(t, served, 10*time.Second, 5*time.Millisecond)
			t.Logf("asked again %v after the restart", time.Since(begin))
			close(stop)
			load.Wait()
			assert.Zero(t, failed.Load())
		})
	}
}
