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

// A subject is measured in its own processes. So no library pays for the garbage of another.
type subject struct {
	name string // for subjectOf
	lib  *library

	times  []float64 // nanoseconds per operation by the clock, for each round
	cpu    []float64 // nanoseconds per operation of all processors, for each round
	allocs float64   // allocations per operation
	bytes  float64   // allocated bytes per operation
}

// measure runs each subject for about d in each round. The subjects run in turn, so that other work
// of the machine disturbs all of them alike. Each run is a new process, because the place of its
// memory makes a decision a tenth faster or slower.
func measure(subjects []*subject, rounds int, d time.Duration) {
	for range rounds {
		for _, s := range subjects {
			s.run(d)
		}
	}
}

// run starts this program again, and lets it measure the subject.
func (s *subject) run(d time.Duration) {
	cmd := exec.Command(must(os.Executable()), "-subject", s.name, "-time", d.String())
	cmd.Stderr = os.Stderr
	var took, cpu float64
	must(fmt.Sscan(string(must(cmd.Output())), &s.allocs, &s.bytes, &took, &cpu))
	s.times, s.cpu = append(s.times, took), append(s.cpu, cpu)
}

// median returns the middle one of the times.
func median(times []float64) float64 {
	times = slices.Clone(times)
	slices.Sort(times)
	return times[len(times)/2]
}

// beMeasured runs an operation for about d. It prints the allocations, bytes and nanoseconds per
// operation: first by the clock, and then of all processors.
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
	pieces = float64(after.Mallocs-before.Mallocs) / float64(n)
	return pieces, float64(after.TotalAlloc-before.TotalAlloc) / float64(n)
}

// parallel divides n operations between as many goroutines as there are processors.
func parallel(n int, run func(worker, n int)) {
	workers := runtime.GOMAXPROCS(0)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() { run(w, n/workers+1) })
	}
	wg.Wait()
}
