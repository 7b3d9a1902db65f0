package guard

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/ratelimit-go/ratelimit/store"
)

// An Outage is the time in which a store was not up, for a log.
type Outage struct {
	Failure *store.Error  // the last one
	InARow  int64         // failures without a success between them
	Lasted  time.Duration // until now, or until the store was up
}

// outage collects what an Outage has.
type outage struct {
	inARow atomic.Int64

	mu    sync.Mutex
	down  bool
	began time.Duration
	ended time.Duration
	last  *store.Error
}

// note notes the outcome of a call, and the change of state that it made.
func (o *outage) note(now func() time.Duration, failure *store.Error, change store.State) {
	if failure == nil {
		if o.inARow.Load() != 0 {
			o.inARow.Store(0)
		}
	} else {
		o.inARow.Add(1)
	}
	if change == "" {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if failure != nil {
		o.last = failure
	}
	switch {
	case change == store.Down && !o.down:
		o.down, o.began = true, now()
	case change == store.Up:
		o.down, o.ended = false, now()
	}
}

// Outage returns the outage that lasts, or the last one.
func (g *Guard) Outage() Outage {
	o := &g.outage
	o.mu.Lock()
	defer o.mu.Unlock()
	end := o.ended
	if o.down {
		end = g.now()
	}
	return Outage{Failure: o.last, InARow: o.inARow.Load(), Lasted: max(end-o.began, 0)}
}
