package faults

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/redisstore/internal/redistest"
	"github.com/ratelimit-go/ratelimit/store"
)

// inUse is the time within which a store that answers again must be in use.
const inUse = 2 * time.Second

// usual returns a client as most programs make one.
func usual(t testing.TB, addr string, change ...func(*redis.Options)) *redis.Client {
	opt := &redis.Options{Addr: addr, ContextTimeoutEnabled: true}
	for _, f := range change {
		f(opt)
	}
	c := redis.NewClient(opt)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// backUnderLoad returns how long it took until the store made a decision, and how many the policy
// made before. Then it waits until the store has made 20 in a row, which a busy machine delays.
func backUnderLoad(t *testing.T, i *instance) (took time.Duration, policy int) {
	t.Helper()
	begin := time.Now()
	for row := 0; row < 20; time.Sleep(5 * time.Millisecond) {
		require.Less(t, time.Since(begin), soon, "the store is not back")
		switch d := i.take(strconv.Itoa(row)); {
		case d.StoreErr == nil:
			if row++; took == 0 {
				took = time.Since(begin)
			}
		case took == 0:
			policy++
		default:
			row = 0
		}
	}
	return took, policy
}

// idle makes the client have n connections that are idle.
func idle(t *testing.T, client *redis.Client, n int) {
	t.Helper()
	var conns []*redis.Conn
	for range n {
		c := client.Conn()
		require.NoError(t, c.Ping(t.Context()).Err())
		conns = append(conns, c)
	}
	for _, c := range conns {
		require.NoError(t, c.Close())
	}
	require.EqualValues(t, n, client.PoolStats().IdleConns)
}

// A name is pointed to another server. The old one keeps its connections, and answers them with any
// error.
func TestNameIsPointedElsewhere(t *testing.T) {
	noLeaks(t)
	for name, tc := range map[string]struct {
		old    func(old, next *redistest.Server)
		reason store.Reason
	}{
		"READONLY": {func(old, next *redistest.Server) {
			host, port, _ := net.SplitHostPort(next.Addr())
			old.Do("replicaof", host, port)
		}, store.ReasonReadOnly},
		"MASTERDOWN": {func(old, _ *redistest.Server) {
			old.Do("config", "set", "replica-serve-stale-data", "no")
			old.Do("replicaof", "127.0.0.1", "1")
		}, store.ReasonReadOnly},
		"NOREPLICAS": {func(old, _ *redistest.Server) { old.Do("config", "set", "min-replicas-to-write", "1") }, store.ReasonReadOnly},
		"OOM":        {func(old, _ *redistest.Server) { old.Do("config", "set", "maxmemory", "1") }, store.ReasonMemory},
		"NOPERM":     {func(old, _ *redistest.Server) { old.Do("acl", "setuser", "default", "-set") }, store.ReasonAuth},
		"no EVALSHA": {func(old, _ *redistest.Server) { old.Do("acl", "setuser", "default", "-evalsha", "-eval") }, store.ReasonAuth},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old, next := redistest.Start(t), redistest.Start(t)
			route := redistest.NewRoute(t, old.Addr())
			client := usual(t, route.Addr())
			i := newInstance(t, client, "", ratelimit.Config{})
			idle(t, client, 15)
			backUnderLoad(t, i)
			i.failures()
			tc.old(old, next)
			route.To(next.Addr())
			took, policy := backUnderLoad(t, i)
			reasons := i.failures()
			t.Logf("in use after %v; %d decisions by the policy, reasons %v", took, policy, reasons)
			assert.LessOrEqual(t, took, inUse)
			assert.Positive(t, reasons[tc.reason])
			only(t, reasons, tc.reason, store.ReasonTimeout) // on a busy machine a new connection takes long
			assert.Less(t, policy, 5, "one failure is enough")
			assert.Positive(t, next.Calls()["evalsha"])
		})
	}
}

