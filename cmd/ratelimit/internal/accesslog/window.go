package accesslog

import (
	"container/heap"
	"time"
)

// maxHeldBytes bounds what the windows of a Reader hold together. Clients choose how long a line
// is, and a replay may have hundreds of files.
const maxHeldBytes = 256 << 20

// size returns about how many bytes e keeps: its line, and what points into it.
func (e *Entry) size() int { return len(e.Line) + 1<<10 }

// A window sorts entries that are out of order by at most span.
type window struct {
	span    time.Duration
	maxHeld int
	bytes   *int // that all windows of the Reader hold
	held    byTime
	latest  time.Time // of all entries
	last    time.Time // of the entries that were taken
	late    int64
}

func (w *window) add(e *Entry) {
	if e.Time.After(w.latest) {
		w.latest = e.Time
	}
	if e.Time.Before(w.last) {
		w.late++
	}
	*w.bytes += e.size()
	heap.Push(&w.held, e)
}

// ready reports whether no entry within the window can come before the first held entry.
func (w *window) ready() bool {
	full := len(w.held) >= w.maxHeld || *w.bytes >= maxHeldBytes
	return len(w.held) > 0 && (full || w.held[0].Time.Before(w.latest.Add(-w.span)))
}

// take returns the first held entry, or nil.
func (w *window) take() *Entry {
	if len(w.held) == 0 {
		return nil
	}
	e := heap.Pop(&w.held).(*Entry)
	*w.bytes -= e.size()
	if e.Time.After(w.last) {
		w.last = e.Time
	}
	return e
}

// byTime is a heap of entries. Entries of the same time keep the order of the file.
type byTime []*Entry

func (h byTime) Len() int { return len(h) }

func (h byTime) Less(i, j int) bool {
	if c := h[i].Time.Compare(h[j].Time); c != 0 {
		return c < 0
	}
	return h[i].order < h[j].order
}

func (h byTime) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

func (h *byTime) Push(x any) { *h = append(*h, x.(*Entry)) }

func (h *byTime) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return e
}
