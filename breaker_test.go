package ratelimit

import (
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const ms = int64(time.Millisecond)

// shortest makes every dwell as short as it can be.
func shortest(int64) int64 { return 0 }

// longest makes every dwell as long as it can be.
func longest(n int64) int64 { return n - 1 }

// breakerTrace plays one call after another and writes down what happens.
type breakerTrace struct {
	breaker
	kept []ticket
}

var transitionNames = [...]string{unchanged: "", becameOpen: " -> open", becameRecovering: " -> recovering", becameClosed: " -> closed"}

// do asks at the instant now. "ok" and "fail" are calls that end at once, "keep" is one that
// is under way until it is "late ok" or "late fail", oldest first.
func (b *breakerTrace) do(now int64, what string) string {
	if what == "late ok" || what == "late fail" {
		t := b.kept[0]
		b.kept = b.kept[1:]
		return what + transitionNames[b.done(now, t, what == "late fail")]
	}
	t, allowed := b.allow(now)
	switch {
	case !allowed:
		return "no"
	case what == "keep":
		b.kept = append(b.kept, t)
		return "keep"
	}
	return what + transitionNames[b.done(now, t, what == "fail")]
}

func TestBreakerSequences(t *testing.T) {
	type step struct {
		at   int64 // in nanoseconds
		do   string
		want string
	}
	failures := func(at int64) []step {
		return []step{
			{at, "fail", "fail"},
			{at, "fail", "fail"},
			{at, "fail", "fail"},
			{at, "fail", "fail"},
			{at, "fail", "fail -> open"},
		}
	}
	// recovered is a probe at an instant, and the end of the ramp after it.
	recovered := func(at int64) []step {
		return []step{{at, "ok", "ok -> recovering"}, {at + 500*ms, "ok", "ok -> closed"}}
	}
	for _, tc := range []struct {
		name   string
		random func(int64) int64
		steps  [][]step
	}{
		{"a success between failures starts the count again", shortest, [][]step{
			{{0, "fail", "fail"}, {0, "fail", "fail"}, {0, "fail", "fail"}, {0, "fail", "fail"}, {0, "ok", "ok"}},
			failures(1),
			{{1, "ok", "no"}},
		}},
		{"the shortest first dwell is 100 ms", shortest, [][]step{
			failures(0), {{0, "ok", "no"}, {100*ms - 1, "ok", "no"}, {100 * ms, "ok", "ok -> recovering"}},
		}},
		{"the longest first dwell is 200 ms", longest, [][]step{
			failures(0), {{200*ms - 2, "ok", "no"}, {200*ms - 1, "ok", "ok -> recovering"}},
		}},
		{"a failed probe doubles the dwell up to 500 ms and is no event", shortest, [][]step{
			failures(0),
			{{100 * ms, "fail", "fail"}, {300*ms - 1, "ok", "no"}, {300 * ms, "fail", "fail"}},
			{{700*ms - 1, "ok", "no"}, {700 * ms, "fail", "fail"}, {1200*ms - 1, "ok", "no"}, {1200 * ms, "fail", "fail"}},
			{{1700*ms - 1, "ok", "no"}, {1700 * ms, "ok", "ok -> recovering"}},
		}},
		{"the longest dwell is one second", longest, [][]step{
			failures(0),
			{{200 * ms, "fail", "fail"}, {600 * ms, "fail", "fail"}, {1400 * ms, "fail", "fail"}},
			{{2400*ms - 2, "ok", "no"}, {2400*ms - 1, "ok", "ok -> recovering"}},
		}},
		{"only one call is the probe", shortest, [][]step{
			failures(0),
			{{100 * ms, "keep", "keep"}, {100 * ms, "ok", "no"}, {900 * ms, "ok", "no"}},
			{{1000 * ms, "", "late ok -> recovering"}},
		}},
		{"a failure in the ramp opens at once and for longer", shortest, [][]step{
			failures(0),
			{{100 * ms, "ok", "ok -> recovering"}, {599 * ms, "fail", "no"}, {599 * ms, "fail", "fail -> open"}},
			{{799*ms - 1, "ok", "no"}, {799 * ms, "ok", "ok -> recovering"}},
		}},
		{"the first outcome after the ramp closes, and a failure counts", shortest, [][]step{
			failures(0),
			{{100 * ms, "ok", "ok -> recovering"}},
			{{5000 * ms, "fail", "fail -> closed"}, {5000 * ms, "fail", "fail"}, {5000 * ms, "fail", "fail"}},
			{{5000 * ms, "fail", "fail"}, {5000 * ms, "fail", "fail -> open"}},
		}},
		{"the dwell is not forgotten within ten seconds", shortest, [][]step{
			failures(0), recovered(100 * ms), failures(10_600*ms - 1), {{10_800*ms - 2, "ok", "no"}, {10_800*ms - 1, "ok", "ok -> recovering"}},
		}},
		{"the dwell is forgotten after ten seconds", shortest, [][]step{
			failures(0), recovered(100 * ms), failures(10_600 * ms), {{10_700*ms - 1, "ok", "no"}, {10_700 * ms, "ok", "ok -> recovering"}},
		}},
		{"calls begun before the opening do not count after it", shortest, [][]step{
			{{0, "keep", "keep"}, {0, "keep", "keep"}, {0, "keep", "keep"}, {0, "keep", "keep"}},
			failures(0),
			{{50 * ms, "", "late fail"}, {99 * ms, "", "late ok"}, {100 * ms, "keep", "keep"}},
			{{101 * ms, "", "late ok"}, {101 * ms, "ok", "no"}, {102 * ms, "", "late fail"}, {103 * ms, "", "late ok -> recovering"}},
		}},
		{"calls begun before the opening do not count in the ramp", shortest, [][]step{
			{{0, "keep", "keep"}},
			failures(0),
			{{100 * ms, "ok", "ok -> recovering"}, {101 * ms, "", "late fail"}, {600 * ms, "ok", "ok -> closed"}},
		}},
		{"a lost probe is given up after a second, and is out of date", shortest, [][]step{
			failures(0),
			{{100 * ms, "keep", "keep"}, {1100*ms - 1, "ok", "no"}, {1100 * ms, "keep", "keep"}},
			{{1101 * ms, "", "late fail"}, {1102 * ms, "ok", "no"}, {1103 * ms, "", "late ok -> recovering"}},
		}},
		{"a clock that goes back a little changes nothing", shortest, [][]step{
			failures(100 * ms),
			{{90 * ms, "ok", "no"}, {200 * ms, "ok", "ok -> recovering"}},
			{{199 * ms, "ok", "no"}, {700 * ms, "ok", "ok -> closed"}, {699 * ms, "fail", "fail"}, {698 * ms, "ok", "ok"}},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := &breakerTrace{breaker: breaker{random: tc.random}}
			n := 0
			for _, steps := range tc.steps {
				for _, s := range steps {
					if s.do == "" {
						s.do, _, _ = strings.Cut(s.want, " -> ")
					}
					require.Equal(t, s.want, b.do(s.at, s.do), "step %d: %s at %v", n, s.do, time.Duration(s.at))
					n++
				}
			}
		})
	}
}

func openBreaker(t testing.TB, random func(int64) int64) *breaker {
	t.Helper()
	b := &breaker{random: random}
	for range breakerFailures {
		tk, ok := b.allow(0)
		require.True(t, ok)
		b.done(0, tk, true)
	}
	_, ok := b.allow(0)
	require.False(t, ok)
	return b
}

func TestBreakerSendsOneProbeAtATime(t *testing.T) {
	b := openBreaker(t, shortest)
	var asked atomic.Int64
	var probe ticket
	everybody := func(now int64) int64 {
		asked.Store(0)
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				if tk, ok := b.allow(now); ok {
					asked.Add(1)
					probe = tk
				}
			})
		}
		wg.Wait()
		return asked.Load()
	}
	assert.EqualValues(t, 0, everybody(99*ms))
	assert.EqualValues(t, 1, everybody(100*ms), "the first probe")
	assert.EqualValues(t, 0, everybody(200*ms), "while the first probe is under way")
	b.done(300*ms, probe, true)
	assert.EqualValues(t, 0, everybody(499*ms), "after the first probe")
	assert.EqualValues(t, 1, everybody(500*ms), "the second probe")
	assert.EqualValues(t, 1, everybody(1500*ms), "once the second probe is given up")
	assert.Equal(t, becameRecovering, b.done(1500*ms, probe, false))
}