// A new connection takes several round trips, which together are longer than the deadline.
func TestRoundTripNearTheDeadline(t *testing.T) {
	noLeaks(t)
	password := func(o *redis.Options) { o.Password, o.DB, o.ClientName = "pw", 1, "limiter" }
	onConnect := func(o *redis.Options) {
		o.OnConnect = func(ctx context.Context, cn *redis.Conn) error {
			return errors.Join(cn.Ping(ctx).Err(), cn.Ping(ctx).Err(), cn.ClientID(ctx).Err())
		}
	}
	for name, tc := range map[string]struct {
		trip   time.Duration
		change func(*redis.Options)
		locked bool // the server wants a password
	}{
		"12 ms":                     {12 * time.Millisecond, func(*redis.Options) {}, false},
		"12 ms, password":           {12 * time.Millisecond, password, true},
		"24 ms":                     {24 * time.Millisecond, func(*redis.Options) {}, false},
		"24 ms, RESP 2":             {24 * time.Millisecond, func(o *redis.Options) { o.Protocol = 2 }, false},
		"24 ms, password":           {24 * time.Millisecond, password, true},
		"24 ms, OnConnect":          {24 * time.Millisecond, onConnect, false},
		"24 ms, one connection":     {24 * time.Millisecond, func(o *redis.Options) { o.PoolSize = 1 }, false},
		"24 ms, a pool and no more": {24 * time.Millisecond, func(o *redis.Options) { o.PoolSize, o.MaxActiveConns = 2, 2 }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			if tc.locked {
				server.Do("acl", "setuser", "default", ">pw")
			}
			route := redistest.NewRoute(t, server.Addr())
			route.Delay(tc.trip / 2)
			i := newInstance(t, usual(t, route.Addr(), tc.change), "", ratelimit.Config{})
			m := watch(t, server, tc.trip)
			m.backInTime(t, i, "start")
			for what, hiccup := range map[string]func(){"cut": route.Cut, "forget": route.Forget} {
				hiccup()
				m.backInTime(t, i, what)
			}
		})
	}
}

// A firewall forgets all connections of a client, most of them idle. One of them costs one decision
// its deadline, and not each of them one.
func TestNetworkForgetsConnections(t *testing.T) {
	noLeaks(t)
	for _, pool := range []int{1, 10, 100} {
		t.Run(fmt.Sprint(pool), func(t *testing.T) {
			route := redistest.NewRoute(t, redistest.Start(t).Addr())
			client := usual(t, route.Addr(), func(o *redis.Options) { o.PoolSize = 100 })
			i := newInstance(t, client, "", ratelimit.Config{})
			idle(t, client, pool)
			backUnderLoad(t, i)
			i.failures()
			route.Forget()
			took, policy := backUnderLoad(t, i)
			t.Logf("in use after %v; %d decisions by the policy, reasons %v", took, policy, i.failures())
			assert.LessOrEqual(t, took, inUse)
			assert.LessOrEqual(t, policy, 3)
			assert.Zero(t, i.events.Load(), "the store was never out of use")
		})
	}
}

// A single server in cluster mode, and a client that does not know: a script for keys of several
// slots is rejected, and no caller sees that.
func TestOneServerInClusterMode(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--cluster-enabled", "yes")
	server.Do("cluster", "addslotsrange", 0, 16383)
	clusterUp(t, server)
	client := usual(t, server.Addr(), func(o *redis.Options) { o.PoolSize = 100 })
	i := newInstance(t, client, "10 per hour", ratelimit.Config{StoreTimeout: 5 * time.Second})
	var all sync.WaitGroup
	for c := range 64 {
		all.Go(func() {
			for n := range 20 {
				d := i.take(strconv.Itoa(c))
				assert.NoError(t, d.StoreErr)
				assert.Equal(t, n < 10, d.Allowed)
			}
		})
	}
	all.Wait()
	// A request with limits on two keys.
	l := nameLimit(t, 0, "10 per hour")
	ops := []store.Op{
		{Limit: l, Key: ratelimit.UserKey("a"), Cost: 1}, {Limit: l, Key: ratelimit.UserKey("b"), Cost: 1},
	}
	fresh := newInstance(t, client, "", ratelimit.Config{})
	require.NoError(t, fresh.store.Apply(t.Context(), ops))
	assert.EqualValues(t, 9, ops[1].Result.Remaining)
	assert.Empty(t, i.failures())
	t.Logf("1280 decisions of 64 callers, none by the policy")
}

