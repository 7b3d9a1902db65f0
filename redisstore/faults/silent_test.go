package faults

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/redisstore/internal/redistest"
	"github.com/ratelimit-go/ratelimit/store"
)

// The server is stopped, and its connections stay open. No request waits longer than the deadline,
// and the policy makes every decision.
func TestServerStopsAnswering(t *testing.T) {
	t.Parallel()
	const callers, pause = 4, 5 * time.Millisecond
	server := redistest.Start(t)
	policies := map[string]ratelimit.FailurePolicy{
		"open": ratelimit.FailOpen, "closed": ratelimit.FailClosed, "memory": ratelimit.UseMemory,
	}
	instances, loads := map[string]*instance{}, map[string]*load{}
	for name, policy := range policies {
		limits := ""
		if name == "memory" {
			limits = "100 per hour"
		}
		instances[name] = newInstance(t, server.Client(), limits, ratelimit.Config{OnStoreFailure: policy})
		loads[name] = startLoad(instances[name], callers, name, pause)
		loads[name].await(t, func(s *seen) bool { return s.total() >= 40 })
	}
	for _, l := range loads {
		l.sofar()
	}
	server.Pause()
	begin := time.Now()
	for name, l := range loads {
		i, s := instances[name], l.stop() // all calls under way are over
		t.Logf("%s: at first, %d decisions by the policy: most %v", name, s.open+s.closed, s.percentile(1))
		i.within(t, s)
		i.store.calls.Store(0)
		// The instances cache no denial of this user.
		loads[name] = startLoad(i, callers, name+" since", pause)
	}
	time.Sleep(time.Second)
	loads["memory"].await(t, func(s *seen) bool { return s.closed > 0 })
	goroutines := runtime.NumGoroutine()
	for name, l := range loads {
		i, s := instances[name], l.sofar()
		calls := i.store.calls.Load()
		t.Logf("%s: %d decisions, %d by the policy; p50 %v, p99 %v, most %v; the store was called %d times, reasons %v; %d goroutines",
			name, s.total(), s.open+s.closed, s.percentile(.5), s.percentile(.99), s.percentile(1), calls, i.failures(), goroutines)
		i.within(t, s)
		assert.Zero(t, s.allowed+s.denied, "%s: decided by a server that is stopped", name)
		// Five failures while the other callers wait too. Then a probe every 100 ms and its
		// deadline.
		assert.LessOrEqual(t, calls, 5+callers+int64(time.Since(begin)/(100*time.Millisecond+deadline)), "%s: only probes", name)
		switch name {
		case "open":
			assert.Zero(t, s.closed)
		case "closed":
			assert.Zero(t, s.open)
			d := i.take("x")
			assert.Equal(t, ratelimit.ReasonStore, d.Reason)
			assert.Positive(t, d.RetryAfter)
		case "memory":
			assert.LessOrEqual(t, s.open, int64(100), "the local limit")
		}
	}
	server.Resume()
	for name, i := range instances {
		t.Logf("%s: back after %v", name, i.back(t))
		loads[name].stop()
	}
}

// The server answers late. It decides within the deadline. After the deadline the policy does.
func TestSlowServer(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	w := newWire(t, server.Addr())
	patient := newInstance(t, w.client(), "", ratelimit.Config{StoreTimeout: 5 * time.Second})
	hasty := newInstance(t, w.client(), "", ratelimit.Config{})
	for _, i := range []*instance{patient, hasty} {
		i.back(t)
	}
	share := func(i *instance) (policy float64, s seen) {
		l := startLoad(i, 4, "a", 5*time.Millisecond)
		l.await(t, func(s *seen) bool { return s.total() >= 30 })
		s = l.stop()
		return float64(s.open) / float64(s.total()), s
	}
	w.toxic(`{"type": "latency", "attributes": {"latency": 150}}`)
	byPolicy, s := share(hasty)
	t.Logf("150 ms late, deadline %v: %.0f %% by the policy, p50 %v, p99 %v, reasons %v",
		deadline, 100*byPolicy, s.percentile(.5), s.percentile(.99), hasty.failures())
	assert.InDelta(t, 1, byPolicy, 0)
	hasty.within(t, s)
	byPolicy, s = share(patient)
	t.Logf("150 ms late, deadline 5 s: %.0f %% by the policy, p50 %v", 100*byPolicy, s.percentile(.5))
	assert.InDelta(t, 0, byPolicy, 0)
	assert.GreaterOrEqual(t, s.percentile(0), 150*time.Millisecond)
	w.heal()
	t.Logf("back after %v", hasty.back(t))

	// CLIENT PAUSE holds every command, and keeps the connections open.
	server.Do("client", "pause", 600, "all")
	begin := time.Now()
	byPolicy, s = share(hasty)
	if time.Since(begin) < 600*time.Millisecond {
		assert.InDelta(t, 1, byPolicy, 0)
	}
	hasty.within(t, s)
	only(t, hasty.failures(), store.ReasonTimeout)
	t.Logf("CLIENT PAUSE: %.0f %% by the policy; back after %v", 100*byPolicy, hasty.back(t))
}

