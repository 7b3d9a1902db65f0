package guard

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/store"
)

// shortest makes every dwell as short as it can be.
func shortest(time.Duration) time.Duration { return 0 }

// longest makes every dwell as long as it can be.
func longest(n time.Duration) time.Duration { return n - 1 }

// breakerTrace plays one call after another and writes down what happens.
type breakerTrace struct {
	breaker
	kept []ticket
}

// do makes a call at the instant now. "ok" and "fail" are calls that end at once. "keep" is a call
// that is under way until "late ok" or "late fail", oldest first. The answer "no" means that the
// call did not pass.
func (b *breakerTrace) do(now time.Duration, what string) string {
	if what == "late ok" || what == "late fail" {
		t := b.kept[0]
		b.kept = b.kept[1:]
		return what + changeText(b.done(now, t, what == "late fail"))
	}
	t, allowed := b.allow(now)
	switch {
	case !allowed:
		return "no"
	case what == "keep":
		b.kept = append(b.kept, t)
		return "keep"
	}
	return what + changeText(b.done(now, t, what == "fail"))
}

func changeText(s store.State) string {
	if s == "" {
		return ""
	}
	return " -> " + string(s)
}

func TestBreakerSequences(t *testing.T) {
	type step struct {
		at   time.Duration
		do   string
		want string
	}
	failures := func(at time.Duration) []step {
		return []step{
			{at, "fail", "fail"},
			{at, "fail", "fail"},
			{at, "fail", "fail"},
			{at, "fail", "fail"},
			{at, "fail", "fail -> down"},
		}
	}
	// recovered is a probe at an instant, and the end of the ramp after it.
	recovered := func(at time.Duration) []step {
		return []step{{at, "ok", "ok -> recovering"}, {at + 500*ms, "ok", "ok -> up"}}
	}
	for _, tc := range []struct {
		name   string
		random func(time.Duration) time.Duration
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
			{{100 * ms, "ok", "ok -> recovering"}, {599 * ms, "fail", "no"}, {599 * ms, "fail", "fail -> down"}},
			{{799*ms - 1, "ok", "no"}, {799 * ms, "ok", "ok -> recovering"}},
		}},
		{"the first outcome after the ramp closes, and a failure counts", shortest, [][]step{
			failures(0),
			{{100 * ms, "ok", "ok -> recovering"}},
			{{5000 * ms, "fail", "fail -> up"}, {5000 * ms, "fail", "fail"}, {5000 * ms, "fail", "fail"}},
			{{5000 * ms, "fail", "fail"}, {5000 * ms, "fail", "fail -> down"}},
		}},
		{"the dwell is not forgotten within ten seconds", shortest, [][]step{
			failures(0), recovered(100 * ms), failures(10_600*ms - 1),
			{{10_800*ms - 2, "ok", "no"}, {10_800*ms - 1, "ok", "ok -> recovering"}},
		}},
		{"the dwell is forgotten after ten seconds", shortest, [][]step{
			failures(0), recovered(100 * ms), failures(10_600 * ms),
			{{10_700*ms - 1, "ok", "no"}, {10_700 * ms, "ok", "ok -> recovering"}},
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
			{{100 * ms, "ok", "ok -> recovering"}, {101 * ms, "", "late fail"}, {600 * ms, "ok", "ok -> up"}},
		}},
		{"a lost probe is given up after a second, and is out of date", shortest, [][]step{
			failures(0),
			{{100 * ms, "keep", "keep"}, {1100*ms - 1, "ok", "no"}, {1100 * ms, "keep", "keep"}},
			{{1101 * ms, "", "late fail"}, {1102 * ms, "ok", "no"}, {1103 * ms, "", "late ok -> recovering"}},
		}},
		{"a clock that goes back a little changes nothing", shortest, [][]step{
			failures(100 * ms),
			{{90 * ms, "ok", "no"}, {200 * ms, "ok", "ok -> recovering"}},
			{{199 * ms, "ok", "no"}, {700 * ms, "ok", "ok -> up"}, {699 * ms, "fail", "fail"}, {698 * ms, "ok", "ok"}},
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
					require.Equal(t, s.want, b.do(s.at, s.do), "step %d: %s at %v", n, s.do, s.at)
					n++
				}
			}
		})
	}
}

