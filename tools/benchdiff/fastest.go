package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// fastest prints the processor time of the fastest quarter of all runs.
func fastest(out io.Writer, before, after *pkg, both []benchmark) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\nfastest quarter\told cpu-ns/op\tnew cpu-ns/op\tnew/old\t")
	for _, b := range both {
		was, is := fastQuarter(before.used[b.name]), fastQuarter(after.used[b.name])
		name := strings.TrimPrefix(b.name, "Benchmark")
		fmt.Fprintf(w, "%s\t%.1f\t%.1f\t%.3f\t\n", name, was, is, is/max(was, 0.01))
	}
	w.Flush()
}

// fastQuarter returns the mean of the fastest quarter of times, and at least of one.
func fastQuarter(times []float64) float64 {
	sorted := slices.Sorted(slices.Values(times))
	if len(sorted) == 0 {
		return 0
	}
	sorted = sorted[:max(1, len(sorted)/4)]
	sum := 0.0
	for _, t := range sorted {
		sum += t
	}
	return sum / float64(len(sorted))
}
