// Benchdiff compares the benchmarks of two copies of a package.
//
//	usage: benchdiff [-bench REGEXP] [-rounds N] [-time D] [-bound D] [-new NEW] OLD
//
// OLD and NEW are package directories. Benchdiff builds the tests of both. Then it runs each
// benchmark of both in turns, on one processor and with a fixed number of iterations. Each run is a
// process of its own. Benchmarks are matched by name.
//
// Benchstat compares the time on the clock (sec/op), the processor time of the process
// (cpu-sec/op), and memory. The last table has the processor time of the fastest quarter of all
// runs, which other work on the machine disturbs least.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

func main() {
	start := time.Now()
	bench := flag.String("bench", ".", "which benchmarks to run")
	rounds := flag.Int("rounds", 20, "how often to run each benchmark")
	target := flag.Duration("time", 50*time.Millisecond, "how long a run takes")
	bound := flag.Duration("bound", 55*time.Second, "begin no round after this time")
	newDir := flag.String("new", "..", "the package that is new")
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	err := compare(flag.Arg(0), *newDir, *bench, plan{*rounds, *target, start.Add(*bound)})
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchdiff:", err)
		os.Exit(1)
	}
}

// plan says how much to measure.
type plan struct {
	rounds   int
	target   time.Duration
	deadline time.Time
}

func compare(oldDir, newDir, bench string, p plan) error {
	dir, err := os.MkdirTemp("", "benchdiff")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	newDir, err = filepath.Abs(newDir)
	if err != nil {
		return err
	}
	before, err := build(oldDir, filepath.Join(dir, "old.test"))
	if err != nil {
		return err
	}
	after, err := build(newDir, filepath.Join(dir, "new.test"))
	if err != nil {
		return err
	}
	both, err := match(before, after, bench, p.target)
	if err != nil {
		return err
	}
	if len(both) == 0 {
		fmt.Printf("benchdiff: no benchmark that matches %q is in both\n", bench)
		return nil
	}
	n, err := interleave(before, after, both, p)
	if err != nil {
		return err
	}
	fmt.Printf("benchdiff: %d benchmarks, %d rounds, in turns on one processor\n", len(both), n)
	if err := benchstat(dir, before, after); err != nil {
		return err
	}
	fastest(os.Stdout, before, after, both)
	return nil
}

// interleave runs each benchmark of both packages once a round, in an order that changes. It
// returns the number of rounds.
func interleave(before, after *pkg, both []benchmark, p plan) (int, error) {
	n := 0
	for ; n < p.rounds && (n == 0 || time.Now().Before(p.deadline)); n++ {
		first, second := before, after
		if n%2 == 1 {
			first, second = after, before
		}
		for _, b := range both {
			for _, pkg := range []*pkg{first, second} {
				if err := pkg.measure(b); err != nil {
					return n, err
				}
			}
		}
	}
	return n, nil
}

// benchstat compares the results of both packages.
func benchstat(dir string, before, after *pkg) error {
	args := []string{"tool", "benchstat"}
	for name, p := range map[string]*pkg{"old": before, "new": after} {
		file := filepath.Join(dir, name+".txt")
		if err := os.WriteFile(file, []byte(p.results.String()), 0o600); err != nil {
			return err
		}
	}
	args = append(args, "old="+filepath.Join(dir, "old.txt"), "new="+filepath.Join(dir, "new.txt"))
	cmd := exec.Command("go", args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}
