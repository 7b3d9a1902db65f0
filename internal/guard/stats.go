package guard

import (
	"sync/atomic"

	"github.com/ratelimit-go/ratelimit/store"
)

// Stats is a snapshot of the counters of a [Guard], since it was made.
type Stats struct {
	// State says whether the Guard calls the store.
	State store.State
	// Answered is the number of calls that the store answered, leases included.
	Answered int64
	// Remembered is the number of calls that were denied from memory.
	Remembered int64
	// Failures is the number of calls that failed, by reason. Reasons without a failure are absent.
	Failures map[store.Reason]int64
	// Changes is how often the store entered a state. States that it never entered are absent.
	Changes map[store.State]int64
}

// counters are what Stats is read from.
type counters struct {
	answered   atomic.Int64
	remembered atomic.Int64
	failures   tally[store.Reason]
	changes    tally[store.State]
}

func newCounters() counters {
	return counters{
		failures: newTally(store.Reasons()...),
		changes:  newTally(store.Down, store.Recovering, store.Up),
	}
}

// Stats returns the counters. It reads them one after another, not at one instant.
func (g *Guard) Stats() Stats {
	return Stats{
		State:      g.shards.state(g.now()),
		Answered:   g.answered.Load(),
		Remembered: g.remembered.Load(),
		Failures:   g.failures.counts(),
		Changes:    g.changes.counts(),
	}
}

// A tally counts by kind. All kinds are known when it is made, so the map itself never changes.
type tally[K comparable] map[K]*atomic.Int64

func newTally[K comparable](kinds ...K) tally[K] {
	t := make(tally[K], len(kinds))
	for _, kind := range kinds {
		t[kind] = new(atomic.Int64)
	}
	return t
}

func (t tally[K]) add(kind K) { t[kind].Add(1) }

// counts returns the counts that are not zero.
func (t tally[K]) counts() map[K]int64 {
	counts := map[K]int64{}
	for kind, count := range t {
		if n := count.Load(); n > 0 {
			counts[kind] = n
		}
	}
	return counts
}
