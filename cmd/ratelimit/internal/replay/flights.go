package replay

import (
	"container/heap"
	"time"
)

// The requests in flight are bounded, and so are their lines, because clients choose how long a
// line is. Beyond these bounds the request that ends first ends early.
const (
	maxFlights = 100_000
	maxHeld    = 64 << 20
)

// flights are carriers of requests whose handlers have not returned yet, the next to end first.
type flights []*carrier

func (f flights) Len() int { return len(f) }

func (f flights) Less(i, j int) bool {
	if c := f[i].end.Compare(f[j].end); c != 0 {
		return c < 0
	}
	return f[i].order < f[j].order
}

func (f flights) Swap(i, j int) { f[i], f[j] = f[j], f[i] }

func (f *flights) Push(x any) { *f = append(*f, x.(*carrier)) }

func (f *flights) Pop() any {
	old := *f
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*f = old[:len(old)-1]
	return last
}

// endUntil ends the requests that ended at or before t, each at its time.
func (e *Engine) endUntil(t time.Time) {
	for len(e.flights) > 0 && !e.flights[0].end.After(t) {
		e.endFirst()
	}
}

// endFirst ends the request that ends first.
func (e *Engine) endFirst() {
	c := heap.Pop(&e.flights).(*carrier)
	e.forward(c.end)
	e.held -= len(c.visit.entry.Line)
	c.finish()
	e.idle = append(e.idle, c)
}

// forward sets the clock to t. The clock never goes back.
func (e *Engine) forward(t time.Time) {
	if t.After(e.now) {
		e.now = t
	}
}
