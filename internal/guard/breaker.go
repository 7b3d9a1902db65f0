package guard

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ratelimit-go/ratelimit/store"
)

// A breaker decides whether to call a store that may be dead. It is a state machine without a
// clock: the caller passes in instants. They may arrive a little out of order.
//
//	closed    all calls pass
//	open      no call passes until the dwell is over
//	probing   one call is under way, and no other call passes
//	ramping   a growing share of calls passes
//
// It opens after openAfter failures in a row. If the probe fails, or any call in the ramp, it opens
// again for about twice as long.
//
// The zero breaker is closed. It is safe for concurrent use, and must not be copied. While it is
// closed and the store answers, allow and done cost one atomic load each.
type breaker struct {
	// random returns a random duration from 0 to n-1. Nil means rand.N of math/rand/v2.
	random func(n time.Duration) time.Duration

	state   atomic.Uint64 // a breakerState; written under mu
	retryAt atomic.Int64  // no call passes before, if open or probing; written under mu

	mu    sync.Mutex
	since time.Duration // when the ramp began, or the breaker closed
	dwell time.Duration // the shortest time for which it opens next; 0 means minDwell
	share int64         // thousandths of a call that the ramp has yet to let pass
}

const (
	// openAfter failures in a row are no accident. At an error rate of 1 in 10 they happen once in
	// 100,000 calls. A dead store costs each caller at most five timeouts.
	openAfter = 5

	// minDwell is the shortest time to be open. It outlasts a lost packet or a garbage collection.
	// Each opening takes up to twice its shortest time, at random, so that the instances of a
	// service do not return together.
	minDwell = 100 * time.Millisecond

	// maxDwell bounds the shortest time of an opening, and so the opening by one second. With a
	// probe and the ramp, a store that has recovered is in full use within two seconds.
	maxDwell = 500 * time.Millisecond

	// probeTimeout is when the breaker gives up a probe that has not reported. Its goroutine may
	// have ended. If the probe is only slow, a second one does no harm.
	probeTimeout = time.Second

	// rampTime is how long the share of calls grows, from rampStart thousandths to all. A client
	// can dial its connections in that time, and a store with a cold cache shows that it cannot
	// take the load.
	rampTime  = 500 * time.Millisecond
	rampStart = 100

	// steadyTime is how long the breaker must stay closed until its next opening is short again. A
	// store that fails and recovers faster than that is flapping.
	steadyTime = 10 * time.Second
)

// allow reports whether a call may pass now. If so, call done with the ticket once the store has
// answered or failed.
func (b *breaker) allow(now time.Duration) (ticket, bool) {
	if s := b.load(); s.phase() == phaseClosed {
		return s.era(), true
	}
	return b.allowSlow(now)
}

// allowFollowUp is allow for a call that ends what an earlier call began. The ramp lets all of them
// pass.
func (b *breaker) allowFollowUp(now time.Duration) (ticket, bool) {
	if s := b.load(); !s.waiting() {
		return s.era(), true
	}
	return b.allowSlow(now)
}

func (b *breaker) allowSlow(now time.Duration) (ticket, bool) {
	if b.load().waiting() && now < b.retry() {
		return 0, false // without the lock, because every call ends here while the store is dead
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.load()
	switch {
	case s.phase() == phaseClosed:
		return s.era(), true
	case s.phase() == phaseRamping:
		return s.era(), b.rampAllows(now)
	case now < b.retry():
		return 0, false
	}
	b.retryAt.Store(int64(now + probeTimeout))
	b.setState(s.era()+1, phaseProbing, 0)
	return s.era() + 1, true
}

// rampAllows spreads the calls that pass evenly among all. At any point of the ramp they are the
// sum of the shares so far, less a fraction of one call.
func (b *breaker) rampAllows(now time.Duration) bool {
	passed := min(max(now-b.since, 0), rampTime)
	b.share += rampStart + int64((1000-rampStart)*passed/rampTime)
	if b.share < 1000 {
		return false
	}
	b.share -= 1000
	return true
}

// done reports the outcome of the call that t was given to. It returns the new state of the store
// if the outcome changed it, and "" otherwise. A probe that fails changes nothing, because the
// store stays down.
func (b *breaker) done(now time.Duration, t ticket, failed bool) store.State {
	if !failed && b.load() == newBreakerState(t, phaseClosed, 0) {
		return ""
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.load()
	if s.era() != t {
		return ""
	}
	switch s.phase() {
	case phaseProbing:
		return b.probed(now, t, failed)
	case phaseRamping:
		return b.ramped(now, t, failed)
	}
	return b.counted(now, s, failed)
}

// doneAgain is done for a failure that another call has reported before, so that it does not count
// as one more failure in a row.
func (b *breaker) doneAgain(now time.Duration, t ticket) store.State {
	if b.load().phase() == phaseClosed {
		return ""
	}
	return b.done(now, t, true)
}

// spare says that the call that t was given to told nothing about the store. If it was the probe,
// the next call may be a probe at once.
func (b *breaker) spare(now time.Duration, t ticket) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.load(); s.phase() == phaseProbing && s.era() == t {
		b.retryAt.Store(int64(now))
	}
}

// probed handles the outcome of the probe.
func (b *breaker) probed(now time.Duration, t ticket, failed bool) store.State {
	if failed {
		b.open(now, t)
		return ""
	}
	b.since, b.share = now, 0
	b.setState(t, phaseRamping, 0)
	return store.Recovering
}

// ramped handles an outcome in the ramp. The first outcome after its end closes the breaker even if
// it is a failure: without traffic it may be long after.
func (b *breaker) ramped(now time.Duration, t ticket, failed bool) store.State {
	if now-b.since < rampTime {
		if !failed {
			return ""
		}
		b.open(now, t)
		return store.Down
	}
	b.since = now
	failures := uint16(0)
	if failed {
		failures = 1
	}
	b.setState(t, phaseClosed, failures)
	return store.Up
}

// counted handles an outcome while the breaker is closed.
func (b *breaker) counted(now time.Duration, s breakerState, failed bool) store.State {
	switch {
	case !failed:
		b.setState(s.era(), phaseClosed, 0)
		return ""
	case s.failures()+1 < openAfter:
		b.setState(s.era(), phaseClosed, s.failures()+1)
		return ""
	}
	if now-b.since >= steadyTime {
		b.dwell = 0
	}
	b.open(now, s.era())
	return store.Down
}

func (b *breaker) open(now time.Duration, t ticket) {
	random := b.random
	if random == nil {
		random = rand.N[time.Duration]
	}
	dwell := max(b.dwell, minDwell)
	b.dwell = min(2*dwell, maxDwell)
	b.retryAt.Store(int64(now + dwell + random(dwell))) // before the state, which allow reads first
	b.setState(t+1, phaseOpen, 0)
}

func (b *breaker) load() breakerState { return breakerState(b.state.Load()) }

func (b *breaker) setState(era ticket, phase, failures uint16) {
	b.state.Store(uint64(newBreakerState(era, phase, failures)))
}

func (b *breaker) retry() time.Duration { return time.Duration(b.retryAt.Load()) }

// storeState returns what the phase of b means for the store.
func (b *breaker) storeState() store.State {
	switch b.load().phase() {
	case phaseClosed:
		return store.Up
	case phaseRamping:
		return store.Recovering
	}
	return store.Down
}
