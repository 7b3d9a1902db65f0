package outbound

import (
	"time"

	"github.com/ratelimit-go/ratelimit/internal/told"
)

// An observation is what one answer says about a quota.
type observation struct {
	told.Quota

	now       time.Time
	took      time.Duration // since the request was sent
	wait      time.Duration // until the reset, bounded; negative if unknown
	others    float64       // requests in flight meanwhile: the server may have counted them later
	later     float64       // of the others, how many were sent later or have no answer yet
	each      float64       // what each of them costs
	flying    int           // requests in flight now
	uncounted int           // of them the server may not have counted
	denied    bool
}

func (o *observation) left() float64 { return float64(o.Left) }

// least is how many are left at least: the server may count the others only after this answer.
func (o *observation) least() float64 { return max(o.left()-o.others*o.each, 0) }

// settle returns how many are left by a model, after the answer says that it is most. If the model
// had more, it was wrong, so the answer counts instead.
func (o *observation) settle(model, most float64) float64 {
	if model > most {
		return o.least()
	}
	return max(model, o.least())
}

// resets returns when the quota resets, or the zero Time.
func (o *observation) resets(slack time.Duration) time.Time {
	if o.wait < 0 {
		return time.Time{}
	}
	return o.now.Add(o.wait + slack)
}

// learn brings q up to an answer.
func (q *quota) learn(o observation) {
	q.latest, o.each = o.now, q.each()
	q.longest = max(q.longest, o.wait)
	if o.Window > 0 {
		q.window = o.Window
	}
	if limit := float64(o.Limit); limit >= 0 && limit != q.limit {
		q.limit, q.most = limit, 0
	}
	q.most = max(q.most, o.left()+1)
	if paced := q.shape == bucket || q.shape == sliding; paced && (o.denied && q.known || q.limit < 1) {
		q.shape, q.waiting = strict, false
		if q.guessed {
			q.window, q.guessed, q.signs = 0, false, signs{}
		}
		q.mistakes++
		q.penance = 2 << min(q.mistakes, 10)
	}
	switch {
	case o.Reset < 0 && q.shape == unknown:
		q.shape = untold
	case o.Reset >= 0 && q.shape == untold:
		q.shape = unknown
	}
	switch {
	case !q.requests:
		q.known, q.waiting, q.left = true, false, o.left()
		q.setReset(o)
	case q.shape == untold:
		q.learnUntold(o)
	case q.shape == bucket:
		q.learnBucket(o)
	case q.shape == sliding:
		q.learnSliding(o)
	case q.known && q.waiting && o.now.Add(-o.took).Before(q.passed):
		q.left = o.settle(q.left, o.left()) // of the window before
	case q.known && !q.waiting:
		q.learnMore(o)
	default:
		q.learnFirst(o)
	}
}

// setReset sets a reset that has nothing to do with the one before.
func (q *quota) setReset(o observation) {
	q.reset = o.resets(q.slack)
	q.jitter = jitterOf(o.wait)
}

// learnFirst is for the first answer, and for the first one after a reset.
func (q *quota) learnFirst(o observation) {
	before, at := q.reset, o.resets(q.slack)
	if q.known {
		q.left = o.settle(q.left, o.left())
	} else {
		q.left = o.least()
	}
	q.known = true
	if q.waiting && !before.IsZero() {
		q.waiting = false
		if q.unchanged(o, at) {
			return
		}
		q.exact = q.exact || before.Sub(o.now) > early/5
		q.classify(o, at.Sub(before))
	}
	q.waiting, q.probes, q.signs.used = false, 0, 0
	q.low, q.at = o.left(), latest(q.at, o.now)
	q.sharing.begin(o)
	q.exact = q.exact || o.wait%time.Second != 0 && !o.Instant || q.window > 0 && o.wait == q.window
	if q.shape != sliding {
		q.setReset(o)
	}
}

// unchanged reports whether the server is still in the window that should be over.
func (q *quota) unchanged(o observation, at time.Time) bool {
	far := moved // a time is rounded anew with each answer
	if o.Instant {
		far /= 2
	}
	same := o.left() < q.low && (o.wait == 0 || at.Sub(q.reset) < far)
	late := !o.now.Before(q.reset)
	if !same && !(o.denied && late && o.now.Sub(q.reset) < time.Second+q.jitter) || q.slack > 0 {
		return false
	}
	q.low = o.left()
	q.probes++
	if late { // so it rounds down
		q.slack = time.Second
		q.reset = q.reset.Add(q.slack)
	}
	return true
}

// learnMore is for further answers in the same window.
func (q *quota) learnMore(o observation) {
	q.low = min(q.low, o.left())
	q.sharing.weigh(o, q.limit)
	q.left = o.settle(q.left, o.left())
	if o.flying == 0 { // the server has counted all requests, and the lowest answer was the last
		q.left = q.low
	}
	if q.fillsEvenly(o) {
		q.shape, q.at = bucket, latest(q.at, o.now)
	}
	at := o.resets(q.slack)
	switch {
	case at.IsZero():
	case q.reset.IsZero() || at.Sub(q.reset) > moved || !q.reset.After(o.now):
		q.setReset(o)
	case at.Before(q.reset):
		q.reset = at // the earliest was rounded up least
	}
}

// learnUntold is for a quota without a reset. The server may have counted other requests after this
// one: all that were sent later or have no answer, and a few that were sent before. To count all
// that were sent before would leave too little used if answers are slow.
func (q *quota) learnUntold(o observation) {
	earlier := o.others - o.later
	q.known, q.waiting = true, false
	q.left = max(o.left()-o.later-min(4+earlier/4, earlier), 0)
	q.reset, q.jitter = o.now.Add(firstBackoff), jitterOf(firstBackoff)
}

// learnBucket is for a quota that is refilled evenly. The server rounds down what is left.
func (q *quota) learnBucket(o observation) {
	left := q.available(o.now, o.uncounted)
	q.left = o.settle(left, o.left()+1+q.rate()*o.took.Seconds())
	q.at = latest(q.at, o.now) // a request may have gone on between the answer and now
	q.setReset(o)
}

// learnSliding is for a sliding window. The server counts, and the client follows.
func (q *quota) learnSliding(o observation) {
	at := o.resets(q.slack)
	if at.IsZero() || at.Before(q.reset.Add(-q.window/2)) {
		return // the answer is from the window before
	}
	if at.Sub(q.reset) > q.window/2 { // the server is in the next window already
		q.roll(q.reset)
	}
	left := q.available(o.now, o.uncounted)
	grown := q.prev * o.took.Seconds() / q.window.Seconds()
	q.count -= o.settle(left, o.left()+0.5+grown) - left // servers round to the nearest number
}
