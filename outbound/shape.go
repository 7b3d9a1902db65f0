package outbound

import (
	"math"
	"time"
)

// shape is how a server refills a quota. The fields do not tell, so a quota begins as unknown, and
// what is left after the first reset shows its shape.
type shape int

const (
	unknown shape = iota
	full          // all at the reset, such as a fixed window
	bucket        // evenly over the window, which the fields tell
	sliding       // as the requests of the window before grow old
	untold        // the fields have no reset: only an answer tells that more is left
	strict        // the model of a shape has failed: obey each field to the letter
)

// classify finds the shape of a quota that was used up by half or more before it was reset, by what
// is left now.
func (q *quota) classify(o observation, moved time.Duration) {
	if q.shape != unknown || q.limit < 1 || q.low > q.limit/2 {
		return
	}
	switch got := o.left() + o.others + 1; {
	case got >= q.low+0.75*(q.limit-q.low):
		q.shape = full
	case o.denied:
	case o.Window > 0:
		q.shape = bucket
	case o.Instant && moved >= time.Second && !q.signs.later:
		if !q.exact {
			q.slack = time.Second // late is safe: what the server says corrects it
		}
		q.shape, q.window = sliding, moved.Round(time.Second)
		q.prev, q.count = q.limit-q.low, 1+o.others
		q.reset, q.jitter = o.resets(q.slack), 0
	}
}

// signs are signs of a bucket: its reset is when it is full, so it becomes later as the quota is
// used. The reset of a window never does.
type signs struct {
	used  float64 // in the first answer that counts, or 0
	full  float64 // the seconds until the reset, in that answer
	token span    // the seconds that a token may take, by all answers since
	later bool    // a reset has become later
}

// A span is the numbers from low to high.
type span struct{ low, high float64 }

func (s span) and(other span) span { return span{max(s.low, other.low), min(s.high, other.high)} }

func (s span) empty() bool { return s.low > s.high }

// fillsEvenly reports whether an unknown quota is a bucket by its signs. If the fields have no
// window, it sets the longest window for which the resets could be told.
func (q *quota) fillsEvenly(o observation) bool {
	if q.shape != unknown || o.wait < 0 || o.Limit < 5 || o.Window > 0 && o.Window < 5*time.Second {
		return false
	}
	s, used, wait := &q.signs, q.limit-o.left(), o.wait.Seconds()
	if used < 0.2*q.limit || used > 0.8*q.limit {
		return false
	}
	if used < s.used || s.used == 0 {
		s.used, s.full, s.token = used, wait, span{0, math.Inf(1)}
	}
	rounded := 1 + o.took.Seconds()
	s.token = s.token.and(span{(wait - rounded) / used, (wait + rounded) / used})
	if o.Window > 0 {
		token := q.window.Seconds() / q.limit
		s.token = s.token.and(span{token, token})
	}
	const later = 2 // seconds; a reset that stays can seem to move by less, because it is rounded
	switch {
	case s.token.empty():
		s.used = 0 // it begins anew
		return false
	case used < s.used+0.2*q.limit:
		return false
	case o.Window == 0 && wait < s.full+later:
		s.later = s.later || wait > s.full
		return false
	case o.Window == 0:
		q.window = time.Duration(s.token.high * q.limit * float64(time.Second))
		q.guessed = true
	}
	return true
}