func TestBreakerOpensOnceForManyFailures(t *testing.T) {
	var b breaker
	tickets := make([]ticket, 1000)
	for i := range tickets {
		var ok bool
		tickets[i], ok = b.allow(0)
		require.True(t, ok)
	}
	var opened atomic.Int64
	var wg sync.WaitGroup
	for _, tk := range tickets {
		wg.Go(func() {
			if b.done(0, tk, true) == becameOpen {
				opened.Add(1)
			}
		})
	}
	wg.Wait()
	assert.EqualValues(t, 1, opened.Load())
	_, ok := b.allow(200 * ms)
	assert.True(t, ok, "late failures must not push the probe out")
}

// The number of calls that ask is, at any point of the ramp, the sum of the shares of all
// calls so far, less a fraction of one call.
func TestBreakerRampShare(t *testing.T) {
	for _, each := range []int64{10_000, 100_000, 1 * ms, 7 * ms, 50 * ms} {
		b := openBreaker(t, shortest)
		probe, ok := b.allow(100 * ms)
		require.True(t, ok)
		require.Equal(t, becameRecovering, b.done(100*ms, probe, false))
		asked, due := int64(0), int64(0)
		for range 5 {
			due += 100
			_, ok := b.allow(0)
			require.False(t, ok, "a clock that lags behind the start of the ramp gets the share of its start")
		}
		for at := int64(0); at <= 500*ms; at += each {
			due += 100 + 900*at/(500*ms)
			if _, ok := b.allow(100*ms + at); ok {
				asked++
			}
			require.Equal(t, due/1000, asked, "%v into the ramp, a call each %v", time.Duration(at), time.Duration(each))
		}
		for range 100 {
			_, ok := b.allow(600 * ms)
			require.True(t, ok, "all calls ask after the ramp")
		}
	}
}

