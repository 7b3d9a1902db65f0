package faults

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/redisstore/internal/redistest"
	"github.com/ratelimit-go/ratelimit/store"
)

// The primary dies before its replica has received the last takes, so the replica does not know
// them. That allows at most a burst and the tokens of the lag once more.
func TestFailoverLosesWrites(t *testing.T) {
	noLeaks(t)
	const burst, rate = 50, 20
	primary := redistest.Start(t)
	link := newWire(t, primary.Addr())
	replica := primary.StartReplicaVia(link.addr())
	front := newWire(t, primary.Addr()) // the address of the current primary
	limits := fmt.Sprintf("%d per second burst %d", rate, burst)
	i := newInstance(t, front.client(), limits, ratelimit.Config{StoreTimeout: 10 * time.Second})

	begin := time.Now()
	total := int64(0)
	for range 20 {
		if i.take("a").Allowed {
			total++
		}
	}
	require.EqualValues(t, 1, redistest.Do[int64](t, primary, "wait", 1, 10_000), "the takes so far have reached the replica")
	link.deaf("downstream") // the replica receives nothing from now on
	lagBegin := time.Now()
	lost := i.takeAll(t, "a")
	for time.Since(lagBegin) < 500*time.Millisecond {
		if i.take("a").Allowed {
			lost++
		}
		time.Sleep(10 * time.Millisecond)
	}
	primary.Kill()
	lag := time.Since(lagBegin)
	replica.Do("replicaof", "no", "one")
	front.cut()
	front.proxy.Upstream = replica.Addr()
	front.mend()
	back := i.back(t)
	// A new instance caches no denial.
	successor := newInstance(t, front.client(), limits, ratelimit.Config{StoreTimeout: 10 * time.Second})
	after := successor.takeAll(t, "a")
	took := time.Since(begin)
	total += lost + after
	extra := float64(total) - burst - rate*took.Seconds()
	t.Logf("lag %v: %d takes lost; %d allowed in %v, which is %.1f above the bound without a failover; back after %v",
		lag, lost, total, took, extra, back)
	assert.LessOrEqual(t, extra, burst+rate*lag.Seconds())
	assert.LessOrEqual(t, extra, float64(lost), "at most what was lost")
	assert.Positive(t, lost)
}

// failover kills a primary under load, and logs what the callers saw.
func failover(t *testing.T, i *instance, burst, rate float64, kill func()) {
	t.Helper()
	begin := time.Now()
	l := startLoad(i, 8, "a", 5*time.Millisecond)
	l.await(t, func(s *seen) bool { return s.denied > 100 })
	before := l.sofar()
	kill()
	killed := time.Now()
	l.await(t, func(s *seen) bool { return s.closed > 0 })
	l.await(t, func(s *seen) bool { return s.allowed > 0 })
	down := l.sofar()
	back := i.back(t)
	gap := time.Since(killed)
	l.await(t, func(s *seen) bool { return s.denied > 100 })
	after := l.stop()
	took := time.Since(begin)
	total := before.allowed + down.allowed + after.allowed
	extra := float64(total) - burst - rate*took.Seconds()
	t.Logf("back %v after the kill (%v more for the next decision): %d decisions meanwhile by the policy, p99 %v, most %v; reasons %v",
		gap, back, down.closed, down.percentile(.99), down.percentile(1), i.failures())
	t.Logf("allowed %d in %v: %.1f above the bound without a failover", total, took, extra)
	i.within(t, down)
	i.within(t, after)
	assert.Zero(t, down.open+after.open)
	// At most all takes since the bucket was full are lost.
	assert.LessOrEqual(t, extra, burst+rate*killed.Sub(begin).Seconds())
}

// Three Sentinels promote the replica, and the client follows.
func TestFailoverBySentinel(t *testing.T) {
	t.Parallel()
	primary := redistest.Start(t)
	primary.StartReplica()
	client := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: redistest.PrimaryName, SentinelAddrs: redistest.StartSentinels(t, primary, 1),
		ContextTimeoutEnabled: true, DialerRetries: 1,
	})
	t.Cleanup(func() { _ = client.Close() })
	i := newInstance(t, client, "20 per second burst 50", ratelimit.Config{OnStoreFailure: ratelimit.FailClosed, StoreTimeout: time.Second})
	i.back(t)
	failover(t, i, 50, 20, primary.Kill)
}

func startClusterOfSix(t *testing.T) (primaries, replicas []*redistest.Server, client *redis.ClusterClient) {
	t.Helper()
	primaries = redistest.StartCluster(t, 3)
	replicas = redistest.AddReplicas(t, primaries)
	client = redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: []string{primaries[0].Addr(), primaries[1].Addr(), primaries[2].Addr()}, ContextTimeoutEnabled: true, DialerRetries: 1,
	})
	t.Cleanup(func() { _ = client.Close() })
	return primaries, replicas, client
}

