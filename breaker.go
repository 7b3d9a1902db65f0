package ratelimit

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// A breaker decides whether a store that may be dead is asked at all. It is a state
// machine without a clock: the caller passes in nanoseconds of a monotonic one, whose
// readings may arrive a little out of order.
//
//	closed    everybody asks
//	open      nobody asks until the dwell has passed
//	probing   one call asks, the others do not
//	ramping   a growing share of calls asks
//
// From closed to open it takes breakerFailures failures in a row. A failed probe and any
// failure in the ramp open it again, for about twice as long.
//
// The zero breaker is closed. It is safe for concurrent use, and must not be copied.
// While it is closed and the store answers, allow and done are an atomic load each.
type breaker struct {
	// random returns a number from 0 to n-1. Nil means that of math/rand/v2.
	random func(n int64) int64

	state   atomic.Uint64 // a breakerState; written under mu
	retryAt atomic.Int64  // nobody asks before, if open or probing; written under mu

	mu    sync.Mutex
	since int64 // when the ramp began, or the breaker closed
	dwell int64 // the shortest that the next opening lasts; 0 means breakerDwell
	share int64 // thousandths of a call that the ramp has yet to let through
}

const (
	// breakerFailures in a row are no accident: at an error rate of 1 in 10 they
	// come once in 100,000 calls, and a dead store is found out at the cost of five
	// timeouts at most for each caller.
	breakerFailures = 5

	// breakerDwell is the shortest time to be open. Each opening lasts up to twice its
	// shortest time, at random, so that the instances of a service do not come back
	// together. It outlasts a lost packet or a pause of the collector.
	breakerDwell = int64(100 * time.Millisecond)

	// breakerMaxDwell bounds the shortest time, and so the longest by a second:
	// with a probe and the ramp, a store that is back is in full use within two.
	breakerMaxDwell = int64(500 * time.Millisecond)

	// breakerProbe is when a probe that has not reported is given up. Its goroutine may
	// have died; if it is only slow, a second one does no harm.
	breakerProbe = int64(time.Second)

	// breakerRamp is how long the share of calls grows, from breakerRampStart
	// thousandths to all: long enough for a client to dial its connections, and for a
	// store with a cold cache to show that it cannot take the load.
	breakerRamp      = int64(500 * time.Millisecond)
	breakerRampStart = 100

	// breakerSteady is how long it must stay closed for the next opening to be short
	// again. A store that comes and goes faster than that is flapping.
	breakerSteady = int64(10 * time.Second)
)

// breakerState is, from the highest bit: the era (32 bits), the phase (16) and the
// failures in a row while closed (16).
type breakerState uint64

const (
	phaseClosed = iota
	phaseOpen
	phaseProbing
	phaseRamping
)

func newBreakerState(era ticket, phase, failures uint16) breakerState {
	return breakerState(era)<<32 | breakerState(phase)<<16 | breakerState(failures)
}

func (s breakerState) era() ticket      { return ticket(s >> 32) }
func (s breakerState) phase() uint16    { return uint16(s >> 16) }
func (s breakerState) failures() uint16 { return uint16(s) }

// A ticket is the era in which a call was allowed. An era ends when the breaker opens and
// when a probe is sent, so whatever is reported for an earlier one is out of date.
type ticket uint32

// A transition is a change that is worth an event. A failed probe is none: the store is
// out of use as it was before.
type transition uint8

const (
	unchanged        transition = iota
	becameOpen                  // the store is not asked any more
	becameRecovering            // a probe came back, and some calls ask
	becameClosed                // all calls ask
)

// allow reports whether the store may be asked now. If so, done must be called with the
// ticket once the store has answered or failed.
func (b *breaker) allow(now int64) (ticket, bool) {
	if s := breakerState(b.state.Load()); s.phase() == phaseClosed {
		return s.era(), true
	}
	return b.allowSlow(now)
}

// allowMore is allow for a call that ends what an earlier one began. The ramp lets all of these pass.
func (b *breaker) allowMore(now int64) (ticket, bool) {
	if s := breakerState(b.state.Load()); !s.waiting() {
		return s.era(), true
	}
	return b.allowSlow(now)
}

