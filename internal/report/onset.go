package report

import (
	"sync/atomic"
	"time"
)

// onsetPause is how long a thing has not happened if it begins anew.
const onsetPause = time.Hour

// An Onset tells when something begins that then happens again and again. The zero Onset is ready.
// It is safe for concurrent use.
type Onset struct{ last atomic.Int64 }

// Begins notes that the thing happens now. It reports whether that is the first time, or the first
// time for an hour.
func (o *Onset) Begins(now time.Time) bool {
	at := now.UnixNano() | 1 // never 0
	last := o.last.Swap(at)
	return last == 0 || at-last >= int64(onsetPause)
}
