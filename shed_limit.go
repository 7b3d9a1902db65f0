package ratelimit

import "time"

// adaptive is a limit on requests in flight that finds out how many the service can take. It is
// the congestion control of DCTCP (RFC 8257), with a request in the place of a packet and
// "slower than the target" in that of the mark that a full queue sets: a window without
// congestion adds to the limit, one with congestion cuts it in proportion to the share of
// requests that were marked, at most by half, and once for each round trip. See
// [ShedConfig.TargetLatency].
//
// It is a value, and it has no clock: instants are times since any beginning.
type adaptive struct {
	lower, upper float64       // bounds of limit
	target       time.Duration // what a request should take at most
	limit        float64

	cut    time.Duration // the limit was lowered then: who began before tells nothing about it
	opened time.Duration // when the window began
	seen   int           // requests that ended in the window
	slow   int           // those among them that took longer than target
	peak   int           // the most requests that were in flight
}

const (
	// A window has as many requests as make a share, and is as long as target, so that its
	// effect can be seen.
	minSeen = 20
	// A share of slow requests that is tolerated: some are slow whatever the load is.
	tolerated = 0.05
	// While no more than half of the limit is in use, the limit is not what makes requests
	// slow, and it is lowered only if most of them are.
	toleratedUnused = 0.5
	// A window without congestion adds 1, as in TCP, and this share, as in Scalable TCP (Kelly,
	// 2003), so that large limits recover in as many round trips as small ones.
	growth = 0.02
)

func newAdaptive(lower, upper int, target time.Duration) adaptive {
	return adaptive{lower: float64(lower), upper: float64(upper), target: target, limit: float64(upper)}
}

// observe notes that a request that began then has ended now, when inFlight requests were
// in flight together with it.
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

// next ends the window, and begins another.
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