func (b *breaker) allowSlow(now int64) (ticket, bool) {
	if breakerState(b.state.Load()).waiting() && now < b.retryAt.Load() {
		return 0, false // without the lock: this is every call while the store is dead
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s := breakerState(b.state.Load())
	switch {
	case s.phase() == phaseClosed:
		return s.era(), true
	case s.phase() == phaseRamping:
		return s.era(), b.rampAllows(now)
	case now < b.retryAt.Load():
		return 0, false
	}
	b.retryAt.Store(now + breakerProbe)
	b.setState(s.era()+1, phaseProbing, 0)
	return s.era() + 1, true
}

// waiting reports whether nobody asks before retryAt.
func (s breakerState) waiting() bool {
	return s.phase() == phaseOpen || s.phase() == phaseProbing
}

// rampAllows spreads the calls that ask evenly among all: at any point of the ramp they
// are the sum of the shares so far, less a fraction of one call.
func (b *breaker) rampAllows(now int64) bool {
	passed := min(max(now-b.since, 0), breakerRamp)
	b.share += breakerRampStart + (1000-breakerRampStart)*passed/breakerRamp
	if b.share < 1000 {
		return false
	}
	b.share -= 1000
	return true
}

// done reports the outcome of the call that t was given to, and returns what it changed.
func (b *breaker) done(now int64, t ticket, failed bool) transition {
	if !failed && breakerState(b.state.Load()) == newBreakerState(t, phaseClosed, 0) {
		return unchanged
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s := breakerState(b.state.Load())
	if s.era() != t {
		return unchanged
	}
	switch s.phase() {
	case phaseProbing:
		return b.probed(now, t, failed)
	case phaseRamping:
		return b.ramped(now, t, failed)
	}
	return b.counted(now, s, failed)
}

// doneAgain is done for a failure that has been reported for another call, so that it is not one more in a row.
func (b *breaker) doneAgain(now int64, t ticket) transition {
	if breakerState(b.state.Load()).phase() == phaseClosed {
		return unchanged
	}
	return b.done(now, t, true)
}

// spare says that the call that t was given to has told nothing of the store. If it was the probe, another
// call may be one at once.
func (b *breaker) spare(now int64, t ticket) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := breakerState(b.state.Load()); s.phase() == phaseProbing && s.era() == t {
		b.retryAt.Store(now)
	}
}

// probed handles the outcome of the probe.
func (b *breaker) probed(now int64, t ticket, failed bool) transition {
	if failed {
		b.open(now, t)
		return unchanged
	}
	b.since, b.share = now, 0
	b.setState(t, phaseRamping, 0)
	return becameRecovering
}

// ramped handles an outcome in the ramp. The first one after its end closes the breaker,
// whatever it is: without traffic that may be long after.
func (b *breaker) ramped(now int64, t ticket, failed bool) transition {
	if now-b.since < breakerRamp {
		if !failed {
			return unchanged
		}
		b.open(now, t)
		return becameOpen
	}
	b.since = now
	failures := uint16(0)
	if failed {
		failures = 1
	}
	b.setState(t, phaseClosed, failures)
	return becameClosed
}

// counted handles an outcome while the breaker is closed.
func (b *breaker) counted(now int64, s breakerState, failed bool) transition {
	switch {
	case !failed:
		b.setState(s.era(), phaseClosed, 0)
		return unchanged
	case s.failures()+1 < breakerFailures:
		b.setState(s.era(), phaseClosed, s.failures()+1)
		return unchanged
	}
	if now-b.since >= breakerSteady {
		b.dwell = 0
	}
	b.open(now, s.era())
	return becameOpen
}

func (b *breaker) open(now int64, t ticket) {
	random := b.random
	if random == nil {
		random = rand.Int64N
	}
	dwell := max(b.dwell, breakerDwell)
	b.dwell = min(2*dwell, breakerMaxDwell)
	b.retryAt.Store(now + dwell + random(dwell)) // before the state, which allow reads first
	b.setState(t+1, phaseOpen, 0)
}

func (b *breaker) setState(era ticket, phase, failures uint16) {
	b.state.Store(uint64(newBreakerState(era, phase, failures)))
}
