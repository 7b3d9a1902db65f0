package faults

import (
	"context"
	cryptorand "crypto/rand"
	"net"
	"os"
	"path/filepath"
	"strconv"
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

// As in a failover, the server becomes a replica while connections are open, and then a primary
// again.
func TestServerBecomesAReplica(t *testing.T) {
	t.Parallel()
	server, other := redistest.Start(t), redistest.Start(t)
	i := newInstance(t, server.Client(), "", ratelimit.Config{StoreTimeout: 10 * time.Second})
	i.back(t)
	host, port, _ := net.SplitHostPort(other.Addr())
	server.Do("replicaof", host, port)
	l := startLoad(i, 4, "a", 2*time.Millisecond)
	l.await(t, func(s *seen) bool { return s.total() > 200 })
	s := l.sofar()
	assert.Equal(t, s.total(), s.open)
	reasons := i.failures()
	only(t, reasons, store.ReasonReadOnly)
	server.Do("replicaof", "no", "one")
	back := i.back(t)
	t.Logf("%d decisions by the policy, most %v, reasons %v; back %v after the promotion", s.open, s.percentile(1), reasons, back)
	i.within(t, s)
	l.stop()
}

// The server forgets the script again and again. No caller sees it.
func TestScriptIsForgotten(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	i := newInstance(t, server.Client(), "", ratelimit.Config{StoreTimeout: 10 * time.Second})
	l := startLoad(i, 8, "a", time.Millisecond)
	const flushes = 50
	for range flushes {
		server.Do("script", "flush")
		time.Sleep(5 * time.Millisecond)
	}
	s := l.stop()
	calls := server.Calls()
	t.Logf("%d flushes, %d decisions, %d by the policy, most %v; the text was sent %d times",
		flushes, s.total(), s.open, s.percentile(1), calls["eval"])
	assert.Zero(t, s.open)
	assert.Empty(t, i.failures())
	assert.Greater(t, calls["eval"], 1)

	// A restart forgets the script too. It breaks one connection, and the next one works.
	server.Restart()
	i.back(t)
	assert.NotContains(t, i.failures(), store.ReasonScript)
}

// For every error that a server answers, the policy decides, and the reason is reported.
func TestErrorsOfTheServer(t *testing.T) {
	t.Parallel()
	table := map[string]struct {
		options []string
		inject  func(t *testing.T, s *redistest.Server)
		repair  func(t *testing.T, s *redistest.Server)
		reason  store.Reason
	}{
		"OOM": {
			inject: func(_ *testing.T, s *redistest.Server) { s.Do("config", "set", "maxmemory", "1") },
			repair: func(_ *testing.T, s *redistest.Server) { s.Do("config", "set", "maxmemory", "0") },
			reason: store.ReasonMemory,
		},
		"BUSY": {
			options: []string{"--lua-time-limit", "1"},
			inject: func(t *testing.T, s *redistest.Server) {
				endless := redis.NewClient(&redis.Options{Addr: s.Addr(), ReadTimeout: -1, MaxRetries: -1})
				done := make(chan struct{})
				go func() {
					defer close(done)
					endless.Eval(context.Background(), "while true do end", nil)
				}()
				t.Cleanup(func() { <-done; _ = endless.Close() })
				client := s.Client()
				awaitError(t, client, "BUSY")
			},
			repair: func(_ *testing.T, s *redistest.Server) { s.Do("script", "kill") },
			reason: store.ReasonBusy,
		},
		"NOREPLICAS": {
			inject: func(_ *testing.T, s *redistest.Server) { s.Do("config", "set", "min-replicas-to-write", "3") },
			repair: func(_ *testing.T, s *redistest.Server) { s.Do("config", "set", "min-replicas-to-write", "0") },
			reason: store.ReasonReadOnly,
		},
		"CLUSTERDOWN": {
			options: []string{"--cluster-enabled", "yes"},
			inject:  func(_ *testing.T, s *redistest.Server) { s.Do("cluster", "delslots", 0) },
			repair: func(t *testing.T, s *redistest.Server) {
				s.Do("cluster", "addslots", 0)
				clusterUp(t, s)
			},
			reason: store.ReasonCluster,
		},
	}
	for name, fault := range table {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t, fault.options...)
			if fault.reason == store.ReasonCluster {
				server.Do("cluster", "addslotsrange", 0, 16383)
				clusterUp(t, server)
			}
			i := newInstance(t, server.Client(), "", ratelimit.Config{OnStoreFailure: ratelimit.FailClosed, StoreTimeout: 10 * time.Second})
			i.back(t)
			fault.inject(t, server)
			i.failures()
			testErrors(t, i, fault.reason)
			fault.repair(t, server)
			t.Logf("back after %v", i.back(t))
		})
	}
	t.Run("MISCONF", func(t *testing.T) {
		t.Parallel()
		// A directory with the name of the dump makes the dump fail.
		dir := t.TempDir()
		server := redistest.Start(t, "--dir", dir)
		i := newInstance(t, server.Client(), "", ratelimit.Config{OnStoreFailure: ratelimit.FailClosed, StoreTimeout: 10 * time.Second})
		i.back(t)
		require.NoError(t, os.Mkdir(filepath.Join(dir, "dump.rdb"), 0o700))
		server.Do("config", "set", "save", "3600 1")
		server.Do("bgsave")
		require.Eventually(t, func() bool { return i.take("other").StoreErr != nil }, soon, 5*time.Millisecond)
		testErrors(t, i, store.ReasonMemory)
		server.Do("config", "set", "save", "")
		t.Logf("back after %v", i.back(t))
	})
	t.Run("LOADING", func(t *testing.T) {
		t.Parallel()
		server := redistest.Start(t, "--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024")
		i := newInstance(t, server.Client(), "", ratelimit.Config{OnStoreFailure: ratelimit.FailClosed, StoreTimeout: 10 * time.Second})
		i.back(t)
		client := server.Client()
		_, err := client.Pipelined(t.Context(), func(p redis.Pipeliner) error {
			for n := range 2000 {
				p.Set(t.Context(), strconv.Itoa(n), cryptorand.Text()+cryptorand.Text()+cryptorand.Text()+cryptorand.Text(), 0)
			}
			return nil
		})
		require.NoError(t, err)
		server.Do("save")
		server.Respawn() // it loads for a second
		awaitError(t, client, "LOADING")
		i.failures()
		require.Eventually(t, func() bool { i.take("other"); return i.failures()[store.ReasonBusy] > 0 }, soon, time.Millisecond)
		t.Logf("back after %v", i.back(t))
	})
	t.Run("MOVED and CROSSSLOT", func(t *testing.T) {
		t.Parallel()
		// A plain client in a Cluster calls the wrong server, or one server for several slots.
		client := redistest.StartCluster(t, 3)[0].Client()
		i := newInstance(t, client, "", ratelimit.Config{Rules: []ratelimit.Rule{
			{Name: "r", Limits: ratelimit.MustParse("10 per hour"), Key: ratelimit.ByClientIP()},
		}})
		require.Eventually(t, func() bool {
			for n := range 10 {
				i.take(strconv.Itoa(n))
			}
			return i.failures()[store.ReasonCluster] > 0
		}, soon, time.Millisecond)
		l := nameLimit(t, 0, "10 per hour")
		ops := []store.Op{
			{Limit: l, Key: ratelimit.UserKey("a"), Cost: 1}, {Limit: l, Key: ratelimit.UserKey("b"), Cost: 1},
		}
		var failure *redisstore.Error
		require.ErrorAs(t, i.store.Apply(t.Context(), ops), &failure)
		assert.Equal(t, store.ReasonCluster, failure.FailureReason())
	})
}

