package outbound

import (
	"maps"
	"net/http"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/told"
)

const (
	// firstBackoff and lastBackoff bound the pause after a denial that tells no wait. It doubles
	// with each one in a row.
	firstBackoff, lastBackoff = time.Second, time.Minute
)

// An answer is a response, and what it tells.
type answer struct {
	told.Answer

	status int
	now    time.Time
}

// read reads a response that has just come. A wait beyond most is cut, and read returns the longest
// such wait.
func read(resp *http.Response, most time.Duration) (a answer, cut time.Duration) {
	now := time.Now()
	a = answer{told.Read(resp.Header, now), resp.StatusCode, now}
	// To a request that was accepted, Retry-After tells when to ask for the result.
	if a.status == http.StatusAccepted || a.status == http.StatusCreated {
		a.HasRetryAfter, a.RetryAfter = false, 0
	}
	if a.RetryAfter > most {
		cut, a.RetryAfter = a.RetryAfter, most
	}
	for i := range a.Quotas {
		q := &a.Quotas[i]
		if q.Reset < 0 && q.Window > 0 {
			q.Reset = q.Window
		}
		if q.Window > most { // too long to pace by: the reset counts
			q.Window = 0
		}
		if q.Reset > most {
			if q.Left == 0 {
				cut = max(cut, q.Reset)
			}
			q.Reset = most
		}
	}
	return a, cut
}

// denied reports whether the server did not process the request because of a limit.
func (a *answer) denied() bool {
	switch a.status {
	case http.StatusTooManyRequests:
		return true
	case http.StatusServiceUnavailable:
		return a.HasRetryAfter
	case http.StatusForbidden: // the limits of GitHub
		return a.HasRetryAfter || a.usedUp(0)
	}
	return false
}

// usedUp reports whether a quota is used up, and its reset is at least so far away.
func (a *answer) usedUp(until time.Duration) bool {
	for _, q := range a.Quotas {
		if q.Left == 0 && q.Reset >= until {
			return true
		}
	}
	return false
}

// answered brings the lane up to an answer.
func (l *lane) answered(t ticket, a answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	others := float64(l.sent - t.done - 1)
	l.end(t)
	later := others - float64(min(l.done-t.done-1, t.flying))
	l.heard = latest(l.heard, a.now)
	denied := a.denied()
	current := t.start == l.start
	if current {
		l.learn(a, a.now.Sub(t.at), others, later, denied)
		l.widen(a, denied)
	}
	paused := l.pause(a, denied, current)
	l.wake(paused)
}

// learn brings the quotas up to an answer, and forgets quotas that answers no longer name.
func (l *lane) learn(a answer, took time.Duration, others, later float64, denied bool) {
	for _, t := range a.Quotas {
		wait := t.Reset
		if wait < 0 && t.Left == 0 {
			wait = firstBackoff
		}
		l.quota(t, a.now).learn(observation{
			Quota: t, now: a.now, took: took, wait: wait,
			others: others, later: later, flying: l.flying(), uncounted: l.uncounted(a.now),
			denied: denied && t.Left == 0,
		})
	}
	if len(a.Quotas) == 0 { // the server may have no limit now
		l.renamed = a.now
	}
	maps.DeleteFunc(l.quotas, func(_ string, q *quota) bool { return q.stale(a.now, l.renamed) })
}

// widen lets more requests be in flight in a slow start.
func (l *lane) widen(a answer, denied bool) {
	if l.open == 0 || denied || !l.knee.grows(l.open) {
		return
	}
	if l.open++; l.open > wide || len(a.Quotas) == 0 && !l.resting {
		l.open, l.knee = 0, knee{}
	}
}

// pause holds all requests as long as an answer says. It reports whether it does. If an answer is
// not current, its request went on before the last pause, so it does not show that the pause was
// too short, or long enough.
func (l *lane) pause(a answer, denied, current bool) bool {
	wait, bend := time.Duration(-1), knee{}
	switch {
	case a.HasRetryAfter && a.RetryAfter > 0:
		wait = a.RetryAfter
	case denied && !a.usedUp(1): // a reset that is now would let all requests return at once
		if bend = l.knee; current {
			l.failures++
			bend = newKnee(l.flying() + 1)
		}
		wait = min(firstBackoff<<min(max(l.failures-1, 0), 16), lastBackoff)
	}
	if !denied && current {
		l.failures = 0
	}
	if wait < 0 {
		return false
	}
	if until := a.now.Add(wait + jitterOf(wait)); until.After(l.until) {
		l.until = until
	}
	l.begin()
	l.knee = bend
	return true
}
