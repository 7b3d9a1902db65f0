package ratelimit

import (
	"net/http"

	"github.com/ratelimit-go/ratelimit/internal/rank"
	"github.com/ratelimit-go/ratelimit/internal/refund"
	"github.com/ratelimit-go/ratelimit/internal/respond"
	"github.com/ratelimit-go/ratelimit/store"
)

// deny answers a request that v denies, and refunds what outer limiters took for it.
func (e *engine) deny(w http.ResponseWriter, r *http.Request, v *verdict) {
	refund.All(r.Context())
	var d Decision
	v.decide(&d)
	m := new(respond.Denial)
	h := w.Header()
	secs := respond.RetryAfter(h, d.RetryAfter)
	e.setFields(h, v, m.Text[:0], &m.Values)
	if e.cfg.Hooks.Decided != nil {
		e.decided(r, v)
	}
	e.write(w, r, &d, v, m, secs)
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
	m := new(respond.Denial)
	l.write(w, r, &d, new(verdict), m, respond.RetryAfter(w.Header(), d.RetryAfter))
}

// write calls Hooks.Denied and writes the response. secs is for Retry-After.
func (e *engine) write(
	w http.ResponseWriter, r *http.Request, d *Decision, v *verdict, m *respond.Denial, secs int64,
) {
	if hook := e.cfg.Hooks.Denied; hook != nil {
		told := *d // captured instead of d, which then stays on the stack if there is no hook
		e.reporter.Call(r.Context(), "Denied", func() error { hook(r, told); return nil })
	}
	m.Begin(w.Header(), secs)
	if e.cfg.DenyHandler != nil {
		e.cfg.DenyHandler(w, r, *d)
		return
	}
	c := e.newCall()
	c.extra = c.extra[:0]
	if d.Reason == ReasonLimit || d.Reason == ReasonExceedsBurst {
		c.extra = v.appendViolated(c.extra)
	}
	c.body = m.Answer(w, r, respond.ProblemOf(string(d.Reason)), d.RetryAfter, c.extra, c.body[:0])
	e.free(c)
}

// appendViolated appends the names of the policies that denied, except quiet ones, as a member of a
// problem document.
func (v *verdict) appendViolated(b []byte) []byte {
	sep := `,"violated-policies":[`
	for i, p := range v.from {
		if !v.ops[i].Result.Allowed && !p.quiet {
			b = append(append(b, sep...), p.Member...)
			sep = ","
		}
	}
	if sep == "," {
		b = append(b, ']')
	}
	return b
}

// decided calls Hooks.Decided, which is not nil.
func (e *engine) decided(r *http.Request, v *verdict) {
	// A copy, so that a verdict on the stack stays there if there is no hook.
	why := *v.outcome
	decided := verdict{outcome: &why}
	decided.ops = append(decided.ops, v.ops...)
	decided.from = append(decided.from, v.from...)
	var d Decision
	decided.decide(&d)
	e.reporter.Call(r.Context(), "Decided", func() error {
		e.cfg.Hooks.Decided(r, d, decided.decisions())
		return nil
	})
}

// setFields writes the fields for v, merged with the fields of an outer limiter. Text that is
// written into buf becomes a string and must not be changed afterwards.
func (e *engine) setFields(h http.Header, v *verdict, buf []byte, values *respond.Values) {
	if !v.limited() {
		return
	}
	switch e.cfg.Headers {
	case NoHeaders:
	case "", DraftHeaders:
		levels := v.appendLevels(buf)
		respond.SetDraft(h, v.policyField(levels), levels, values)
	default:
		e.setStrictest(h, v)
	}
}

// appendLevels appends the members of RateLimit.
func (v *verdict) appendLevels(b []byte) []byte {
	for i, p := range v.from {
		if !p.quiet {
			b = p.appendLevel(b, &v.ops[i].Result)
		}
	}
	return b
}

// appendLevel appends a member of RateLimit. Its t is the time in which the client may use the r
// tokens that are left without going faster than the policy. So r/t is never more than q/w, and
// with r=0 it is the wait for the next token. For a limit that denied it is the wait, because
// Retry-After should not be less.
func (p *policy) appendLevel(b []byte, res *store.Result) []byte {
	r := min(res.Remaining, respond.MaxInteger)
	var t int64
	switch {
	case !res.Allowed && !res.ExceedsBurst:
		t = respond.Seconds(res.RetryAfter)
	case r == 0:
		t = min(respond.Seconds(p.queue.TimeOf(1).Ceil()), respond.Seconds(res.ResetAfter))
	default:
		t = respond.Seconds(p.queue.TimeOf(r).Ceil())
	}
	return respond.AppendLevel(b, p.Level, r, t)
}

// policyField returns the members of RateLimit-Policy, unless there are no levels.
func (v *verdict) policyField(levels []byte) string {
	if v.field != "" || len(levels) == 0 {
		return v.field
	}
	field := ""
	for _, p := range v.from {
		switch {
		case p.quiet:
		case field == "":
			field = p.Field
		default:
			field += ", " + p.Field
		}
	}
	return field
}

// setStrictest writes the fields of the older forms.
func (e *engine) setStrictest(h http.Header, v *verdict) {
	worst := -1
	for i := range v.ops {
		if !v.from[i].quiet && (worst < 0 || rank.Stricter(&v.ops[i], &v.ops[worst])) {
			worst = i
		}
	}
	if worst < 0 {
		return
	}
	p, res := v.from[worst], &v.ops[worst].Result
	s := respond.Standing{
		Quota: p.Quota, Window: p.Window, Limit: p.shown().Burst, Remaining: res.Remaining,
		ResetAfter: res.ResetAfter, Allowed: res.Allowed,
	}
	switch e.cfg.Headers {
	case Draft7Headers:
		respond.SetDraft7(h, s)
	case Draft6Headers:
		respond.SetDraft6(h, s)
	default:
		respond.SetLegacy(h, s, e.now())
	}
}
