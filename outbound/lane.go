package outbound

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/told"
)

const (
	// hang is how long a request without an answer keeps others from going on in a slow start, and
	// in how much time a server has counted it.
	hang = time.Second
	// margin is how much longer than told a wait can be: jitter, and a second of rounding.
	margin = 2 * time.Second
	// wide is how many requests a slow start has in flight at most. Then it ends.
	wide = 1024
)

// A lane is what requests of one key share. Requests go on in the order in which they came.
//
// At first and after each pause the lane starts slowly: one request goes on, and each answer lets
// two more go on. So waiting requests follow the pace at which the server answers.
type lane struct {
	key  string
	most time.Duration // the longest wait after an answer

	mu       sync.Mutex
	until    time.Time // no request goes on before
	failures int       // denials in a row that told no wait, one for each pause
	quotas   map[string]*quota
	renamed  time.Time // when a quota was new, or an answer named none
	queue    []*waiter

	open     int       // how many requests of this start may be in flight; 0 means any number
	knee     knee      // of this start
	started  int       // requests in flight since the start
	start    int       // number of the start
	resting  bool      // a start after a pause, which answers without fields do not end
	launched time.Time // when the last request went on
	heard    time.Time // when the last answer came
	sent     uint64
	done     uint64
	marks    [2]mark // the second is from the last second, the first from at least a second before it
}

// A mark is how many requests had been sent at a time.
type mark struct {
	at   time.Time
	sent uint64
}

// A waiter is a request that waits.
type waiter struct {
	wake chan struct{}
}

func (w *waiter) notify() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// A ticket is a request that has gone on.
type ticket struct {
	start  int
	done   uint64    // requests of the lane that were done when it went on
	flying uint64    // other requests that were in flight then
	at     time.Time // when it went on
}

func newLane(key string, most time.Duration) *lane {
	return &lane{key: key, most: most, quotas: map[string]*quota{}, open: 1}
}

// begin begins a slow start. Answers to earlier requests say nothing about quotas from now on.
func (l *lane) begin() {
	l.start++
	l.open, l.started, l.resting, l.knee = 1, 0, true, knee{}
}

func (l *lane) flying() int { return int(l.sent - l.done) }

// uncounted returns how many requests in flight the server may not have counted yet. They are at
// most as many as were sent in the last one or two seconds.
func (l *lane) uncounted(now time.Time) int {
	if now.Sub(l.launched) >= hang {
		return 0
	}
	if now.Sub(l.marks[1].at) >= hang {
		l.marks[0], l.marks[1] = l.marks[1], mark{now, l.sent}
	}
	return min(l.flying(), int(l.sent-l.marks[0].sent))
}

// ready returns when the request behind others may go on: the zero Time or a time before now means
// at once. It brings the quotas up to now. Their models can be wrong, so the first request goes on
// when the longest wait has passed since the last request and the last answer.
func (l *lane) ready(now time.Time, others int) time.Time {
	for _, q := range l.quotas {
		if q.pass(now) {
			l.begin()
		}
	}
	at := l.until
	for _, q := range l.quotas {
		if next := q.next(now, others, l.uncounted(now)); next.After(at) {
			at = next
		}
	}
	end := latest(l.heard, l.launched).Add(l.most + margin)
	if others == 0 && at.After(end) {
		return end
	}
	return at
}

// head returns when the first waiting request may go on.
func (l *lane) head(now time.Time) time.Time {
	at := l.ready(now, 0)
	if hung := l.launched.Add(hang); l.open > 0 && l.started >= l.open && hung.After(at) {
		return hung
	}
	return at
}

// launch lets a request go on.
func (l *lane) launch(now time.Time) ticket {
	t := ticket{l.start, l.done, l.sent - l.done, now}
	l.launched = now
	l.started++
	l.sent++
	for _, q := range l.quotas {
		q.spend(now, l.uncounted(now))
	}
	return t
}

// pass waits until a request may go on. It returns a *WaitError if that is later than the deadline,
// at once if the lane knows at once.
func (l *lane) pass(ctx context.Context, deadline time.Time, most int) (ticket, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return ticket{}, err
	}
	now := time.Now()
	if len(l.queue) == 0 && !l.head(now).After(now) {
		return l.launch(now), nil
	}
	if !now.Before(deadline) {
		return l.last(now)
	}
	if at := l.ready(now, len(l.queue)); at.After(deadline) || len(l.queue) >= most {
		return ticket{}, &WaitError{Key: l.key, Until: latest(at, now)}
	}
	w := &waiter{wake: make(chan struct{}, 1)}
	l.queue = append(l.queue, w)
	defer l.leave(w)
	for {
		if now = time.Now(); !now.Before(deadline) {
			return l.last(now)
		}
		next := deadline
		if l.queue[0] == w {
			if next = l.head(now); !next.After(now) {
				return l.launch(now), nil
			}
		}
		if at := l.ready(now, 0); at.After(deadline) {
			return ticket{}, &WaitError{Key: l.key, Until: at}
		}
		if err := l.sleep(ctx, w, min(next.Sub(now), deadline.Sub(now))); err != nil {
			return ticket{}, err
		}
	}
}

// last decides on a request that cannot wait any longer. It goes on if only the first start holds
// it, because the server may have no limit. After a pause it does not: all that wait would go on
// together.
func (l *lane) last(now time.Time) (ticket, error) {
	at := l.ready(now, 0)
	if l.resting {
		at = l.head(now)
	}
	if at.After(now) {
		return ticket{}, &WaitError{Key: l.key, Until: at}
	}
	return l.launch(now), nil
}

// sleep waits without the lock until w is woken or d has passed.
func (l *lane) sleep(ctx context.Context, w *waiter, d time.Duration) error {
	l.mu.Unlock()
	defer l.mu.Lock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-w.wake:
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// leave takes w out of the queue, and lets the next one look.
func (l *lane) leave(w *waiter) {
	if i := slices.Index(l.queue, w); i >= 0 {
		l.queue = slices.Delete(l.queue, i, i+1)
	}
	l.wake(false)
}

// wake lets the first waiting request look again, or all.
func (l *lane) wake(all bool) {
	for i, w := range l.queue {
		if i > 0 && !all {
			return
		}
		w.notify()
	}
}

// waitsUntil returns when a request that came now could go on.
func (l *lane) waitsUntil(now time.Time) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ready(now, len(l.queue))
}

// idle reports whether the lane can be forgotten: nothing of it holds any longer.
func (l *lane) idle(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.ready(now, 0).After(now)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// lost notes that a request got no answer.
func (l *lane) lost(t ticket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end(t)
	l.wake(false)
}

func (l *lane) end(t ticket) {
	l.done++
	if t.start == l.start {
		l.started--
	}
}

// quota returns the quota that t names. Beyond the bound it replaces the one named longest ago.
func (l *lane) quota(t told.Quota, now time.Time) *quota {
	q := l.quotas[t.ID]
	if q != nil {
		return q
	}
	if len(l.quotas) >= told.MaxQuotas {
		oldest := ""
		for id, q := range l.quotas {
			if oldest == "" || q.latest.Before(l.quotas[oldest].latest) {
				oldest = id
			}
		}
		delete(l.quotas, oldest)
	}
	q = newQuota(t)
	l.quotas[t.ID], l.renamed = q, now
	return q
}
