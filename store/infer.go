package store

import (
	"time"

	"github.com/ratelimit-go/ratelimit/internal/pace"
)

// Emptiest returns the emptiest bucket that a store can have meant when it answered op with its
// Result at the instant now. All answers of a store are rounded against the client, so each of them
// is a bound. It assumes that the bucket fills at the rate of op.Limit. Wrappers of stores use it
// to remember an answer.
//
// The numbers of the Result must be within their bounds: no negative ones, no Remaining above the
// burst, and no time beyond 100 years. No other op of the batch may be on the same bucket.
func Emptiest(op *Op, now time.Duration) Bucket {
	l, res := op.Limit, &op.Result
	debt := pace.Span{NS: int64(res.ResetAfter)}
	if res.Remaining > 0 {
		debt = debt.Least(l.pace.Sub(l.fill, l.pace.TimeOf(res.Remaining)))
	}
	if res.RetryAfter > 0 {
		rest := l.pace.Sub(l.fill, l.pace.TimeOf(op.Cost))
		debt = debt.Least(l.pace.Add(rest, pace.Span{NS: int64(res.RetryAfter)}))
	}
	var b Bucket
	b.set(int64(now), debt, l.pace)
	return b
}

// FillsAt reports whether b fills at the rate of l.
func (b *Bucket) FillsAt(l *Limit) bool { return b.pace() == l.pace }