// A key has a value of another program, and its client never stops. With FailOpen, other clients
// are limited as ever.
func TestKeyOfAnotherProgram(t *testing.T) {
	noLeaks(t)
	server := redistest.Start(t)
	client := server.Client()
	i := newInstance(t, client, "5 per day", ratelimit.Config{})
	i.take("bad")
	for _, key := range client.Keys(t.Context(), "*").Val() {
		server.Do("del", key)
		server.Do("lpush", key, "a list")
	}
	bad := startLoad(i, 4, "bad", time.Millisecond)
	s := startLoad(i, 4, "good", time.Millisecond)
	s.await(t, func(s *seen) bool { return s.total() > 1000 })
	good := s.stop()
	failed := bad.stop()
	t.Logf("%d decisions for the bad key, all by the policy; of %d others %d allowed, %d by the policy; reasons %v",
		failed.total(), good.total(), good.allowed, good.open, i.failures())
	assert.Equal(t, failed.total(), failed.open)
	assert.EqualValues(t, 5, good.allowed)
	assert.Zero(t, good.open)
	assert.Zero(t, i.events.Load())
}

// One server of three hangs. Keys on the other two are decided as ever.
func TestOneShardIsAway(t *testing.T) {
	noLeaks(t)
	clients := map[string]func(t *testing.T, servers []*redistest.Server) redis.UniversalClient{
		"Cluster": func(_ *testing.T, s []*redistest.Server) redis.UniversalClient {
			return redis.NewClusterClient(&redis.ClusterOptions{
				Addrs: []string{s[0].Addr(), s[1].Addr(), s[2].Addr()}, ContextTimeoutEnabled: true, PoolSize: 50,
			})
		},
		"Ring": func(_ *testing.T, s []*redistest.Server) redis.UniversalClient {
			return redis.NewRing(&redis.RingOptions{
				Addrs:                 map[string]string{"a": s[0].Addr(), "b": s[1].Addr(), "c": s[2].Addr()},
				ContextTimeoutEnabled: true, PoolSize: 50,
				HeartbeatFrequency: time.Hour, // otherwise the Ring moves the keys to other servers
			})
		},
	}
	for name, dial := range clients {
		t.Run(name, func(t *testing.T) {
			var servers []*redistest.Server
			if name == "Cluster" {
				servers = redistest.StartCluster(t, 3)
			} else {
				servers = []*redistest.Server{redistest.Start(t), redistest.Start(t), redistest.Start(t)}
			}
			client := dial(t, servers)
			t.Cleanup(func() { _ = client.Close() })
			i := newInstance(t, client, "", ratelimit.Config{OnStoreFailure: ratelimit.FailClosed})
			on := map[int]string{} // a user on each server
			for n := 0; len(on) < 3; n++ {
				user := "u" + strconv.Itoa(n)
				require.Eventually(t, func() bool { return i.take(user).StoreErr == nil }, soon, time.Millisecond)
				for at := range servers {
					if redistest.Do[int64](t, servers[at], "dbsize") > 0 {
						on[at] = user
					}
					servers[at].Do("flushall")
				}
			}
			backUnderLoad(t, i)
			if name == "Cluster" {
				for _, s := range servers {
					s.Do("config", "set", "cluster-require-full-coverage", "no")
				}
			}
			i.failures()
			servers[0].Pause()
			t.Cleanup(servers[0].Resume)
			lost, others := startLoad(i, 4, on[0], time.Millisecond), startLoad(i, 4, on[1], time.Millisecond)
			third := startLoad(i, 4, on[2], time.Millisecond)
			time.Sleep(2 * time.Second)
			l, o, th := lost.stop(), others.stop(), third.stop()
			t.Logf("the lost server: %d decisions, %d by the policy; the others: %d, %d by the policy, p99 %v",
				l.total(), l.closed, o.total()+th.total(), o.closed+th.closed, o.percentile(.99))
			assert.Equal(t, l.total(), l.closed)
			assert.Less(t, l.percentile(.5), 10*time.Millisecond, "the server that is away is not called")
			// A busy machine loses some. If one server counted for all, all were lost.
			assert.Less(t, float64(o.closed+th.closed), .1*float64(o.total()+th.total()))
			servers[0].Resume()
			begin := time.Now()
			require.Eventually(t, func() bool { return i.take(on[0]).StoreErr == nil }, soon, time.Millisecond)
			t.Logf("in use again after %v", time.Since(begin))
		})
	}
}
