package ratelimit

import (
	"net/http"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/copied"
	"github.com/ratelimit-go/ratelimit/internal/keyer"
	"github.com/ratelimit-go/ratelimit/internal/refund"
	"github.com/ratelimit-go/ratelimit/internal/respond"
	"github.com/ratelimit-go/ratelimit/internal/turns"
	"github.com/ratelimit-go/ratelimit/internal/verdict"
	"github.com/ratelimit-go/ratelimit/store"
)

// deny answers a request that v denies, and refunds what outer limiters took for it.
func (e *engine) deny(w http.ResponseWriter, r *http.Request, v *verdict.Verdict) {
	refund.All(r.Context())
	var d Decision
	conclude(v, &d)
	m := new(respond.Denial)
	h := w.Header()
	rl, op := ruleOf(v.Denied.Rule), new(store.Op)
	if worst := v.Strictest(); worst >= 0 {
		rl, op = ruleOf(v.From[worst].Rule), &v.Ops[worst]
	}
	told := e.told(rl, &d, op.Cost)
	op.Result.RetryAfter = told // for the fields only
	e.setFields(h, v, m.Text[:0], &m.Values)
	op.Result.RetryAfter = d.RetryAfter
	if !v.Counted {
		e.denied(rl, d.Reason)
	}
	e.tellDecided(w, r, v, nil)
	e.write(w, r, &d, v, m, told)
}

// told returns how long to tell a client to wait whose denial is d, by the rule rl, which is nil if
// none denied. Clients that share a bucket are told different waits, none less than d.RetryAfter.
func (e *engine) told(rl *rule, d *Decision, cost int64) time.Duration {
	away := d.Reason == ReasonStore
	if d.RetryAfter <= 0 || !away && !d.Overflow && (rl == nil || !keyer.Shares(rl.Key, d.Key)) {
		return d.RetryAfter
	}
	t := turns.Denial{Rule: d.Rule, Key: d.Key, Overflow: d.Overflow, Wait: d.RetryAfter, Away: away}
	t.Limit, t.Cost = turns.Limit(d.Limit), cost
	if rl != nil {
		t.Each = rl.meter.Each(rl.InFlight)
	}
	if e.memory == nil && !d.Local { // the other instances give turns too
		t.Instances = e.cfg.Instances
	}
	return e.turns.Wait(e.now(), &t)
}

// Deny answers a request with the limiter's own response to the denial d: Retry-After, and a
// problem document or text, or DenyHandler. It is for handlers that deny a request themselves, such
// as after [Limiter.Take]. It refunds what limiters took for the request, and calls Hooks.Denied.
// If d allows the request, Deny answers as if a limit had denied it.
func (l *Limiter) Deny(w http.ResponseWriter, r *http.Request, d Decision) {
	if d.Allowed {
		d.Allowed, d.Reason = false, ReasonLimit
	}
	refund.All(r.Context())
	told := l.told(l.table.Load().byName.Find(d.Rule), &d, 1)
	l.write(w, r, &d, new(verdict.Verdict), new(respond.Denial), told)
}

// write calls Hooks.Denied and writes the response, which tells the client to wait so long.
func (e *engine) write(
	w http.ResponseWriter, r *http.Request, d *Decision,
	v *verdict.Verdict, m *respond.Denial, told time.Duration,
) {
	secs := respond.RetryAfter(w.Header(), told, e.now)
	if hook := e.hooks.Load().Denied; hook != nil {
		dec := *d // captured instead of d, which then stays on the stack if there is no hook
		e.safely(r.Context(), "Denied", func() { hook(copied.Whole(w, r), dec) })
	}
	m.Begin(w.Header(), secs)
	if e.cfg.DenyHandler != nil {
		dec, rl := *d, e.table.Load().byName.Find(d.Rule)
		dec.OmitHeaders = d.Rule != "" && (rl == nil || rl.OmitHeaders)
		e.cfg.DenyHandler(w, copied.Whole(w, r), dec)
		return
	}
	c := e.newCall()
	c.extra = c.extra[:0]
	if d.Reason == ReasonLimit || d.Reason == ReasonExceedsBurst {
		c.extra = v.AppendViolated(c.extra)
	}
	c.body = m.Answer(w, r, respond.ProblemOf(string(d.Reason)), told, c.extra, c.body[:0])
	e.free(c)
}

// setFields writes the fields for v, merged with the fields of an outer limiter. Text that is
// written into buf becomes a string and must not be changed afterwards.
func (e *engine) setFields(h http.Header, v *verdict.Verdict, buf []byte, values *respond.Values) {
	if !v.Limited() {
		return
	}
	switch e.cfg.Headers {
	case NoHeaders:
	case "", DraftHeaders:
		v.SetDraft(h, buf, values)
	default:
		v.SetStrictest(h, string(e.cfg.Headers), e.now)
	}
}
