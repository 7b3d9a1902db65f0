package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/term"
)

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// A bar shows progress on a terminal. The nil bar shows nothing.
type bar struct {
	w     io.Writer
	read  *atomic.Int64
	total int64 // 0 if not known
	last  time.Time
	calls int
}

func newBar(std *streams, read *atomic.Int64, total int64) *bar {
	if !std.progress {
		return nil
	}
	return &bar{w: std.err, read: read, total: total}
}

const barWidth = 40

// step counts an entry, and draws the bar from time to time.
func (b *bar) step() {
	if b == nil {
		return
	}
	if b.calls++; b.calls%1024 != 0 || time.Since(b.last) < 100*time.Millisecond {
		return
	}
	b.last = time.Now()
	read := b.read.Load()
	if b.total == 0 {
		fmt.Fprintf(b.w, "\r%d MB read", read>>20)
		return
	}
	share := min(1, float64(read)/float64(b.total))
	done := int(share * barWidth)
	fmt.Fprintf(b.w, "\r[%s%s] %3.0f %%", strings.Repeat("#", done), strings.Repeat(".", barWidth-done),
		share*100)
}

// end removes the bar.
func (b *bar) end() {
	if b != nil && !b.last.IsZero() {
		fmt.Fprintf(b.w, "\r%s\r", strings.Repeat(" ", barWidth+10))
	}
}