// bucketOf returns the name of the key of user's bucket, and the index of the server that has it.
func bucketOf(t *testing.T, i *instance, user string, servers []*redistest.Server) (key string, owner int) {
	t.Helper()
	for _, s := range servers {
		s.Do("flushall")
	}
	require.Eventually(t, func() bool { // the bucket is soon full, and then the key is gone
		i.take(user)
		for n, s := range servers {
			if keys := redistest.Do[[]any](t, s, "keys", "*"); len(keys) > 0 {
				key, owner = keys[0].(string), n
				return true
			}
		}
		return false
	}, soon, time.Millisecond)
	return key, owner
}

// In a Cluster of six, the primary that has the bucket is killed.
func TestFailoverInACluster(t *testing.T) {
	t.Parallel()
	primaries, _, client := startClusterOfSix(t)
	i := newInstance(t, client, "20 per second burst 50", ratelimit.Config{OnStoreFailure: ratelimit.FailClosed, StoreTimeout: time.Second})
	_, owner := bucketOf(t, i, "a", primaries)
	failover(t, i, 50, 20, primaries[owner].Kill)
}

// A slot moves to another server and back under load. With one rule, no caller sees an error and no
// bucket is lost. With two rules on a key, a server has only one of the buckets for a moment. Then
// the policy may decide.
func TestClusterSlotMoves(t *testing.T) {
	t.Parallel()
	nodes := redistest.StartCluster(t, 3)
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{nodes[0].Addr()}, ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = client.Close() })
	t.Run("one rule", func(t *testing.T) {
		i := newInstance(t, client, "20 per second burst 50; 1_000_000 per hour", ratelimit.Config{
			StoreTimeout: 10 * time.Second, OnStoreFailure: ratelimit.FailClosed,
		})
		assert.Empty(t, moveUnderLoad(t, nodes, i))
	})
	t.Run("two rules", func(t *testing.T) {
		i := newInstance(t, client, "", ratelimit.Config{
			StoreTimeout: 10 * time.Second, OnStoreFailure: ratelimit.FailClosed,
			Rules: []ratelimit.Rule{
				{Name: "r", Limits: ratelimit.MustParse("20 per second burst 50"), Key: ratelimit.ByClientIP()},
				{Name: "often full", Limits: ratelimit.MustParse("1000 per second"), Key: ratelimit.ByClientIP()},
			},
		})
		h := i.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		i.take = func(string) ratelimit.Decision {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
			d := ratelimit.Decision{Allowed: w.Code == http.StatusOK}
			if w.Code == http.StatusServiceUnavailable {
				d.StoreErr = errors.New("the policy decided")
			}
			return d
		}
		reasons := moveUnderLoad(t, nodes, i)
		delete(reasons, store.ReasonCluster)
		assert.Empty(t, reasons)
	})
}

// moveUnderLoad moves the slot of a user to another server and back, several times. It returns the
// reasons of failures.
func moveUnderLoad(t *testing.T, nodes []*redistest.Server, i *instance) map[store.Reason]int {
	t.Helper()
	const burst, rate, moves = 50, 20, 10
	key, owner := bucketOf(t, i, "a", nodes)
	slot := redistest.Do[int64](t, nodes[0], "cluster", "keyslot", key)
	other := (owner + 1) % len(nodes)
	begin := time.Now()
	l := startLoad(i, 8, "a", 5*time.Millisecond)
	l.await(t, func(s *seen) bool { return s.denied > 50 })
	for range moves {
		move(t, nodes, slot, owner, other)
		owner, other = other, owner
		time.Sleep(50 * time.Millisecond)
	}
	l.await(t, func(s *seen) bool { return s.denied > 100 })
	s := l.stop()
	took, reasons := time.Since(begin), i.failures()
	extra := float64(s.allowed) + 1 - burst - rate*took.Seconds()
	t.Logf("%d moves in %v: %d decisions, %d by the policy (%v); most %v; allowed %d, which is %.1f above the bound",
		moves, took, s.total(), s.closed, reasons, s.percentile(1), s.allowed, extra)
	assert.LessOrEqual(t, s.percentile(1), 10*time.Second)
	assert.LessOrEqual(t, extra, 1.)
	return reasons
}

// move moves a slot and its keys.
func move(t *testing.T, nodes []*redistest.Server, slot int64, from, to int) {
	t.Helper()
	ids := []string{nodes[from].Do("cluster", "myid"), nodes[to].Do("cluster", "myid")}
	nodes[to].Do("cluster", "setslot", slot, "importing", ids[0])
	nodes[from].Do("cluster", "setslot", slot, "migrating", ids[1])
	host, port, _ := strings.Cut(nodes[to].Addr(), ":")
	for {
		keys := redistest.Do[[]any](t, nodes[from], "cluster", "getkeysinslot", slot, 100)
		if len(keys) == 0 {
			break
		}
		// It moves all keys of the slot at once. Otherwise a script could find only some of its
		// keys.
		nodes[from].Do(append([]any{"migrate", host, port, "", 0, 5000, "keys"}, keys...)...)
	}
	nodes[to].Do("cluster", "setslot", slot, "node", ids[1])
	nodes[from].Do("cluster", "setslot", slot, "node", ids[1])
	for n := range nodes {
		if n != from && n != to {
			nodes[n].Do("cluster", "setslot", slot, "node", ids[1])
		}
	}
}
