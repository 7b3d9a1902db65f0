package ratelimit

import (
	"net/http"
	"time"
)

// Most rules take tokens and no more. This file is the way of a request to which a rule
// applies that does: one that decides by the response, holds requests, bounds those in flight, or
// is only observed. Other requests do not come here.

// A control is a rule that does more than take tokens, as it applies to one request.
type control struct {
	rule     *rule
	key      Key
	cost     int64 // what was reserved
	observed bool  // it refuses nobody, and blocks nobody
}

// controlled reports whether a rule of c does more than take tokens.
func (c *check) controlled() bool {
	return len(c.controls) > 0 || len(c.observed) > 0 || len(c.waiters) > 0 || len(c.permits) > 0 || len(c.suspects) > 0
}

// control notes that r does more than take tokens, if it does.
func (c *check) control(l *Limiter, r *rule, key Key, cost int64) {
	if r.Charge != nil || r.penalty != nil && r.penalty.Offence != nil {
		c.controls = append(c.controls, control{r, key, cost, false})
	}
	if r.MaxWait > 0 {
		c.waiters = append(c.waiters, r)
	}
	if r.InFlight > 0 {
		c.permits = append(c.permits, l.permits.of(r, key))
	}
}

// serveControlled is the rest of serve for a request with controls. It puts c back.
func (l *Limiter) serveControlled(w http.ResponseWriter, r *http.Request, next http.Handler, c *check) {
	s := l.enter(r.Context(), c)
	defer s.leave() // whatever happens from here on
	if !l.lease(s, c) {
		l.unasked(c)
		s.leave()
		l.refuse(w, r, &c.verdict)
		l.putCheck(c)
		return
	}
	_ = l.applyBlocks(r.Context(), c) // reported there; the decision says what was chosen
	wait := c.showWaits()
	worst := c.worst()
	if c.allowed(worst) && wait > 0 && !l.hold(r.Context(), c, wait) {
		c.refuseHeld()
		worst = c.worst()
	}
	if !c.allowed(worst) {
		s.leave()
		l.refuse(w, r, &c.verdict)
		l.putCheck(c)
		return
	}
	ctx := r.Context()
	if s != nil {
		s.admitted = true
		ctx = s
	}
	a := l.admit(ctx, &c.verdict, worst)
	if taken := l.observe(r, c.observed); len(taken) > 0 {
		a.charge(append(a.charged(), taken...))
	}
	controls := append([]control(nil), c.controls...)
	l.setHeaders(w.Header(), &c.verdict, a.text[:0], &a.values)
	l.putCheck(c)
	given := a.carry(r)
	l.serveSettled(w, given, next, a, controls)
	handBack(r, given)
}

// serveSettled serves a request that was admitted, and settles what it costs whatever the handler
// does: return, panic, or end its goroutine.
func (l *Limiter) serveSettled(w http.ResponseWriter, r *http.Request, next http.Handler, a *admission, controls []control) {
	if len(controls) == 0 {
		next.ServeHTTP(w, r)
		return
	}
	begin := time.Now()
	rec := newRecorder(w)
	panicked := true
	defer func() {
		l.settle(r, a, controls, rec.response(time.Since(begin), panicked))
	}()
	next.ServeHTTP(rec.writer(), r)
	panicked = false
}
