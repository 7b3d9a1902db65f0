package replay

import "time"

// The requests in flight are bounded, and so are their lines, because clients choose how long a
// line is. Beyond these bounds the request that ends first ends early.
const (
	maxFlights = 100_000
	maxHeld    = 64 << 20
)

// Before reports whether the request of c ends first.
func (c *carrier) Before(other *carrier) bool {
	if by := c.end.Compare(other.end); by != 0 {
		return by < 0
	}
	return c.order < other.order
}

// endUntil ends the requests that ended at or before t, each at its time.
func (e *Engine) endUntil(t time.Time) {
	for e.flights.Len() > 0 && !e.flights.First().end.After(t) {
		e.endFirst()
	}
}

// endFirst ends the request that ends first.
func (e *Engine) endFirst() {
	c := e.flights.Pop()
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
