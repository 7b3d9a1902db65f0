// Command compare measures this library beside its peers in one run, and prints tables in Markdown.
// The flag -h lists its options.
package main

import (
	"flag"
	"fmt"
	"math"
	"runtime"
	"strings"
	"time"
)

func main() {
	rounds := flag.Int("rounds", 31, "number of rounds; the results are medians")
	each := flag.Duration("time", 50*time.Millisecond, "how long each library runs in each round")
	only := flag.String("row", "", "measure only one row: "+rowNames())
	name := flag.String("subject", "", "measure one subject in this process; compare starts itself with it")
	flag.Parse()
	if *name != "" {
		beMeasured(subjectOf(*name), *each)
		return
	}
	fmt.Printf("%s %s/%s, %d processors, medians of %d rounds of %v\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), *rounds, *each)
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

// rowNames returns the values of the flag -row.
func rowNames() string {
	var names []string
	for _, r := range rows {
		names = append(names, r.name)
	}
	return strings.Join(append(names, "limits", "bytes"), ", ") + " or flood"
}

// subjectOf returns a function that does n operations of the named subject. The name is a row and a
// library, or a number of limits.
func subjectOf(name string) func(n int) {
	rowName, of, _ := strings.Cut(name, "/")
	switch of {
	case "one limit":
		return limits(1)
	case "three limits":
		return limits(3)
	}
	for _, r := range rows {
		for i := range libraries {
			if r.name == rowName && libraries[i].name == of {
				return r.subject(&libraries[i])
			}
		}
		if r.name == rowName && loop.name == of {
			return r.subject(&loop)
		}
	}
	panic("no subject " + name)
}

// compare measures one row for all libraries.
func compare(r row, rounds int, each time.Duration) {
	alone := &subject{name: r.name + "/" + loop.name}
	subjects := []*subject{alone}
	for i := range libraries {
		subjects = append(subjects, &subject{name: r.name + "/" + libraries[i].name, lib: &libraries[i]})
	}
	measure(subjects, rounds, each)
	var ours *subject
	fastest, least := math.Inf(1), math.Inf(1)
	for _, s := range subjects[1:] {
		if s.lib.ours {
			ours = s
			continue
		}
		fastest, least = min(fastest, median(s.times)), min(least, median(s.cpu))
	}
	fmt.Printf("\n## %s\n\n| library | ns | CPU ns | allocations | bytes "+
		"| ns to the fastest peer | CPU ns to it | what it does not do |\n", r.title)
	fmt.Printf("| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n")
	for _, s := range subjects[1:] {
		took, cpu := median(s.times), median(s.cpu)
		fmt.Printf("| %s | %.0f | %.0f | %.1f | %.0f | %.2f | %.2f | %s |\n",
			s.lib.name, took, cpu, s.allocs, s.bytes, took/fastest, cpu/least, s.lib.lacks)
	}
	fmt.Printf("\n%s, which all of these figures include: %.0f ns\n", loop.name, median(alone.times))
	if r.goal == 0 {
		return
	}
	ratio := median(ours.times) / fastest
	ok := ratio <= r.goal && math.Floor(ours.allocs+0.5) <= r.maxAllocs
	fmt.Printf("\ngoal: %.2f of the fastest peer and %.0f allocations: ", r.goal, r.maxAllocs)
	fmt.Printf("%s (%.2f and %.1f; by CPU time %.2f)\n",
		verdict(ok), ratio, ours.allocs, median(ours.cpu)/least)
}

func compareLimits(rounds int, each time.Duration) {
	one, three := &subject{name: "limits/one limit"}, &subject{name: "limits/three limits"}
	measure([]*subject{one, three}, rounds, each)
	ratio := median(three.times) / median(one.times)
	fmt.Printf("\n## Three limits on one key (ours)\n\n")
	fmt.Printf("| limits | ns | allocations |\n| --- | ---: | ---: |\n")
	fmt.Printf("| 1 | %.0f | %.1f |\n", median(one.times), one.allocs)
	fmt.Printf("| 3 | %.0f | %.1f |\n", median(three.times), three.allocs)
	fmt.Printf("\ngoal: 1.50 of one limit: %s (%.2f; by CPU time %.2f)\n",
		verdict(ratio <= 1.5), ratio, median(three.cpu)/median(one.cpu))
}

func compareBytes() {
	fmt.Printf("\n## Heap for each key, a million IPv4 addresses\n\n")
	fmt.Printf("| library | bytes |\n| --- | ---: |\n")
	for i := range libraries {
		lib := &libraries[i]
		n := bytesPerKey(lib)
		note := ""
		if lib.ours {
			note = "; goal 100: " + verdict(n <= 100)
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
