// Command compare measures this library beside its peers in one run, and prints tables
// in Markdown: go run ./cmd/compare -h.
package main

import (
	"flag"
	"fmt"
	"math"
	"runtime"
	"time"
)

func main() {
	rounds := flag.Int("rounds", 9, "rounds; the result is their median")
	each := flag.Duration("time", 150*time.Millisecond, "how long each library runs in each round")
	only := flag.String("row", "", "the one row to measure: hot, random, allowed, refused, limits, bytes or flood")
	flag.Parse()
	fmt.Printf("%s %s/%s, %d processors, medians of %d rounds of %v\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), *rounds, *each)
	want := func(name string) bool { return *only == "" || *only == name }
	for _, r := range rows {
		if want(r.name) {
			compare(r, *rounds, *each)
		}
	}
	if want("limits") {
		compareLimits(*rounds, *each)
	}
	if want("bytes") {
		compareBytes()
	}
	if want("flood") {
		floodStore(3).print()
	}
}

// compare measures one row for all libraries.
func compare(r row, rounds int, each time.Duration) {
	runtime.GC() // no row pays for what another has left behind
	var subjects []*subject
	for i := range libraries {
		subjects = append(subjects, &subject{lib: &libraries[i], run: r.subject(&libraries[i])})
	}
	measure(subjects, rounds, each)
	ours, fastest := math.Inf(1), math.Inf(1)
	for _, s := range subjects {
		if s.lib.ours {
			ours = s.median()
		} else {
			fastest = min(fastest, s.median())
		}
	}
	fmt.Printf("\n## %s\n\n| library | ns | allocations | to the fastest peer | what it does not do |\n| --- | ---: | ---: | ---: | --- |\n", r.title)
	for _, s := range subjects {
		fmt.Printf("| %s | %.0f | %.1f | %.2f | %s |\n", s.lib.name, s.median(), s.allocs, s.median()/fastest, s.lib.lacks)
	}
	ok := ours/fastest <= r.bar && math.Floor(subjects[0].allocs+0.5) <= r.maxAllocs
	fmt.Printf("\nbar: %.2f of the fastest peer and %.0f allocations: %s (%.2f and %.1f)\n", r.bar, r.maxAllocs, verdict(ok), ours/fastest, subjects[0].allocs)
}

func compareLimits(rounds int, each time.Duration) {
	one, three := &subject{run: limits(1)}, &subject{run: limits(3)}
	measure([]*subject{one, three}, rounds, each)
	ratio := three.median() / one.median()
	fmt.Printf("\n## Three limits on one key (ours)\n\n| limits | ns | allocations |\n| --- | ---: | ---: |\n")
	fmt.Printf("| 1 | %.0f | %.1f |\n| 3 | %.0f | %.1f |\n", one.median(), one.allocs, three.median(), three.allocs)
	fmt.Printf("\nbar: 1.50 of one limit: %s (%.2f)\n", verdict(ratio <= 1.5), ratio)
}

func compareBytes() {
	fmt.Printf("\n## Heap for each key, a million IPv4 addresses\n\n| library | bytes |\n| --- | ---: |\n")
	for i := range libraries {
		lib := &libraries[i]
		n := bytesPerKey(lib)
		note := ""
		if lib.ours {
			note = "; bar 100: " + verdict(n <= 100)
		}
		fmt.Printf("| %s | %.1f%s |\n", lib.name, n, note)
	}
}

func verdict(ok bool) string {
	if ok {
		return "met"
	}
	return "missed"
}
