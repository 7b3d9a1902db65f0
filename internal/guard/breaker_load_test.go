package guard

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/store"
)

// world is a store that is up or down, and callers with a breaker in front of it.
type world struct {
	breaker
	rnd    *rand.Rand
	up     func(at time.Duration) bool
	flight []flying
	events []event
	calls  []time.Duration
}

type flying struct {
	ticket
	ends   time.Duration
	failed bool
}

type event struct {
	at    time.Duration
	state store.State
}

// run has calls arrive at random, one each millisecond or so, until end. A call ends within 2 ms. A
// call that fails does so at once or after a timeout of 50 ms.
func (w *world) run(end time.Duration) {
	for at := time.Duration(0); at < end; at += w.upTo(2 * ms) {
		left := w.flight[:0]
		for _, c := range w.flight {
			if c.ends > at {
				left = append(left, c)
			} else if state := w.done(c.ends, c.ticket, c.failed); state != "" {
				w.events = append(w.events, event{c.ends, state})
			}
		}
		w.flight = left
		if tk, ok := w.allow(at); ok {
			w.calls = append(w.calls, at)
			c := flying{tk, at + w.upTo(2*ms), !w.up(at)}
			if c.failed && w.rnd.IntN(2) == 0 {
				c.ends = at + 50*ms
			}
			w.flight = append(w.flight, c)
		}
	}
}

func (w *world) upTo(n time.Duration) time.Duration { return time.Duration(w.rnd.Int64N(int64(n))) }

func TestBreakerRecoversWithinTwoSeconds(t *testing.T) {
	for seed := range uint64(100) {
		w := &world{rnd: rand.New(rand.NewPCG(seed, 1))}
		w.random = w.upTo
		down := w.upTo(2000 * ms)
		back := down + 100*ms + w.upTo(6000*ms)
		w.up = func(at time.Duration) bool { return at < down || at >= back }
		w.run(back + 4000*ms)
		require.NotEmpty(t, w.events, "seed %d", seed)
		last := w.events[len(w.events)-1]
		require.Equal(t, store.Up, last.state, "seed %d: %v", seed, w.events)
		require.Less(t, last.at, back+2000*ms, "seed %d: back at %d: %v", seed, back, w.events)
		require.Equal(t, store.Down, w.events[0].state, "seed %d", seed)
		require.Less(t, w.events[0].at, down+100*ms, "seed %d", seed)
	}
}

// A store that fails and recovers five times a second receives few calls.
func TestBreakerDoesNotFlap(t *testing.T) {
	w := &world{rnd: rand.New(rand.NewPCG(3, 4))}
	w.random = w.upTo
	w.up = func(at time.Duration) bool { return at/(100*ms)%2 == 0 }
	const minute = 60_000 * ms
	w.run(minute)
	entered := map[store.State]int{}
	for i, e := range w.events {
		entered[e.state]++
		if i > 0 {
			require.NotEqual(t, w.events[i-1].state, e.state, "two events of one kind in a row")
		}
		if i > 8 && e.state == store.Recovering {
			assert.GreaterOrEqual(t, e.at-w.events[i-1].at, maxDwell, "a short dwell")
		}
	}
	assert.Zero(t, entered[store.Up])
	assert.InDelta(t, 60, entered[store.Down], 40, "openings in a minute: %d", entered[store.Down])
	down := 0
	for _, at := range w.calls {
		if !w.up(at) {
			down++
		}
	}
	assert.Less(t, down, 600, "calls to a dead store in a minute, of %d that arrived", minute/ms)
}

func TestBreakerUnderLoad(t *testing.T) {
	var b breaker
	var clock atomic.Int64
	var mu sync.Mutex
	var events []store.State
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(n), 2))
			for range 5000 {
				now := time.Duration(clock.Add(rnd.Int64N(int64(ms/2))) - rnd.Int64N(int64(ms)))
				tk, ok := b.allow(now)
				if !ok || rnd.IntN(500) == 0 {
					continue // did not pass, or died before it could report
				}
				if state := b.done(now, tk, now/(1000*ms)%2 == 0); state != "" {
					mu.Lock()
					events = append(events, state)
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	assert.NotEmpty(t, events)
	end := time.Duration(clock.Load())
	for i := range time.Duration(10_000) {
		if tk, ok := b.allow(end + i*ms); ok {
			b.done(end+i*ms, tk, false)
		}
	}
	assert.Zero(t, uint32(b.state.Load()), "closed in the end, without failures")
}

func TestBreakerAllocatesNothing(t *testing.T) {
	var b breaker
	now := time.Duration(0)
	assert.Zero(t, testing.AllocsPerRun(1000, func() {
		now += 10 * ms
		if tk, ok := b.allow(now); ok {
			b.done(now, tk, now/(1000*ms)%2 == 0)
		}
	}))
}

func BenchmarkBreaker(b *testing.B) {
	b.Run("closed", func(b *testing.B) {
		var br breaker
		b.ReportAllocs()
		for b.Loop() {
			tk, _ := br.allow(1)
			br.done(1, tk, false)
		}
	})
	b.Run("open", func(b *testing.B) {
		br := openBreaker(b, longest)
		b.ReportAllocs()
		for b.Loop() {
			br.allow(1)
		}
	})
}
