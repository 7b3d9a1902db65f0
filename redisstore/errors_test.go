package redisstore_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/redisstore"
	"github.com/ratelimit-go/ratelimit/redisstore/internal/redistest"
	"github.com/ratelimit-go/ratelimit/store"
)

// In JSON the error is its text.
func TestErrorInJSON(t *testing.T) {
	got, err := json.Marshal(&redisstore.Error{Reason: store.ReasonConnect, Err: errors.New("refused")})
	require.NoError(t, err)
	assert.JSONEq(t, `"redisstore: connect: refused"`, string(got))
}

func TestReasons(t *testing.T) {
	t.Parallel()
	l := limit(t, "r", 0, "5 per minute")
	apply := func(client redis.UniversalClient) error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		return newStore(t, client, redisstore.Config{}).Apply(ctx, take(l, "a", 1))
	}
	t.Run("timeout", func(t *testing.T) {
		server := redistest.Start(t)
		client := server.Client()
		require.NoError(t, apply(client))
		server.Pause()
		begin := time.Now()
		wantReason(t, apply(client), store.ReasonTimeout)
		assert.Less(t, time.Since(begin), 2500*time.Millisecond, "its own timeout is three seconds")
		server.Resume()
		require.Eventually(t, func() bool { return apply(client) == nil }, 5*time.Second, 10*time.Millisecond)
	})
	t.Run("connect", func(t *testing.T) {
		server := redistest.Start(t)
		client := server.Client()
		require.NoError(t, apply(client))
		server.Kill()
		wantReason(t, apply(client), store.ReasonConnect)
		server.Restart()
		require.Eventually(t, func() bool { return apply(client) == nil }, 5*time.Second, 10*time.Millisecond)
	})
	t.Run("readonly", func(t *testing.T) {
		wantReason(t, apply(redistest.Start(t).StartReplica().Client()), store.ReasonReadOnly)
	})
	t.Run("memory", func(t *testing.T) {
		server := redistest.Start(t, "--maxmemory", "1", "--maxmemory-policy", "noeviction")
		wantReason(t, apply(server.Client()), store.ReasonMemory)
	})
	t.Run("auth", func(t *testing.T) {
		wantReason(t, apply(redistest.Start(t, "--requirepass", "x").Client()), store.ReasonAuth)
	})
	t.Run("key", func(t *testing.T) {
		server := redistest.Start(t)
		client := server.Client()
		require.NoError(t, apply(client))
		key := keysOf(t, client)[0]
		server.Do("del", key)
		server.Do("lpush", key, "a list of another program")
		wantReason(t, apply(client), store.ReasonKey)
	})
	t.Run("cluster", func(t *testing.T) {
		wantReason(t, apply(redistest.Start(t, "--cluster-enabled", "yes").Client()), store.ReasonCluster)
	})
}