func openBreaker(t testing.TB, random func(time.Duration) time.Duration) *breaker {
	t.Helper()
	b := &breaker{random: random}
	for range openAfter {
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
	var passed atomic.Int64
	var probe ticket
	everyCaller := func(now time.Duration) int64 {
		passed.Store(0)
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				if tk, ok := b.allow(now); ok {
					passed.Add(1)
					probe = tk
				}
			})
		}
		wg.Wait()
		return passed.Load()
	}
	assert.EqualValues(t, 0, everyCaller(99*ms))
	assert.EqualValues(t, 1, everyCaller(100*ms), "the first probe")
	assert.EqualValues(t, 0, everyCaller(200*ms), "while the first probe is under way")
	b.done(300*ms, probe, true)
	assert.EqualValues(t, 0, everyCaller(499*ms), "after the first probe")
	assert.EqualValues(t, 1, everyCaller(500*ms), "the second probe")
	assert.EqualValues(t, 1, everyCaller(1500*ms), "once the second probe is given up")
	assert.Equal(t, store.Recovering, b.done(1500*ms, probe, false))
}

// A caller that finds the breaker closed only once it has the lock passes.
func TestBreakerLooksAgainUnderTheLock(t *testing.T) {
	var b breaker
	tk, ok := b.allowSlow(0)
	assert.True(t, ok)
	assert.Zero(t, tk)
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
			if b.done(0, tk, true) == store.Down {
				opened.Add(1)
			}
		})
	}
	wg.Wait()
	assert.EqualValues(t, 1, opened.Load())
	_, ok := b.allow(200 * ms)
	assert.True(t, ok, "late failures must not delay the probe")
}

// The number of calls that pass is, at any point of the ramp, the sum of the shares of all calls so
// far, less a fraction of one call.
func TestBreakerRampShare(t *testing.T) {
	for _, each := range []time.Duration{10 * time.Microsecond, 100 * time.Microsecond, 1 * ms, 7 * ms, 50 * ms} {
		b := openBreaker(t, shortest)
		probe, ok := b.allow(100 * ms)
		require.True(t, ok)
		require.Equal(t, store.Recovering, b.done(100*ms, probe, false))
		passed, due := int64(0), int64(0)
		for range 5 {
			due += 100
			_, ok := b.allow(0)
			require.False(t, ok, "a clock that lags behind the start of the ramp gets the share of its start")
		}
		for at := time.Duration(0); at <= 500*ms; at += each {
			due += 100 + int64(900*at/(500*ms))
			if _, ok := b.allow(100*ms + at); ok {
				passed++
			}
			require.Equal(t, due/1000, passed, "%v into the ramp, a call each %v", at, each)
		}
		for range 100 {
			_, ok := b.allow(600 * ms)
			require.True(t, ok, "all calls pass after the ramp")
		}
	}
}

// A call that ends what an earlier one began passes in the ramp, and not while the store is down.
func TestBreakerLetsFollowUpsPassInTheRamp(t *testing.T) {
	b := openBreaker(t, shortest)
	_, ok := b.allowFollowUp(99 * ms)
	assert.False(t, ok)
	probe, ok := b.allowFollowUp(100 * ms)
	require.True(t, ok)
	_, ok = b.allowFollowUp(100 * ms)
	assert.False(t, ok, "while the probe is under way")
	require.Equal(t, store.Recovering, b.done(100*ms, probe, false))
	for range 100 {
		_, ok := b.allowFollowUp(100 * ms)
		require.True(t, ok)
	}
	_, ok = b.allow(100 * ms)
	assert.False(t, ok)
}
