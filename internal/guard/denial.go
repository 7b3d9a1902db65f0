package guard

import (
	"math"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/pace"
	"github.com/ratelimit-go/ratelimit/store"
)

// A denial is what is known about one bucket. It is free if its id is 0, and from until on.
type denial struct {
	id           uint64 // of the limit
	key          store.Key
	store.Bucket               // the emptiest that the store can have meant, at the rate of the limit
	burst        int64         // of the limit
	cost         int64         // takes of this many tokens or more are denied until then
	until        time.Duration // an instant
	check        time.Duration // when to call the store again
}

const (
	// recheckAfter is how long the memory believes the store. A wait may take a day. A client that
	// an operator unblocks through another instance should not wait that long. One call now and
	// then costs little.
	recheckAfter = 10 * time.Second

	// storeRounding is more than any store may add to its waits by rounding.
	storeRounding = time.Millisecond
)

// newDenial returns what is known about the bucket of op from its Result, which the store gave
// between the instants at and now. It returns false if no single bucket can have given this answer.
// Then several keys share the bucket, or it was charged under other numbers.
func newDenial(now, at time.Duration, op *store.Op, end time.Duration) (denial, bool) {
	l, told := op.Limit, op.Result
	if told.Overflow || !sane(op) {
		return denial{}, false
	}
	d := denial{
		id: l.ID(), key: op.Key, burst: l.Burst(), Bucket: store.Emptiest(op, now),
		cost: math.MaxInt64, until: end, check: at + recheckAfter,
	}
	again := *op
	d.evaluate(now, &again)
	if again.Result.Remaining != told.Remaining || told.ResetAfter-again.Result.ResetAfter >= storeRounding {
		return denial{}, false
	}
	if told.RetryAfter > 0 {
		if told.RetryAfter-again.Result.RetryAfter >= storeRounding {
			return denial{}, false
		}
		d.cost, d.until = op.Cost, at+again.Result.RetryAfter
	}
	return d, true
}

// sane reports whether the Result of op has numbers that one can calculate with. No instant that
// follows from them is then more than 200 years away. The store is code of other people.
func sane(op *store.Op) bool {
	res, burst := &op.Result, op.Limit.Burst()
	return res.Remaining >= 0 && res.Remaining <= burst &&
		res.ResetAfter >= 0 && res.ResetAfter <= pace.MaxFill &&
		res.RetryAfter >= 0 && res.RetryAfter <= pace.MaxFill &&
		(res.RetryAfter > 0) == (!res.Allowed && !res.ExceedsBurst) &&
		(res.RetryAfter == 0 || op.Cost <= burst)
}

// answer fills in the Result of op for a bucket that no op has touched since. It returns true if
// the answer is certain and the store need not be called again. A denial is certain if the store
// gave it to a take of the same cost or a smaller cost.
func (d *denial) answer(now time.Duration, op *store.Op) bool {
	if now >= d.until || !d.of(op.Limit) {
		return false
	}
	d.evaluate(now, op)
	switch {
	case !op.Result.Allowed && (op.Kind != store.Take || !op.Result.ExceedsBurst && op.Cost < d.cost):
		return false
	case now >= d.check: // this caller calls the store, and no other for as long again
		d.check = now + recheckAfter
		return false
	}
	return true
}

// evaluate fills in the Result that op would have on the bucket if its batch were denied.
func (d *denial) evaluate(now time.Duration, op *store.Op) {
	after := d.Bucket
	if after.Apply(op, now) {
		d.Report(op, now)
	}
}

// of reports whether d is known under the numbers of l.
func (d *denial) of(l *store.Limit) bool { return d.FillsAt(l) && d.burst == l.Burst() }

// disproved reports whether the store allowed a take that d says it would deny.
func (d *denial) disproved(op *store.Op) bool {
	return op.Kind == store.Take && op.Result.Allowed && op.Cost >= d.cost
}
