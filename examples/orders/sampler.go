package main

import (
	"sync"
	"time"

	"github.com/ratelimit-go/ratelimit/stats"
)

// reading is the counters of the rules at one time.
type reading struct {
	At    time.Time
	Rules map[string]count
}

// count is what one rule has counted. A request that a dry run would have denied was allowed too.
type count struct{ Allowed, Near, DryRun int64 }

func (c count) allowed() int64 { return c.Allowed }
func (c count) near() int64    { return c.Near }
func (c count) dryRun() int64  { return c.DryRun }

// Readings are sampleTime apart. The last readings of a minute are kept.
const (
	sampleTime  = 100 * time.Millisecond
	maxReadings = int(time.Minute / sampleTime)
)

// sampler reads the counters of a limiter again and again.
type sampler struct {
	mu       sync.Mutex
	readings []reading
	done     chan struct{}
	over     sync.WaitGroup
}

func newSampler(from func() stats.Snapshot) *sampler {
	s := &sampler{done: make(chan struct{})}
	s.over.Go(func() {
		tick := time.NewTicker(sampleTime)
		defer tick.Stop()
		for {
			select {
			case <-s.done:
				return
			case <-tick.C:
				s.add(readingOf(from()))
			}
		}
	})
	return s
}

func (s *sampler) stop() {
	close(s.done)
	s.over.Wait()
}

// readingOf takes the time after the counters were read, so no signal seems earlier than it is.
func readingOf(snapshot stats.Snapshot) reading {
	r := reading{At: time.Now(), Rules: make(map[string]count, len(snapshot.Rules))}
	for _, rule := range snapshot.Rules {
		r.Rules[rule.Name] = count{rule.Allowed, rule.NearLimit, rule.DryRun}
	}
	return r
}

func (s *sampler) add(r reading) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.readings) == maxReadings {
		s.readings = append(s.readings[:0], s.readings[1:]...)
	}
	s.readings = append(s.readings, r)
}

func (s *sampler) read() []reading {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]reading(nil), s.readings...)
}
