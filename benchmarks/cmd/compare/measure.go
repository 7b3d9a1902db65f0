package main

import (
	"runtime"
	"slices"
	"sync"
	"time"
)

// A subject is one thing to be measured: run does n operations.
type subject struct {
	lib *library
	run func(n int)

	times  []float64 // nanoseconds for one operation, of each round
	allocs float64   // for one operation
}

// measure runs the subjects in turn, so that whatever else the machine does hits
// all alike, each for about d in each of so many rounds.
func measure(subjects []*subject, rounds int, d time.Duration) {
	counts := make([]int, len(subjects))
	for i, s := range subjects {
		counts[i] = calibrate(s, d)
		s.allocs = allocsOf(s, min(counts[i], 100_000))
	}
	for range rounds {
		for i, s := range subjects {
			start := time.Now()
			s.run(counts[i])
			s.times = append(s.times, float64(time.Since(start))/float64(counts[i]))
		}
	}
}

// calibrate returns how many operations take about d.
func calibrate(s *subject, d time.Duration) int {
	for n := 1000; ; n *= 4 {
		start := time.Now()
		s.run(n)
		if took := time.Since(start); took > d/8 {
			return max(1, int(float64(n)*float64(d)/float64(took)))
		}
	}
}

func allocsOf(s *subject, n int) float64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	s.run(n)
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / float64(n)
}

// median is that of an odd number of rounds.
func (s *subject) median() float64 {
	times := slices.Clone(s.times)
	slices.Sort(times)
	return times[len(times)/2]
}

// parallel shares n operations among as many goroutines as there are processors. The
// results are for the wall clock.
func parallel(n int, run func(worker, n int)) {
	workers := runtime.GOMAXPROCS(0)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() { run(w, n/workers+1) })
	}
	wg.Wait()
}
