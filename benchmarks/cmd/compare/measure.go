package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"time"
)

// A subject is one thing to be measured, in processes of its own: no library pays for what
// another has left to the garbage collector.
type subject struct {
	name string // as subjectOf knows it
	lib  *library

	times  []float64 // nanoseconds for one operation by the clock, of each round
	cpu    []float64 // and those of all processors
	allocs float64   // for one operation
	bytes  float64   // allocated for one operation
}

// measure runs the subjects in turn, so that whatever else the machine does hits
// all alike, each for about d in each of so many rounds. Each time it is a new process, since a decision
// is a tenth faster or slower by where the memory of its process happens to be.
func measure(subjects []*subject, rounds int, d time.Duration) {
	for range rounds {
		for _, s := range subjects {
			s.run(d)
		}
	}
}

// run has another process of this program beMeasured.
func (s *subject) run(d time.Duration) {
	cmd := exec.Command(must(os.Executable()), "-subject", s.name, "-time", d.String())
	cmd.Stderr = os.Stderr
	var took, cpu float64
	must(fmt.Sscan(string(must(cmd.Output())), &s.allocs, &s.bytes, &took, &cpu))
	s.times, s.cpu = append(s.times, took), append(s.cpu, cpu)
}

// median is that of an odd number of rounds.
func median(times []float64) float64 {
	times = slices.Clone(times)
	slices.Sort(times)
	return times[len(times)/2]
}

// beMeasured says how many allocations one operation makes and of how many bytes, and how many nanoseconds it takes by
// the clock and of all processors, by running it for about d.
func beMeasured(run func(n int), d time.Duration) {
	n := calibrate(run, d)
	pieces, bytes := allocsOf(run, min(n, 100_000))
	begin, before := time.Now(), cpuTime()
	run(n)
	took, cpu := time.Since(begin), cpuTime()-before
	fmt.Println(pieces, bytes, float64(took)/float64(n), float64(cpu)/float64(n))
}

// calibrate returns how many operations take about d.
func calibrate(run func(n int), d time.Duration) int {
	for n := 1000; ; n *= 4 {
		begin := time.Now()
		run(n)
		if took := time.Since(begin); took > d/8 {
			return max(1, int(float64(n)*float64(d)/float64(took)))
		}
	}
}

// allocsOf returns how many pieces of memory an operation allocates, and how many bytes.
func allocsOf(run func(n int), n int) (pieces, bytes float64) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	run(n)
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / float64(n), float64(after.TotalAlloc-before.TotalAlloc) / float64(n)
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
