package main

import (
	"fmt"
	"io"
	"time"
)

// totals counts modules, packages with tests, and tests. A subtest is a test. A package that
// fails without a failing test counts as one failed test.
type totals struct {
	modules, packages, passed, failed, skipped int
}

func (t *totals) add(o totals) {
	t.modules += o.modules
	t.packages += o.packages
	t.passed += o.passed
	t.failed += o.failed
	t.skipped += o.skipped
}

func (t *totals) counts() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", t.passed, t.failed, t.skipped)
}

// print ends the run. Programs that watch the run read the last line.
func (t *totals) print(out io.Writer, took time.Duration) {
	fmt.Fprintf(out, "make test: %d modules, %d packages, %s in %s\n",
		t.modules, t.packages, t.counts(), seconds(took))
	fmt.Fprintf(out, "total: %s\n", t.counts())
}

func seconds(d time.Duration) time.Duration { return d.Round(time.Second) }