// testErrors lets i decide while the server answers errors of one reason.
func testErrors(t *testing.T, i *instance, reason store.Reason) {
	t.Helper()
	i.failures()
	before := i.Stats().Store
	var s seen
	for range 50 {
		begin := time.Now()
		d := i.take("a")
		s.add(d, time.Since(begin))
		assert.Equal(t, ratelimit.ReasonStore, d.Reason)
	}
	reasons := i.failures()
	t.Logf("%d decisions, %d by the policy; p50 %v, most %v, reasons %v", s.total(), s.closed, s.percentile(.5), s.percentile(1), reasons)
	assert.EqualValues(t, 50, s.closed)
	i.within(t, s)
	only(t, reasons, reason)
	after := i.Stats().Store
	assert.EqualValues(t, 50, after.FailedClosed-before.FailedClosed)
	assert.EqualValues(t, reasons[reason], after.Failures[reason]-before.Failures[reason])
	assert.EqualValues(t, 50-reasons[reason], after.Failures[store.ReasonDown]-before.Failures[store.ReasonDown])
}

// awaitError waits until a PING is answered with an error that begins with word.
func awaitError(t *testing.T, client *redis.Client, word string) {
	t.Helper()
	require.Eventually(t, func() bool {
		return redis.HasErrorPrefix(client.Ping(t.Context()).Err(), word)
	}, soon, time.Millisecond)
}

func clusterUp(t *testing.T, s *redistest.Server) {
	t.Helper()
	client := s.Client()
	require.Eventually(t, func() bool {
		return client.Set(t.Context(), "up", 1, 0).Err() == nil
	}, soon, 10*time.Millisecond)
}
