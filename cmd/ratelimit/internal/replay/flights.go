package replay

import (
	"container/heap"
	"time"
)

// maxFlights bounds the requests in flight. Beyond it the request that ends first ends early.
const maxFlights = 100_000

// A flight is a request whose handler has not returned yet.
type flight struct {
	end    time.Time
	order  int64
	resume func() (struct{}, bool) // lets the handler return
}

// flights are the requests in flight, the next to end first.
type flights []flight

func (f flights) Len() int { return len(f) }

func (f flights) Less(i, j int) bool {
	if c := f[i].end.Compare(f[j].end); c != 0 {
		return c < 0
	}
	return f[i].order < f[j].order
}

func (f flights) Swap(i, j int) { f[i], f[j] = f[j], f[i] }

func (f *flights) Push(x any) { *f = append(*f, x.(flight)) }

func (f *flights) Pop() any {
	old := *f
	last := old[len(old)-1]
	old[len(old)-1] = flight{}
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
	f := heap.Pop(&e.flights).(flight)
	e.forward(f.end)
	f.resume()
}

// forward sets the clock to t. The clock never goes back.
func (e *Engine) forward(t time.Time) {
	if t.After(e.now) {
		e.now = t
	}
}
