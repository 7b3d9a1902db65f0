package shed

import "time"

// adaptive is a limit on requests in flight that finds out how many requests the service can take.
//
// It is the congestion control of DCTCP (RFC 8257). A request stands for a packet, and "slower than
// the target" for the mark that a full queue sets. A window without congestion adds to the limit. A
// window with congestion cuts the limit in proportion to the share of marked requests, at most by
// half, and once per round trip.
//
// It is a value without a clock. Its instants are times since a common beginning.
type adaptive struct {
	lower, upper float64       // bounds of limit
	target       time.Duration // how long a request should take at most
	limit        float64

	cut    time.Duration // when the limit was lowered: observe ignores requests that began before
	opened time.Duration // when the window began
	seen   int           // requests that ended in the window
	slow   int           // requests among them that took longer than target
	peak   int           // the most requests in flight
}

const (
	// A window has enough requests for a share. It is also at least as long as target, so that it
	// shows the effect of the last change.
	minSeen = 20
	// This share of slow requests is tolerated, since some requests are slow without any load.
	tolerated = 0.05
	// While at most half of the limit is in use, the limit does not make requests slow. It is then
	// lowered only if most requests are slow.
	toleratedUnused = 0.5
	// A window without congestion adds 1, as in TCP, and this share of the limit, as in Scalable
	// TCP (Kelly, 2003). So large limits recover in as many round trips as small ones.
	growth = 0.02
)

func newAdaptive(lower, upper int, target time.Duration) adaptive {
	return adaptive{lower: float64(lower), upper: float64(upper), target: target, limit: float64(upper)}
}

// observe notes that a request ended now, with inFlight requests in flight including it.
func (a adaptive) observe(began, now time.Duration, inFlight int) adaptive {
	if began < a.cut {
		return a
	}
	a.seen++
	if now-began > a.target {
		a.slow++
	}
	a.peak = max(a.peak, inFlight)
	if a.seen < minSeen || now-a.opened < a.target {
		return a
	}
	return a.next(now)
}

// next ends the window and begins the next one.
func (a adaptive) next(now time.Duration) adaptive {
	congestion := float64(a.slow) / float64(a.seen)
	used := 2*float64(a.peak) >= a.limit
	switch {
	case congestion > toleratedUnused || used && congestion > tolerated:
		a.limit = max(a.lower, a.limit*(1-congestion/2))
		a.cut = now
	case used:
		a.limit = min(a.upper, a.limit+1+a.limit*growth)
	}
	a.opened, a.seen, a.slow, a.peak = now, 0, 0, 0
	return a
}
