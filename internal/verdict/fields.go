package verdict

import (
	"net/http"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/rank"
	"github.com/ratelimit-go/ratelimit/internal/respond"
	"github.com/ratelimit-go/ratelimit/store"
)

// SetDraft writes the fields of the draft for v, merged with the fields of an outer limiter. Text
// that is written into buf becomes a string and must not be changed afterwards.
func (v *Verdict) SetDraft(h http.Header, buf []byte, values *respond.Values) {
	levels := buf
	for i, p := range v.From {
		if !p.Quiet {
			levels = p.appendLevel(levels, &v.Ops[i].Result)
		}
	}
	respond.SetDraft(h, v.policyField(levels), levels, values)
}

// appendLevel appends a member of RateLimit. Its t is the time in which the client may use the r
// tokens that are left without going faster than the policy. So r/t is never more than q/w, and
// with r=0 it is the wait for the next token. For a limit that denied it is the wait, because
// Retry-After should not be less.
func (p *Policy) appendLevel(b []byte, res *store.Result) []byte {
	r := min(res.Remaining, respond.MaxInteger)
	if r > 0 && (res.Allowed || res.ExceedsBurst) {
		return respond.AppendLevel(b, p.Level, r, respond.Seconds(p.Queue.TimeOf(r).Ceil()))
	}
	return respond.AppendLevel(b, p.Level, r, respond.Seconds(p.reset(res)))
}

// reset returns how long a client has to wait that was denied or has no token left. If it has
// tokens left, reset returns the time until the bucket is full.
func (p *Policy) reset(res *store.Result) time.Duration {
	switch {
	case !res.Allowed && !res.ExceedsBurst:
		return res.RetryAfter
	case res.Remaining == 0:
		return min(p.Queue.TimeOf(1).Ceil(), res.ResetAfter)
	}
	return res.ResetAfter
}

// policyField returns the members of RateLimit-Policy, unless there are no levels.
func (v *Verdict) policyField(levels []byte) string {
	if v.Field != "" || len(levels) == 0 {
		return v.Field
	}
	field := ""
	for _, p := range v.From {
		if !p.Quiet {
			field = respond.Join(field, p.Field)
		}
	}
	return field
}

// SetStrictest writes the fields of an older form.
func (v *Verdict) SetStrictest(h http.Header, form string, now func() time.Time) {
	worst := -1
	for i := range v.Ops {
		if !v.From[i].Quiet && (worst < 0 || rank.Stricter(&v.Ops[i], &v.Ops[worst])) {
			worst = i
		}
	}
	if worst < 0 {
		return
	}
	p, res := v.From[worst], &v.Ops[worst].Result
	s := respond.Standing{Quota: p.Quota, Window: p.Window, Limit: p.Shown().Burst, Remaining: res.Remaining}
	s.Allowed, s.Reset = res.Allowed, p.reset(res) // clients wait for it, some without a look at Retry-After
	respond.SetStanding(h, form, s, now)
}

// AppendViolated appends the policies that denied, except quiet ones, to a problem document.
func (v *Verdict) AppendViolated(b []byte) []byte {
	for i, p := range v.From {
		if !v.Ops[i].Result.Allowed && !p.Quiet {
			b = respond.AppendViolated(b, p.Member)
		}
	}
	return b
}
