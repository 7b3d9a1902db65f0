package inflight

import (
	"sync/atomic"
	"time"
)

// The bounds of Wait. It is an estimate, so a client is never told to wait as long as a download
// takes.
const (
	minWait = time.Second
	maxWait = time.Minute
)

// A Meter knows how long the requests of one rule took recently. It is safe for concurrent use. The
// zero Meter knows of no request.
type Meter struct{ took atomic.Int64 } // a moving average in nanoseconds, 0 before the first request

// Took notes how long a request took. If two calls meet, one may be lost.
func (m *Meter) Took(d time.Duration) {
	old := m.took.Load()
	if old == 0 {
		m.took.Store(int64(d))
		return
	}
	m.took.Store(old + (int64(d)-old)/8)
}

// Each estimates the time between the ends of two requests if n are in flight. It is 0 before the
// first request.
func (m *Meter) Each(n int) time.Duration {
	return time.Duration(m.took.Load()) / time.Duration(max(n, 1))
}

// Wait estimates the time until one more request may be in flight, if n requests are and most are
// allowed. Then n-most+1 requests must end first, and n requests end in the time that one takes.
// The estimate is from a second to a minute.
func (m *Meter) Wait(n, most int) time.Duration {
	wait := time.Duration(m.took.Load()) / time.Duration(n) * time.Duration(n-most+1)
	return min(max(wait, minWait), maxWait)
}
