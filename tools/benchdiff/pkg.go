package main

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// pkg is the test binary of a package, and what its benchmarks printed.
type pkg struct {
	dir, binary string
	idle        map[string]time.Duration // processor time of a benchmark's process without its work
	used        map[string][]float64     // processor time per iteration in nanoseconds, by name
	results     strings.Builder
}

// benchmark is one row of the comparison.
type benchmark struct {
	name       string
	iterations int
}

func build(dir, binary string) (*pkg, error) {
	cmd := exec.Command("go", "test", "-c", "-o", binary, ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "PWD="+dir)
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", dir, err, text)
	}
	return &pkg{dir: dir, binary: binary, idle: map[string]time.Duration{}, used: map[string][]float64{}}, nil
}

// run runs the benchmarks that match and returns what they print, and the processor time used.
func (p *pkg) run(match, benchtime string) (string, time.Duration, error) {
	cmd := exec.Command(p.binary, "-test.run=^$", "-test.bench="+match, "-test.benchtime="+benchtime,
		"-test.benchmem", "-test.cpu=1")
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "PWD="+p.dir)
	text, err := cmd.Output()
	if err != nil {
		return "", 0, fmt.Errorf("%s: benchmark %s: %w\n%s", p.dir, match, err, text)
	}
	return string(text), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
}

var resultLine = regexp.MustCompile(`(?m)^(Benchmark\S+)\s+\d+\s+([\d.]+) ns/op.*$`)

// match returns the benchmarks that both packages have, with as many iterations as take the target
// time in the old one.
func match(before, after *pkg, bench string, target time.Duration) ([]benchmark, error) {
	costs := make([]map[string]float64, 2) // nanoseconds by name
	for i, p := range []*pkg{before, after} {
		text, _, err := p.run(bench, "20ms")
		if err != nil {
			return nil, err
		}
		costs[i] = map[string]float64{}
		for _, line := range resultLine.FindAllStringSubmatch(text, -1) {
			costs[i][line[1]], _ = strconv.ParseFloat(line[2], 64)
		}
	}
	var both []benchmark
	for _, name := range slices.Sorted(maps.Keys(costs[0])) {
		if _, ok := costs[1][name]; ok {
			// At least three, as the process of two is the measure of idleness.
			n := max(3, int(float64(target.Nanoseconds())/max(1, costs[0][name])))
			both = append(both, benchmark{name, n})
		}
	}
	return both, nil
}

// measure runs b once and keeps its line of results, with the processor time per iteration.
func (p *pkg) measure(b benchmark) error {
	if _, ok := p.idle[b.name]; !ok {
		idle, err := p.idleTime(b)
		if err != nil {
			return err
		}
		p.idle[b.name] = idle
	}
	text, used, err := p.run(only(b.name), fmt.Sprintf("%dx", b.iterations))
	if err != nil {
		return err
	}
	line := resultLine.FindString(text)
	if line == "" {
		return fmt.Errorf("%s: %s has printed no result:\n%s", p.dir, b.name, text)
	}
	per := max(0, float64((used-p.idle[b.name]).Nanoseconds())/float64(b.iterations))
	p.used[b.name] = append(p.used[b.name], per)
	fmt.Fprintf(&p.results, "%s\t%.2f cpu-ns/op\n", line, per)
	return nil
}

// idleTime returns the median processor time of processes that start, prepare b twice, as every
// run does, and leave.
func (p *pkg) idleTime(b benchmark) (time.Duration, error) {
	times := make([]time.Duration, 3)
	for i := range times {
		_, used, err := p.run(only(b.name), "2x")
		if err != nil {
			return 0, err
		}
		times[i] = used
	}
	slices.Sort(times)
	return times[1], nil
}

// only returns the pattern that matches one benchmark by its name with slashes.
func only(name string) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = "^" + regexp.QuoteMeta(part) + "$"
	}
	return strings.Join(parts, "/")
}
