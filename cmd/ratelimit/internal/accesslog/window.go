package accesslog

import (
	"time"

	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/earliest"
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
	held    earliest.Queue[*Entry]
	latest  time.Time // of all entries
	last    time.Time // of the entries that were taken
	late    int64
}

func (w *window) add(e *Entry) {
	if e.again > 0 && e.Time.Before(w.latest.Add(-max(w.span, e.again/2))) {
		e.Time = e.Time.Add(e.again)
	}
	if e.Time.After(w.latest) {
		w.latest = e.Time
	}
	if e.Time.Before(w.last) {
		w.late++
	}
	*w.bytes += e.size()
	w.held.Push(e)
}

// ready reports whether no entry within the window can come before the first held entry.
func (w *window) ready() bool {
	full := w.held.Len() >= w.maxHeld || *w.bytes >= maxHeldBytes
	return w.held.Len() > 0 && (full || w.held.First().Time.Before(w.latest.Add(-w.span)))
}

// take returns the first held entry, or nil.
func (w *window) take() *Entry {
	if w.held.Len() == 0 {
		return nil
	}
	e := w.held.Pop()
	*w.bytes -= e.size()
	if e.Time.After(w.last) {
		w.last = e.Time
	}
	return e
}
