package ratelimit

import "sync/atomic"

// Stats is a snapshot of the counters of a [Limiter] whose Store may fail. A Limiter on a
// [MemoryStore] counts nothing: see [MemoryStore.Stats].
type Stats struct {
	// Store is the state of the Store. The counts are of calls since the Limiter was made, where a
	// call is the decision on one request, or one use of Take, Peek, Credit or Reset. What a Penalty counts,
	// what a rule only observes, and what a Login asks before and clears after the decision are calls of their
	// own. What is changed or given back after a decision, and leases, are among those of Answered and
	// Failures alone.
	Store StoreState
	// Answered is the number of calls that the Store has decided.
	Answered int64
	// Remembered is the number of those that were refused without asking the Store, since it had
	// refused the same and the wait was not over.
	Remembered int64
	// Open, Closed and Local are the numbers of those that the Store did not decide, by what was done
	// instead: FailOpen, FailClosed or UseMemory.
	Open, Closed, Local int64
	// Failures is why, with the reasons that came up.
	Failures map[FailureReason]int64
	// Changes is how often the Store came into each state.
	Changes map[StoreState]int64
}

// counters are what Stats is read from. Nothing is counted where the store is a MemoryStore.
type counters struct {
	answered   atomic.Int64
	remembered atomic.Int64
	policies   [UseMemory + 1]atomic.Int64
	failures   [len(failureReasons)]atomic.Int64
	changes    [becameClosed + 1]atomic.Int64
}

// Stats returns the counters. They are read one after another, not at one instant.
func (l *Limiter) Stats() Stats {
	if l.remote == nil {
		return Stats{Store: StoreUp}
	}
	c := &l.remote.counters
	s := Stats{
		Store:    l.remote.breaker.storeState(),
		Answered: c.answered.Load(), Remembered: c.remembered.Load(),
		Open: c.policies[FailOpen].Load(), Closed: c.policies[FailClosed].Load(), Local: c.policies[UseMemory].Load(),
		Failures: map[FailureReason]int64{}, Changes: map[StoreState]int64{},
	}
	for i, reason := range failureReasons {
		if n := c.failures[i].Load(); n > 0 {
			s.Failures[reason] = n
		}
	}
	for t := becameOpen; t <= becameClosed; t++ {
		if n := c.changes[t].Load(); n > 0 {
			s.Changes[t.state()] = n
		}
	}
	return s
}

// state returns what t has changed to.
func (t transition) state() StoreState {
	switch t {
	case becameOpen:
		return StoreDown
	case becameRecovering:
		return StoreRecovering
	}
	return StoreUp
}

func (b *breaker) storeState() StoreState {
	switch breakerState(b.state.Load()).phase() {
	case phaseClosed:
		return StoreUp
	case phaseRamping:
		return StoreRecovering
	}
	return StoreDown
}
