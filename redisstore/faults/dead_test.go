package faults

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/redisstore/internal/redistest"
	"github.com/ratelimit-go/ratelimit/store"
)

// The server is killed. After five failures the limiter sends only probes, and no request waits.
func TestServerIsKilled(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	i := newInstance(t, server.Client(), "", ratelimit.Config{StoreTimeout: time.Second})
	i.back(t)
	server.Kill()
	i.store.calls.Store(0)
	begin := time.Now()
	n := 0
	for down := false; !down && n < 100; n++ {
		d := i.take("a")
		require.Error(t, d.StoreErr)
		down = errors.Is(d.StoreErr, store.ErrDown)
	}
	opened := time.Since(begin)
	assert.EqualValues(t, 5, i.store.calls.Load())
	assert.Equal(t, 6, n)
	assert.Less(t, opened, 5*i.timeout)
	only(t, i.failures(), store.ReasonConnect)

	l := startLoad(i, 4, "a", time.Millisecond)
	time.Sleep(time.Second)
	s := l.stop()
	calls, down := i.store.calls.Load()-5, time.Since(begin)
	t.Logf("open after %v and 5 calls; then %d decisions in a second: p50 %v, p99 %v, most %v, the store was called %d times",
		opened, s.total(), s.percentile(.5), s.percentile(.99), s.percentile(1), calls)
	i.within(t, s)
	assert.Equal(t, s.total(), s.open)
	assert.LessOrEqual(t, calls, int64(down/(100*time.Millisecond)), "there is a pause of 100 ms or more before each probe")
	server.Restart()
	t.Logf("back after %v", i.back(t))
}

// The connection to the server recovers while 50 instances wait for it. Each instance sends one
// probe, not one per caller, and not all instances at the same time.
func TestManyInstancesOnReturn(t *testing.T) {
	t.Parallel()
	const instances, callers = 50, 2
	server := redistest.Start(t)
	w := newWire(t, server.Addr())
	var all [instances]*instance
	var loads [instances]*load
	for n := range all {
		all[n] = newInstance(t, w.client(), "", ratelimit.Config{StoreTimeout: 10 * time.Second})
		loads[n] = startLoad(all[n], callers, "a", 50*time.Millisecond)
	}
	for _, l := range loads {
		l.await(t, func(s *seen) bool { return s.allowed > 0 })
	}
	w.cut()
	for _, i := range all {
		require.Eventually(t, func() bool { return i.events.Load() > 0 }, soon, 10*time.Millisecond)
	}
	for _, i := range all {
		i.store.calls.Store(0)
		i.store.most.Store(0)
	}
	time.Sleep(1500 * time.Millisecond)
	var probes, most int64
	for _, i := range all {
		probes, most = probes+i.store.calls.Load(), max(most, i.store.most.Load())
		i.store.calls.Store(0)
	}
	t.Logf("cut: %d instances of %d callers sent %d probes in 1.5 s; most at a time by one instance %d", instances, callers, probes, most)
	assert.LessOrEqual(t, probes, int64(instances*16))
	assert.LessOrEqual(t, most, int64(1), "an instance sends one probe at a time")

	for _, l := range loads {
		l.sofar()
	}
	w.mend()
	begin := time.Now()
	var herd []string // the share of decisions that called the server, per tenth of a second
	for n := range 20 {
		time.Sleep(100 * time.Millisecond)
		var decisions, calls int64
		for k, i := range all {
			s := loads[k].sofar()
			decisions, calls = decisions+s.total(), calls+i.store.calls.Swap(0)
			assert.Zero(t, s.closed+s.denied)
		}
		share := float64(calls) / float64(decisions)
		herd = append(herd, fmt.Sprintf("%.2f", share))
		if n == 0 && time.Since(begin) < 200*time.Millisecond {
			assert.Less(t, share, 0.5, "all instances return at once")
		}
	}
	t.Logf("mended: the share of decisions that call the server, per tenth of a second: %v", herd)
	for n, l := range loads {
		all[n].back(t)
		l.stop()
	}
}

// The connection to the server comes and goes five times per second. The state of the store changes
// at most a few times per second, and each change is reported once.
func TestFlappingServer(t *testing.T) {
	t.Parallel()
	w := newWire(t, redistest.Start(t).Addr())
	i := newInstance(t, w.client(), "", ratelimit.Config{})
	l := startLoad(i, 4, "a", 2*time.Millisecond)
	l.await(t, func(s *seen) bool { return s.allowed > 10 })
	const flaps = 20
	begin := time.Now()
	for range flaps {
		w.cut()
		time.Sleep(100 * time.Millisecond)
		w.mend()
		time.Sleep(100 * time.Millisecond)
	}
	s, took := l.sofar(), time.Since(begin)
	events := i.events.Load()
	t.Logf("%d flaps in %v: %d decisions, %d by the store; p99 %v, most %v; %d events, %.0f in a minute",
		flaps, took, s.total(), s.allowed, s.percentile(.99), s.percentile(1), events, float64(events)/took.Minutes())
	i.within(t, s)
	assert.Zero(t, s.denied+s.closed)
	assert.Positive(t, events)
	// Each time the store is down twice as long as before, up to at least half a second. There are
	// two events each time: down and recovering.
	assert.LessOrEqual(t, events, 2*(int64(took/(500*time.Millisecond))+3))
	t.Logf("back after %v", i.back(t))
	l.stop()
}

// The client is closed under load. The policy decides, nothing panics, and no goroutine is left.
func TestClientIsClosed(t *testing.T) {
	server := redistest.Start(t)
	noLeaks(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), ContextTimeoutEnabled: true, DialerRetries: 1})
	i := newInstance(t, client, "", ratelimit.Config{})
	l := startLoad(i, 8, "a", time.Millisecond)
	l.await(t, func(s *seen) bool { return s.allowed > 100 })
	require.NoError(t, client.Close())
	assert.Error(t, client.Close())
	l.sofar()
	l.await(t, func(s *seen) bool { return s.total() > 100 })
	s := l.stop()
	t.Logf("client closed: %d decisions, %d by the policy, most %v, reasons %v", s.total(), s.open, s.percentile(1), i.failures())
	i.within(t, s)
	assert.Zero(t, s.denied+s.closed)
	assert.Error(t, i.take("a").StoreErr)
}
