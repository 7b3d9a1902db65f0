package pace

import (
	"fmt"
	"math"
	"time"
)

// A Queue is the numbers of a bucket with extra room for requests that wait: the tokens that flow
// in while a request is held. A request that finds more than these tokens goes on at once. A
// request that has to use them waits until the bucket would have had its tokens without them. So
// the queue is in the bucket. This is the burst of nginx's limit_req without nodelay.
type Queue struct {
	Pace
	Burst int64 // tokens that the bucket holds, Extra included
	Extra int64 // 0 if no request waits
}

// Hold returns how long to hold a request that has left the bucket with so many tokens and so much
// debt: never too short, and less than 2 ns too long.
func (q Queue) Hold(left int64, debt time.Duration) time.Duration {
	if left >= q.Extra {
		return 0
	}
	return debt - time.Duration(q.TimeOf(q.Burst-q.Extra).NS)
}

// LeftAfter returns how many tokens the bucket has if no op has touched it for d, since it had this
// debt. In doubt, which is a nanosecond, it is one more.
func (q Queue) LeftAfter(debt, d time.Duration) int64 {
	fill, rest := q.TimeOf(q.Burst), Span{NS: int64(max(debt-d-1, 0))}
	if !rest.AtMost(fill) {
		return 0
	}
	return q.Tokens(q.Sub(fill, rest))
}

// Found returns how many of cost tokens the bucket has if they are all there after wait. It counts
// whole tokens, and a token that is due within a nanosecond.
func (q Queue) Found(cost int64, wait time.Duration) int64 {
	if wait <= 0 || wait > q.TimeOf(q.Burst).Ceil() {
		return 0
	}
	return max(cost-q.Tokens(Span{NS: int64(wait) - 1})-1, 0)
}

// CheckWait reports that no request would be held for wait under limits, which have passed [Check],
// if that is so.
func CheckWait[L ~struct {
	Count  int64
	Period time.Duration
	Burst  int64
}](limits []L, wait time.Duration) error {
	least := time.Duration(math.MaxInt64)
	for _, limit := range limits {
		l := Limit(limit)
		if _, extra := l.Extend(wait); extra > 0 {
			return nil
		}
		least = min(least, Of(l.Count, l.Period).TimeOf(1).Ceil())
	}
	switch {
	case len(limits) == 0:
		return fmt.Errorf("%v without Limits, so that no request is held: want Limits too", wait)
	case wait < least:
		return fmt.Errorf("%v is less than a token takes to come, so that no request is held: "+
			"want at least %v", wait, least)
	}
	return fmt.Errorf("%v: a bucket with the tokens that flow in meanwhile takes more than 100 years "+
		"to fill: want a smaller burst", wait)
}