// Errors as servers write them, inside and outside of a script, by version and by make.
func TestReasonOfAnAnswer(t *testing.T) {
	const old = "ERR Error running script (call to f_f742): @user_script:5: @user_script: 5: -"
	for text, want := range map[string]store.Reason{
		"READONLY You can't write against a read only replica.":                                 store.ReasonReadOnly,
		"READONLY You can't write against a read only replica. script: 5af, on @user_script:1.": store.ReasonReadOnly,
		"-READONLY You can't write against a read only replica.":                                store.ReasonReadOnly,
		"ERR READONLY You can't write against a read only replica.":                             store.ReasonReadOnly,
		old + "READONLY You can't write against a read only replica.":                           store.ReasonReadOnly,
		old + "READONLY You can't write against a read only slave.":                             store.ReasonReadOnly,
		"ERR Error running script (call to 149c): \n@user_script:2: -READONLY You can't write":  store.ReasonReadOnly,
		"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.":      store.ReasonReadOnly,
		"NOREPLICAS Not enough good replicas to write.":                                         store.ReasonReadOnly,
		"UNBLOCKED force unblock from blocking operation, instance state changed":               store.ReasonReadOnly,
		"REDIRECT 127.0.0.1:7001":                                                store.ReasonReadOnly,
		"LOADING Redis is loading the dataset in memory":                         store.ReasonBusy,
		"BUSY Redis is busy running a script.":                                   store.ReasonBusy,
		"ERR max number of clients reached":                                      store.ReasonBusy,
		"MOVED 3999 127.0.0.1:6381":                                              store.ReasonCluster,
		"ASK 3999 127.0.0.1:6381":                                                store.ReasonCluster,
		"CLUSTERDOWN The cluster is down":                                        store.ReasonCluster,
		"TRYAGAIN Multiple keys request during rehashing of slot":                store.ReasonCluster,
		old + "OOM command not allowed when used memory > 'maxmemory'.":          store.ReasonMemory,
		"MISCONF Redis is configured to save RDB snapshots":                      store.ReasonMemory,
		"NOAUTH Authentication required.":                                        store.ReasonAuth,
		"NOPERM this user has no permissions to run the 'eval' command":          store.ReasonAuth,
		"ERR The user executing the script can't run this command or subcommand": store.ReasonAuth,
		"ERR unknown command 'EVALSHA', with args beginning with:":               store.ReasonAuth,
		"ERR This Redis command is not allowed from script":                      store.ReasonAuth,
		"DENIED Redis is running in protected mode":                              store.ReasonAuth,
		"NOTIME ERR Unknown Redis command called from script":                    store.ReasonAuth,
		"WRONGTYPE Operation against a key holding the wrong kind of value":      store.ReasonKey,
		old + "WRONGTYPE Operation against a key":                                store.ReasonKey,
		"ERR something new":                                                      store.ReasonScript,
	} {
		s, err := redisstore.NewWith(answering(text), redisstore.Config{})
		require.NoError(t, err)
		wantReason(t, s.Apply(t.Context(), take(limit(t, "r", 0, "5 per minute"), "a", 1)), want)
	}
}

// answering is a client whose server answers an error.
type answering redisstore.ServerError

func (a answering) RunScript(context.Context, *redisstore.Script, []string, []byte) (string, error) {
	return "", redisstore.ServerError(a)
}

// A server that does not let scripts read its clock is told of, with what to do.
func TestServerForbidsTIME(t *testing.T) {
	l := limit(t, "r", 0, "5 per minute")
	const advice = "so let scripts call TIME: by +time in the ACL of the user, and without rename-command"
	ask := func(t *testing.T, client redis.UniversalClient) {
		s := newStore(t, client, redisstore.Config{})
		err := s.Apply(t.Context(), take(l, "a", 1))
		wantReason(t, err, store.ReasonAuth)
		require.ErrorContains(t, err, advice)
		err = s.Lease(t.Context(), store.Acquire, []store.Lease{{Rule: "r", Key: take(l, "a", 1)[0].Key, Max: 1, TTL: time.Second}})
		wantReason(t, err, store.ReasonAuth)
		require.ErrorContains(t, err, advice)
	}
	t.Run("by the ACL", func(t *testing.T) {
		server := redistest.Start(t)
		server.Do("acl", "setuser", "default", "-time")
		ask(t, server.Client())
	})
	t.Run("by another name", func(t *testing.T) {
		ask(t, redistest.Start(t, "--rename-command", "TIME", "").Client())
	})
}

// An error that is the server's is the answer of the whole script, so that the client sees it. It
// is so too for one script for several callers, and for leases.
func TestClientSeesTheErrorOfTheServer(t *testing.T) {
	server := redistest.Start(t).StartReplica()
	client := server.Client()
	s := newStore(t, client, redisstore.Config{})
	seen := func(err error) {
		t.Helper()
		wantReason(t, err, store.ReasonReadOnly)
		assert.True(t, redis.IsReadOnlyError(err))
		assert.Zero(t, client.PoolStats().IdleConns, "the client drops the connection")
	}
	l := limit(t, "r", 0, "5 per minute")
	seen(s.Apply(t.Context(), take(l, "a", 1)))
	seen(s.Apply(t.Context(), append(take(l, "a", 1), take(l, "b", 1)...)))
	seen(s.Lease(t.Context(), store.Acquire, []store.Lease{{Rule: "r", Key: take(l, "a", 1)[0].Key, Max: 1, TTL: time.Second}}))
}
