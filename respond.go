package ratelimit

import (
	"net/http"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/keyer"
	"github.com/ratelimit-go/ratelimit/internal/rank"
	"github.com/ratelimit-go/ratelimit/internal/refund"
	"github.com/ratelimit-go/ratelimit/internal/respond"
	"github.com/ratelimit-go/ratelimit/internal/turns"
	"github.com/ratelimit-go/ratelimit/store"
)

// deny answers a request that v denies, and refunds what outer limiters took for it.
func (e *engine) deny(w http.ResponseWriter, r *http.Request, v *verdict) {
	refund.All(r.Context())
	var d Decision
	v.decide(&d)
	m := new(respond.Denial)
	h := w.Header()
	rl, op := v.denied.rule, new(store.Op)
	if worst := v.strictest(); worst >= 0 {
		rl, op = v.from[worst].rule, &v.ops[worst]
	}
	told := e.told(rl, &d, op.Cost)
	op.Result.RetryAfter = told // for the fields only
	e.setFields(h, v, m.Text[:0], &m.Values)
	op.Result.RetryAfter = d.RetryAfter
	if !v.counted {
		e.denied(rl, d.Reason)
	}
	if e.hooks.Load().Decided != nil {
		e.tellDecided(r, v)
	}
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
	l.write(w, r, &d, new(verdict), new(respond.Denial), l.told(l.table.Load().byName.Find(d.Rule), &d, 1))
}

// write calls Hooks.Denied and writes the response, which tells the client to wait so long.
func (e *engine) write(
	w http.ResponseWriter, r *http.Request, d *Decision, v *verdict, m *respond.Denial, told time.Duration,
) {
	secs := respond.RetryAfter(w.Header(), told)
	if hook := e.hooks.Load().Denied; hook != nil {
		dec := *d // captured instead of d, which then stays on the stack if there is no hook
		e.safely("Denied")(func() { hook(r, dec) })
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
	c.body = m.Answer(w, r, respond.ProblemOf(string(d.Reason)), told, c.extra, c.body[:0])
	e.free(c)
}

// appendViolated appends the policies that denied, except quiet ones, to a problem document.
func (v *verdict) appendViolated(b []byte) []byte {
	for i, p := range v.from {
		if !v.ops[i].Result.Allowed && !p.quiet {
			b = respond.AppendViolated(b, p.Member)
		}
	}
	return b
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
	if r > 0 && (res.Allowed || res.ExceedsBurst) {
		return respond.AppendLevel(b, p.Level, r, respond.Seconds(p.queue.TimeOf(r).Ceil()))
	}
	return respond.AppendLevel(b, p.Level, r, respond.Seconds(p.reset(res)))
}

// reset returns how long a client has to wait that was denied or has no token left. If it has
// tokens left, reset returns the time until the bucket is full.
func (p *policy) reset(res *store.Result) time.Duration {
	switch {
	case !res.Allowed && !res.ExceedsBurst:
		return res.RetryAfter
	case res.Remaining == 0:
		return min(p.queue.TimeOf(1).Ceil(), res.ResetAfter)
	}
	return res.ResetAfter
}

// policyField returns the members of RateLimit-Policy, unless there are no levels.
func (v *verdict) policyField(levels []byte) string {
	if v.field != "" || len(levels) == 0 {
		return v.field
	}
	field := ""
	for _, p := range v.from {
		if !p.quiet {
			field = respond.Join(field, p.Field)
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
	s := respond.Standing{Quota: p.Quota, Window: p.Window, Limit: p.shown().Burst, Remaining: res.Remaining}
	s.Allowed, s.Reset = res.Allowed, p.reset(res) // clients wait for it, some without a look at Retry-After
	respond.SetStanding(h, string(e.cfg.Headers), s, e.now)
}
