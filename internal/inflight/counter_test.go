package inflight

import (
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// take takes permits, and reports whether they were there.
func take(c *Counter, want ...Permit) bool {
	missing, _ := c.Take(want)
	return missing == nil
}

func TestTakeForEachRuleAndKey(t *testing.T) {
	c := NewCounter()
	alice := permit("exports", "alice", 2)
	assert.True(t, take(c, alice))
	assert.True(t, take(c, alice))
	missing, wait := c.Take([]Permit{alice})
	assert.Equal(t, &alice, missing)
	assert.Equal(t, time.Second, wait)
	assert.True(t, take(c, permit("exports", "bob", 2)), "another key")
	assert.True(t, take(c, permit("imports", "alice", 2)), "another rule")
	permits, holders := c.Held()
	assert.Equal(t, []int{4, 3}, []int{permits, holders})
	c.Release([]Permit{alice}, false)
	assert.True(t, take(c, alice))
}

func TestTakeTakesAllOrNone(t *testing.T) {
	c := NewCounter()
	total := permit("total", "all", 2)
	of := func(name string) []Permit { return []Permit{total, permit("client", name, 1)} }
	require.True(t, take(c, of("alice")...))
	for range 5 {
		missing, _ := c.Take(of("alice"))
		require.Equal(t, "client", missing.Rule)
	}
	require.True(t, take(c, of("bob")...))
	for range 5 {
		missing, _ := c.Take(of("carol"))
		require.Equal(t, "total", missing.Rule)
	}
	c.Release(of("alice"), false)
	c.Release(of("bob"), false)
	requireNoneHeld(t, c)
}

func TestTakeReturnsTheLongestWait(t *testing.T) {
	c := NewCounter()
	want := []Permit{permit("quick", "a", 1), permit("slow", "a", 1), permit("medium", "a", 1)}
	require.True(t, take(c, want...))
	for i, d := range []time.Duration{2 * time.Second, 30 * time.Second, 10 * time.Second} {
		want[i].Meter.Took(d)
	}
	missing, wait := c.Take(want)
	assert.Same(t, &want[1], missing)
	assert.Equal(t, 30*time.Second, wait)
}

func TestMaxMayChangeInFlight(t *testing.T) {
	c := NewCounter()
	for range 3 {
		require.True(t, take(c, permit("r", "a", 3)))
	}
	fewer := permit("r", "a", 2)
	fewer.Meter.Took(9 * time.Second)
	_, wait := c.Take([]Permit{fewer})
	assert.Equal(t, 6*time.Second, wait, "two of three must end")
	c.Release([]Permit{fewer}, false)
	assert.False(t, take(c, fewer), "two are still in flight")
	c.Release([]Permit{fewer}, false)
	assert.True(t, take(c, fewer))
	assert.False(t, take(c, permit("r", "a", 1)))
	c.Release([]Permit{fewer}, false)
	c.Release([]Permit{fewer}, false)
	requireNoneHeld(t, c)
}

func TestGoOn(t *testing.T) {
	c := NewCounter()
	p := permit("r", "a", 10)
	p.Alone = 2
	both := []Permit{permit("all", "all", 10), p}
	for range 5 {
		require.True(t, take(c, both...))
	}
	for range 2 {
		missing, _ := c.GoOn(both, true)
		require.Nil(t, missing)
	}
	for range 2 {
		missing, n := c.GoOn(both, true)
		require.Same(t, &both[1], missing)
		require.Equal(t, 3, n)
	}
	c.GoOn(both, false)
	_, n := c.GoOn(both, true)
	assert.Equal(t, 4, n, "a request for which the store has answered counts")
	c.Release(both, true)
	c.Release(both, false)
	_, n = c.GoOn(both, true)
	assert.Equal(t, 3, n, "a request that has not gone on does not count")
	for _, going := range []bool{true, true, false} {
		c.Release(both, going)
	}
	requireNoneHeld(t, c)
}

// A gauge counts what is inside it, and the most there ever was.
type gauge struct{ now, most atomic.Int64 }

func (g *gauge) enter() {
	n := g.now.Add(1)
	for most := g.most.Load(); n > most && !g.most.CompareAndSwap(most, n); most = g.most.Load() {
	}
}

// Requests for two rules take permits from many goroutines at once, in either order.
func TestTakeFromManyGoroutines(t *testing.T) {
	const (
		clients   = 8
		perClient = 3
		total     = 10
		requests  = 200 // by each of the goroutines
	)
	c := NewCounter()
	var all gauge
	var each [clients]gauge
	var allowed, denied atomic.Int64
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for range requests {
				client := rand.IntN(clients)
				want := []Permit{permit("each", strconv.Itoa(client), perClient), permit("all", "all", total)}
				if rand.IntN(2) == 0 {
					want[0], want[1] = want[1], want[0]
				}
				if !take(c, want...) {
					denied.Add(1)
					continue
				}
				allowed.Add(1)
				all.enter()
				each[client].enter()
				time.Sleep(time.Duration(rand.IntN(20)) * time.Microsecond)
				missing, _ := c.GoOn(want, true)
				assert.Nil(t, missing)
				each[client].now.Add(-1)
				all.now.Add(-1)
				c.Release(want, true)
			}
		})
	}
	wg.Wait()
	for i := range each {
		assert.LessOrEqual(t, each[i].most.Load(), int64(perClient), "client %d", i)
	}
	assert.LessOrEqual(t, all.most.Load(), int64(total))
	assert.Positive(t, allowed.Load())
	assert.Positive(t, denied.Load())
	requireNoneHeld(t, c)
}

func BenchmarkTakeRelease(b *testing.B) {
	for name, want := range map[string][]Permit{
		"one rule":  {permit("client", "alice", 1000)},
		"two rules": {permit("client", "alice", 1000), permit("total", "all", 1000)},
	} {
		c := NewCounter()
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if missing, _ := c.Take(want); missing != nil {
					b.Fatal("denied")
				}
				c.Release(want, false)
			}
		})
	}
}
