package redisstore_test

import (
	"net"
	"sync/atomic"
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

// The permissions that the README lists are enough, also without zrangebyscore.
func TestLeastPrivilege(t *testing.T) {
	server := redistest.Start(t)
	server.Do("acl", "setuser", "limiter", "on", ">pw", "resetkeys", "~rl{*", "resetchannels",
		"-@all", "+evalsha", "+eval", "+time", "+get", "+set", "+del", "+pttl", "+hello",
		"+zadd", "+zrem", "+zcard", "+zscore", "+zremrangebyscore", "+pexpire")
	client := redis.NewClient(&redis.Options{
		Addr: server.Addr(), Username: "limiter", Password: "pw", DisableIdentity: true, ContextTimeoutEnabled: true,
	})
	defer client.Close()
	s := newStore(t, client, redisstore.Config{})
	ops := take(limit(t, "r", 0, "5 per minute"), "a", 1)
	require.NoError(t, s.Apply(t.Context(), ops))
	ops[0].Kind = store.Reset
	require.NoError(t, s.Apply(t.Context(), ops))
	leases := []store.Lease{{Rule: "r", Key: ratelimit.UserKey("a"), Max: 1, TTL: time.Second}}
	for _, kind := range []store.LeaseKind{store.Acquire, store.Renew, store.Release} {
		require.NoError(t, s.Lease(t.Context(), kind, leases))
		if kind == store.Renew {
			other := []store.Lease{{Rule: "r", Key: ratelimit.UserKey("a"), ID: [16]byte{1}, Max: 1, TTL: time.Second}}
			require.NoError(t, s.Lease(t.Context(), store.Acquire, other))
			require.False(t, other[0].Granted)
		}
	}
}

// dropAnswers starts a proxy and returns its address. If lost is set, the proxy cuts the connection
// instead of passing on the next answer.
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

// By default the client retries a command three times. It must not retry a take.
func TestLostAnswerIsNotRetried(t *testing.T) {
	server := redistest.Start(t)
	var lost atomic.Bool
	client := redis.NewClient(&redis.Options{
		Addr: dropAnswers(t, server.Addr(), &lost), ContextTimeoutEnabled: true,
		MaxRetries: 3, MinRetryBackoff: time.Millisecond, DisableIdentity: true,
	})
	defer client.Close()
	s := newStore(t, client, redisstore.Config{})
	l := limit(t, "r", 0, "10 per hour")
	require.NoError(t, s.Apply(t.Context(), take(l, "a", 1)))
	lost.Store(true)
	wantReason(t, s.Apply(t.Context(), take(l, "a", 1)), store.ReasonConnect)
	ops := take(l, "a", 1)
	require.NoError(t, s.Apply(t.Context(), ops))
	assert.Equal(t, int64(7), ops[0].Result.Remaining, "the lost take must be charged once")
}