// Packets get lost in one direction. If answers are lost, the takes are charged. If requests are
// lost, nothing is.
func TestOneWayPartition(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	direct := newInstance(t, server.Client(), "1000 per day", ratelimit.Config{StoreTimeout: 5 * time.Second})
	for _, direction := range []string{"upstream", "downstream"} {
		w := newWire(t, server.Addr())
		i := newInstance(t, w.client(), "1000 per day", ratelimit.Config{})
		require.Eventually(t, func() bool { return i.take(direction).StoreErr == nil }, soon, time.Millisecond)
		w.deaf(direction)
		before := direct.left(t, direction)
		i.store.calls.Store(0)
		var s seen
		for range 20 {
			begin := time.Now()
			s.add(i.take(direction), time.Since(begin))
		}
		assert.Zero(t, s.allowed+s.denied)
		assert.EqualValues(t, 20, s.open)
		i.within(t, s)
		charged := before - direct.left(t, direction)
		t.Logf("%s lost: p50 %v, p99 %v, called %d times, charged %d",
			direction, s.percentile(.5), s.percentile(.99), i.store.calls.Load(), charged)
		only(t, i.failures(), store.ReasonTimeout)
		if direction == "upstream" {
			assert.Zero(t, charged)
		} else {
			assert.LessOrEqual(t, charged, i.store.calls.Load(), "a token per lost answer")
		}
		w.heal()
		t.Logf("%s lost: back after %v", direction, i.back(t))
	}
}

// A take that timed out may be done when the server goes on. It is charged at most once.
func TestTimeoutIsChargedAtMostOnce(t *testing.T) {
	noLeaks(t)
	server := redistest.Start(t)
	// The client is told to retry often. It has the time for it, and open connections.
	const connections = 40
	client := redis.NewClient(&redis.Options{
		Addr: server.Addr(), ContextTimeoutEnabled: true, DisableIdentity: true,
		PoolSize:    connections,
		ReadTimeout: 20 * time.Millisecond, MaxRetries: 20, MinRetryBackoff: time.Millisecond, MaxRetryBackoff: time.Millisecond,
	})
	defer client.Close()
	i := newInstance(t, client, "100 per day", ratelimit.Config{StoreTimeout: 200 * time.Millisecond})
	i.back(t)
	var held []*redis.Conn
	for range connections {
		held = append(held, client.Conn())
		held[len(held)-1].Ping(t.Context())
	}
	for _, c := range held {
		require.NoError(t, c.Close())
	}
	i.failures()
	const callers = 4 // too few for the breaker
	server.Pause()
	var all sync.WaitGroup
	var failed atomic.Int64
	for range callers {
		all.Go(func() {
			if i.take("a").StoreErr != nil {
				failed.Add(1)
			}
		})
	}
	all.Wait()
	assert.EqualValues(t, callers, failed.Load())
	assert.EqualValues(t, callers, i.failures()[store.ReasonTimeout])
	server.Resume()
	patient := newInstance(t, server.Client(), "100 per day", ratelimit.Config{StoreTimeout: 10 * time.Second})
	charged := 100 - patient.left(t, "a")
	t.Logf("%d takes timed out, %d were charged", callers, charged)
	assert.Positive(t, charged, "no outcome was unknown")
	assert.LessOrEqual(t, charged, int64(callers))
}

// Clients hang up at any moment. Every allowed request has paid.
func TestClientsHangUp(t *testing.T) {
	noLeaks(t)
	const requests, burst = 10_000, 30_000
	server := redistest.Start(t)
	i := newInstance(t, server.Client(), "1 per day burst 30_000", ratelimit.Config{StoreTimeout: 30 * time.Second})
	require.NoError(t, server.Client().Ping(t.Context()).Err())
	var total, failed, hungUp atomic.Int64
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range requests / 16 {
				ctx, hangUp := context.WithCancel(context.Background())
				switch rand.IntN(4) {
				case 0:
					hangUp()
				case 1: // stays
				default:
					time.AfterFunc(time.Duration(rand.IntN(300))*time.Microsecond, hangUp)
				}
				d, err := i.Take(ctx, "r", ratelimit.UserKey("a"), 1)
				if ctx.Err() != nil {
					hungUp.Add(1)
				}
				if errors.Join(err, d.StoreErr) != nil {
					failed.Add(1)
				}
				if d.Allowed {
					total.Add(1)
				}
				hangUp()
			}
		})
	}
	all.Wait()
	charged := burst - i.left(t, "a")
	t.Logf("%d requests, %d hung up before the decision: %d allowed, %d charged, %d failed",
		requests, hungUp.Load(), total.Load(), charged, failed.Load())
	assert.Positive(t, hungUp.Load())
	assert.Zero(t, failed.Load())
	assert.Equal(t, total.Load(), charged)
}

// inFlight is a hook that counts the commands under way of a client.
type inFlight struct{ now, most atomic.Int64 }

func (h *inFlight) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *inFlight) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (h *inFlight) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		now := h.now.Add(1)
		defer h.now.Add(-1)
		for most := h.most.Load(); now > most && !h.most.CompareAndSwap(most, now); most = h.most.Load() {
		}
		return next(ctx, cmd)
	}
}

// No lock is held while a caller waits for the store, so 32 callers wait together.
func TestCallsWaitTogether(t *testing.T) {
	noLeaks(t)
	const callers, calls = 32, 20
	w := newWire(t, redistest.Start(t).Addr())
	client := redis.NewClient(&redis.Options{Addr: w.addr(), ContextTimeoutEnabled: true, PoolSize: callers})
	defer client.Close()
	var hook inFlight
	client.AddHook(&hook)
	i := newInstance(t, client, "", ratelimit.Config{StoreTimeout: 30 * time.Second})
	i.back(t)
	w.toxic(`{"type": "latency", "attributes": {"latency": 5}}`)
	var all sync.WaitGroup
	begin := time.Now()
	for range callers {
		all.Go(func() {
			for range calls {
				i.take("a")
			}
		})
	}
	all.Wait()
	took := time.Since(begin)
	t.Logf("%d decisions at 5 ms in %v: one after another they take %v; most commands at a time %d",
		callers*calls, took, callers*calls*5*time.Millisecond, hook.most.Load())
	assert.Greater(t, hook.most.Load(), int64(1))
	assert.Less(t, took, callers*calls*5*time.Millisecond/2)
}
