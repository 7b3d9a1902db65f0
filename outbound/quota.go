package outbound

import (
	"cmp"
	"math/rand/v2"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/told"
)

const (
	// patience is the part of the rate of a bucket at which the client goes. The rest makes up for
	// clocks that differ.
	patience = 0.995
	// spareFrom is the limit from which the client keeps some requests of a window for its end.
	spareFrom = 20
	// early is how long before a reset the client asks whether it has come, if it may be rounded.
	early = 250 * time.Millisecond
	// moved is the difference from which two resets are not the same instant, rounded.
	moved = 1100 * time.Millisecond
)

// A quota is what the client knows of one quota of a server. Left is a lower bound as long as no
// other client uses the quota: each request takes one when it is sent.
type quota struct {
	shape    shape
	requests bool
	limit    float64
	window   time.Duration

	known bool
	left  float64
	at    time.Time // of left, in a bucket
	low   float64   // the least that the server said in this window
	most  float64   // the most that the server had before a request, under this limit

	reset   time.Time     // or the zero Time
	jitter  time.Duration // is added to the reset
	slack   time.Duration // is added to resets, because the server rounds down
	exact   bool          // resets are exact or rounded up
	probes  int           // requests that were kept, and sent near the reset
	waiting bool          // the reset has passed, and no answer has come since
	passed  time.Time     // when the reset has passed
	longest time.Duration // the longest wait that an answer told
	unheard float64       // requests since the reset, before an answer named the quota again
	latest  time.Time     // when an answer named the quota

	signs   signs
	guessed bool // the window is not from the fields
	sharing sharing

	mistakes int // how often the shape was wrong
	penance  int // resets until the client may try a shape again

	prev, count float64 // requests of the window before and of this one, in a sliding window
}

func newQuota(t told.Quota) *quota {
	q := &quota{requests: t.Requests, limit: float64(t.Limit), window: t.Window}
	if t.Refills {
		q.shape = full
	}
	return q
}

// opens returns when the quota has more, or the zero Time.
func (q *quota) opens() time.Time {
	switch {
	case q.reset.IsZero():
		return q.reset
	case q.probes == 0 && q.left >= 1 && q.spare() > 0:
		return q.reset.Add(-early)
	}
	return q.reset.Add(q.jitter)
}

// spare returns how many requests the client keeps for the reset. It sends the first one a little
// early, and the second one at the reset. If the server counts them in the old window, they are not
// denied, and the client knows how the server rounds. The third one is for a sliding window, which
// then has room only for requests that were not sent in the window before.
func (q *quota) spare() int {
	switch {
	case !q.requests || q.limit < spareFrom || q.exact && q.window > 0:
	case q.shape == unknown && q.window == 0:
		return max(3-q.probes, 0)
	case (q.shape == unknown || q.shape == full) && !q.exact && q.slack == 0:
		return max(2-q.probes, 0)
	}
	return 0
}

// rate returns the requests per second of a bucket.
func (q *quota) rate() float64 { return patience * q.limit / q.window.Seconds() }

// holds returns how many requests the quota has room for, as far as is known. The limit in drafts 8
// to 11 is the rate of a bucket, and its burst may be smaller.
func (q *quota) holds() float64 {
	if q.shape == bucket {
		return min(q.limit, cmp.Or(q.most, q.limit))
	}
	return q.limit
}

// available returns how many requests may be sent now, if the server has not counted some that are
// in flight.
func (q *quota) available(now time.Time, uncounted int) float64 {
	switch q.shape {
	case bucket:
		left := min(q.left+max(now.Sub(q.at).Seconds(), 0)*q.rate(), q.holds())
		return min(left, q.holds()-float64(uncounted))
	case sliding:
		old := q.reset.Sub(now).Seconds() / q.window.Seconds() // the part of prev that still counts
		return q.limit - q.prev*min(max(old, 0), 1) - q.count
	}
	return q.left
}

