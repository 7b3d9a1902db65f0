// Command mutate changes the code of packages in one place at a time, and reports the changes that
// no test finds.
//
// Use:
//
//	go run ./mutate -sample 100 . ./internal/memory
//
// It writes nothing below the module: go test reads each mutant as an overlay. The tests of the
// package run first, then the packages of -tests. All of them must pass without a change. If a
// mutant does not compile, another one takes its place in the sample.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

type options struct {
	root    string // of the module
	tests   []string
	timeout time.Duration
	workers int
}

func main() {
	sample := flag.Int("sample", 100, "how many mutants to try; 0 means all")
	seed := flag.Uint64("seed", 1, "of the sample")
	tests := flag.String("tests", ". ./login ./storetest", "further packages whose tests run")
	workers := flag.Int("workers", 2, "how many mutants are tried at once")
	timeout := flag.Duration("timeout", time.Minute, "after which a test counts as failed")
	flag.Parse()
	o := options{root: "..", tests: strings.Fields(*tests), timeout: *timeout, workers: *workers}
	found, lived, err := o.run(context.Background(), flag.Args(), *sample, *seed)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
	share := 100 * float64(found) / float64(max(found+lived, 1))
	fmt.Printf("mutate: %d found, %d lived: %.1f %%\n", found, lived, share)
}

// run tries a sample of the mutants of packages. It prints each mutant that lives.
func (o options) run(
	ctx context.Context, packages []string, sample int, seed uint64,
) (found, lived int, err error) {
	var all []mutant
	for _, dir := range packages {
		ms, err := mutantsOf(o.root, dir)
		if err != nil {
			return 0, 0, err
		}
		all = append(all, ms...)
	}
	if err := o.pass(ctx, packages); err != nil {
		return 0, 0, err
	}
	rand.New(rand.NewPCG(seed, 0)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	if sample <= 0 {
		sample = len(all)
	}
	var mu sync.Mutex
	var workers sync.WaitGroup
	next := 0
	for range o.workers {
		workers.Go(func() {
			for {
				mu.Lock()
				if next >= len(all) || found+lived >= sample {
					mu.Unlock()
					return
				}
				m := all[next]
				next++
				mu.Unlock()
				result, e := o.try(ctx, m)
				mu.Lock()
				switch {
				case e != nil:
					err = e
				case result == lives:
					lived++
					fmt.Printf("%s: %s\n", m.at, m.what)
				case result == dies:
					found++
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	return found, lived, err
}

// absolute returns the path of a file below root.
func absolute(root, file string) (string, error) { return filepath.Abs(filepath.Join(root, file)) }
