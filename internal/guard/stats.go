package guard

import (
	"sync/atomic"
	"time"

	"github.com/ratelimit-go/ratelimit/stats"
	"github.com/ratelimit-go/ratelimit/store"
)

// counters are what Stats is read from.
type counters struct {
	answered   atomic.Int64
	remembered atomic.Int64
	failures   tally[store.Reason]
	changes    tally[store.State]
	calls      durations
}

func newCounters() counters {
	return counters{
		failures: newTally(store.Reasons()...),
		changes:  newTally(store.Down, store.Recovering, store.Up),
	}
}

// Stats returns the counters since the Guard was made, one after another. Answered includes leases.
// CachedDenials are denials from memory.
func (g *Guard) Stats() stats.Store {
	return stats.Store{
		State:         g.shards.state(g.now()),
		Answered:      g.answered.Load(),
		CachedDenials: g.remembered.Load(),
		Failures:      g.failures.counts(),
		Changes:       g.changes.counts(),
		Calls:         g.calls.read(),
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

// bounds are the bounds of the buckets of durations. A call takes at least the time of a round trip
// in one rack, and at most the Timeout.
var bounds = [...]time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond, time.Millisecond,
	2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, time.Second,
}

// durations is a histogram of how long calls took.
type durations struct {
	sum atomic.Int64
	n   [len(bounds) + 1]atomic.Int64 // by bucket, the last one without a bound
}

func (d *durations) add(took time.Duration) {
	i := 0
	for i < len(bounds) && took > bounds[i] {
		i++
	}
	d.sum.Add(int64(took))
	d.n[i].Add(1)
}

func (d *durations) read() stats.Durations {
	s := stats.Durations{Sum: time.Duration(d.sum.Load())}
	for i := range d.n {
		s.Count += d.n[i].Load()
		if i < len(bounds) {
			s.Buckets = append(s.Buckets, stats.Bucket{Most: bounds[i], Count: s.Count})
		}
	}
	return s
}