// next returns when one more request may be sent, after others that wait. The zero Time means now.
func (q *quota) next(now time.Time, others, uncounted int) time.Time {
	if !q.known {
		return q.silent(others)
	}
	if !q.requests {
		if q.left >= 1 {
			return time.Time{}
		}
		return q.opens()
	}
	need := float64(others+1)*q.each() + float64(q.spare())
	missing := need - q.available(now, uncounted)
	if missing <= 0 {
		return time.Time{}
	}
	switch q.shape {
	case bucket:
		wait := missing / q.rate()
		if q.holds()-float64(uncounted) < need { // the next answer shows more, and wakes the request
			wait = max(wait, 0.001)
		}
		return after(now, wait)
	case sliding:
		if q.prev > 0 {
			from := latest(now, q.reset.Add(-q.window)) // before that, none of prev has grown old
			if at := after(from, missing/q.prev*q.window.Seconds()); at.Before(q.reset) {
				return at
			}
		}
		return q.opens()
	}
	if at := q.opens(); q.limit < 1 || q.window == 0 {
		return at
	} else {
		windows := int64(max(missing-1, 0) / q.limit)
		return at.Add(time.Duration(min(windows, int64(year/q.window))) * q.window)
	}
}

// silent is next for a quota that no answer has named since its reset, because the server has
// several limits and names one of them. It allows the whole quota once in its window.
func (q *quota) silent(others int) time.Time {
	if q.waiting && q.requests && q.limit >= 1 && q.unheard+float64(others+1) > q.limit {
		return q.passed.Add(cmp.Or(q.window, q.longest))
	}
	return time.Time{}
}

// stale reports whether no answer has named the quota for long, and not since the given instant, at
// which a quota was new: the server may have that limit instead. A quota that is used up until its
// reset is not stale before.
func (q *quota) stale(now, since time.Time) bool {
	long := min(max(2*cmp.Or(q.window, q.longest), time.Minute), time.Hour)
	paced := q.shape == bucket || q.shape == sliding
	return q.latest.Before(since) && now.Sub(q.latest) > long && (paced || !q.reset.After(now))
}

// after returns now and some seconds, at most a year.
func after(now time.Time, sec float64) time.Time {
	return now.Add(time.Duration(min(sec, year.Seconds())*1e9) + 1)
}

// spend counts a request that is sent now.
func (q *quota) spend(now time.Time, uncounted int) {
	if !q.requests {
		return
	}
	if q.shape == bucket {
		q.left, q.at = q.available(now, uncounted), now
	}
	q.left -= q.each()
	q.sharing.own++
	q.count++
	q.unheard++
}

// pass notes that time has passed. It reports whether the reset has come for a quota that is used
// up, so that only an answer can tell what is left. If requests are left at the reset, as many are
// left after it.
func (q *quota) pass(now time.Time) bool {
	if q.waiting && !q.known && !now.Before(q.passed.Add(cmp.Or(q.window, q.longest))) {
		q.passed, q.unheard = now, 0
	}
	at := q.opens()
	if !q.known || at.IsZero() || now.Before(at) || q.shape == bucket {
		return false
	}
	if q.shape == sliding {
		q.roll(now)
		return false
	}
	if !q.waiting {
		q.waiting, q.passed, q.unheard = true, now, 0
		if q.penance--; q.shape == strict && q.penance <= 0 {
			q.shape = unknown
		}
	}
	q.known = q.left >= float64(1+q.spare())
	return !q.known
}

// roll moves a sliding window on to now.
func (q *quota) roll(now time.Time) {
	q.prev, q.count = q.count, 0
	q.reset = q.reset.Add(q.window)
	if late := now.Sub(q.reset); late >= 0 {
		q.prev = 0
		q.reset = q.reset.Add(late.Truncate(q.window) + q.window)
	}
}

// jitterOf returns a random time, up to a fiftieth of a wait and a second. So clients that wait for
// the same instant do not go on together.
func jitterOf(wait time.Duration) time.Duration {
	return rand.N(min(max(wait/50, 0), time.Second) + 1)
}
