package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// table prints a row per package. Functions are their lines: median, 90th percentile and longest.
// Pairs are ordered pairs of files that use each other's names, and those in both directions.
func table(out io.Writer, all []figures) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "package\tfiles\tlines\tcomments\tfunctions\tmedian/p90/max\t"+
		"names\tfields\tpairs\tboth ways")
	for _, f := range all {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d%%\t%d\t%d/%d/%d\t%d\t%d\t%d\t%d\n",
			f.dir, f.files, f.lines, f.commentShare(), len(f.funcs),
			f.funcLines(0.5), f.funcLines(0.9), f.funcLines(1), f.names(), f.fields, f.pairs, len(f.mutual))
	}
	w.Flush()
}