// world is a store that is up or down, and callers with a breaker in front of it.
type world struct {
	breaker
	rnd    *rand.Rand
	up     func(at int64) bool
	flight []call
	events []event
	asked  []int64
}

type call struct {
	ticket
	ends   int64
	failed bool
}

type event struct {
	at int64
	transition
}

// run has callers come at random, one each millisecond or so, until end. A call ends within
// 2 ms, or fails, at once or after a timeout of 50 ms.
func (w *world) run(end int64) {
	for at := int64(0); at < end; at += w.rnd.Int64N(2 * ms) {
		left := w.flight[:0]
		for _, c := range w.flight {
			if c.ends > at {
				left = append(left, c)
			} else if tr := w.done(c.ends, c.ticket, c.failed); tr != unchanged {
				w.events = append(w.events, event{c.ends, tr})
			}
		}
		w.flight = left
		if tk, ok := w.allow(at); ok {
			w.asked = append(w.asked, at)
			c := call{tk, at + w.rnd.Int64N(2*ms), !w.up(at)}
			if c.failed && w.rnd.IntN(2) == 0 {
				c.ends = at + 50*ms
			}
			w.flight = append(w.flight, c)
		}
	}
}

func TestBreakerIsBackWithinTwoSeconds(t *testing.T) {
	for seed := range uint64(100) {
		w := &world{rnd: rand.New(rand.NewPCG(seed, 1))}
		w.random = w.rnd.Int64N
		down := w.rnd.Int64N(2000 * ms)
		back := down + 100*ms + w.rnd.Int64N(6000*ms)
		w.up = func(at int64) bool { return at < down || at >= back }
		w.run(back + 4000*ms)
		require.NotEmpty(t, w.events, "seed %d", seed)
		last := w.events[len(w.events)-1]
		require.Equal(t, becameClosed, last.transition, "seed %d: %v", seed, w.events)
		require.Less(t, last.at, back+2000*ms, "seed %d: back at %d: %v", seed, back, w.events)
		require.Equal(t, becameOpen, w.events[0].transition, "seed %d", seed)
		require.Less(t, w.events[0].at, down+100*ms, "seed %d", seed)
	}
}

// A store that comes and goes five times a second is mostly left alone.
func TestBreakerDoesNotFlap(t *testing.T) {
	w := &world{rnd: rand.New(rand.NewPCG(3, 4))}
	w.random = w.rnd.Int64N
	w.up = func(at int64) bool { return at/(100*ms)%2 == 0 }
	const minute = 60_000 * ms
	w.run(minute)
	opened := map[transition]int{}
	for i, e := range w.events {
		opened[e.transition]++
		if i > 0 {
			require.NotEqual(t, w.events[i-1].transition, e.transition, "two events of one kind in a row")
		}
		if i > 8 && e.transition == becameRecovering {
			assert.GreaterOrEqual(t, e.at-w.events[i-1].at, breakerMaxDwell, "a short dwell")
		}
	}
	assert.Zero(t, opened[becameClosed])
	assert.InDelta(t, 60, opened[becameOpen], 40, "openings in a minute: %d", opened[becameOpen])
	down := 0
	for _, at := range w.asked {
		if !w.up(at) {
			down++
		}
	}
	assert.Less(t, down, 600, "calls to a dead store in a minute, of %d a caller made", minute/ms)
}

func TestBreakerUnderLoad(t *testing.T) {
	var b breaker
	var clock atomic.Int64
	var mu sync.Mutex
	var events []transition
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(n), 2))
			for range 5000 {
				now := clock.Add(rnd.Int64N(ms/2)) - rnd.Int64N(ms)
				tk, ok := b.allow(now)
				if !ok || rnd.IntN(500) == 0 {
					continue // turned away, or died before it could report
				}
				if tr := b.done(now, tk, now/(1000*ms)%2 == 0); tr != unchanged {
					mu.Lock()
					events = append(events, tr)
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	assert.NotEmpty(t, events)
	end := clock.Load()
	for i := range int64(10_000) {
		if tk, ok := b.allow(end + i*ms); ok {
			b.done(end+i*ms, tk, false)
		}
	}
	assert.Zero(t, uint32(b.state.Load()), "closed in the end, without failures")
}

func TestBreakerAllocatesNothing(t *testing.T) {
	var b breaker
	now := int64(0)
	assert.Zero(t, testing.AllocsPerRun(1000, func() {
		now += 10 * ms
		if tk, ok := b.allow(now); ok {
			b.done(now, tk, now/(1000*ms)%2 == 0)
		}
	}))
}

func BenchmarkBreakerClosed(b *testing.B) {
	var br breaker
	b.ReportAllocs()
	for b.Loop() {
		tk, _ := br.allow(1)
		br.done(1, tk, false)
	}
}

func BenchmarkBreakerOpen(b *testing.B) {
	br := openBreaker(b, longest)
	b.ReportAllocs()
	for b.Loop() {
		br.allow(1)
	}
}
