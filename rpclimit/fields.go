package rpclimit

import (
	"context"
	"math"
	"strconv"
	"time"

	"github.com/ratelimit-go/ratelimit"
)

// Decisions returns the decisions by which the call with this context was allowed, one for each
// rule that applied when it began. They must not be changed. It is nil if no rule applied.
func Decisions(ctx context.Context) []ratelimit.Decision {
	s, _ := ctx.Value(sessionKey{}).(*Session)
	if s == nil {
		return nil
	}
	return s.decisions
}

// DecisionFrom returns the decision by which the call with this context was allowed: of several
// rules the one with the smallest share of its burst left. It returns false if no rule applied.
func DecisionFrom(ctx context.Context) (d ratelimit.Decision, ok bool) {
	least := math.Inf(1)
	for _, other := range Decisions(ctx) {
		burst := other.Limit.Burst
		if burst == 0 {
			burst = other.Limit.Count
		}
		share := 1.0
		if burst > 0 {
			share = float64(other.Remaining) / float64(burst)
		}
		if share < least {
			d, least, ok = other, share, true
		}
	}
	return d, ok
}

// Fields returns the values of RateLimit-Policy and RateLimit for an allowed call, in the form of
// versions 8 to 11 of draft-ietf-httpapi-ratelimit-headers. Of a rule with several limits it has
// the strictest. They are empty if there is nothing to tell, or Config.Fields is not set.
func (s *Session) Fields() (policy, limit string) {
	if s == nil || !s.guard.cfg.Fields {
		return "", ""
	}
	var p, l []byte
	for i, r := range s.rules {
		if !r.hidden {
			p, l = appendFields(p, l, &s.decisions[i])
		}
	}
	return string(p), string(l)
}

// Fields returns the same as [Session.Fields] for a call that is denied.
func (d *Denial) Fields() (policy, limit string) {
	var p, l []byte
	for i := range d.shown {
		p, l = appendFields(p, l, &d.shown[i])
	}
	return string(p), string(l)
}

// appendFields appends the members for a decision. The t of RateLimit is the time in which the
// client may use the r tokens that are left, without going faster than the policy.
func appendFields(policy, limit []byte, d *ratelimit.Decision) (_, _ []byte) {
	if d.Limit.Count <= 0 || d.Mode == ratelimit.DryRun || d.Mode == ratelimit.Off {
		return policy, limit // nothing limits the client
	}
	if len(policy) > 0 {
		policy, limit = append(policy, ", "...), append(limit, ", "...)
	}
	window := seconds(d.Limit.Period)
	quota := d.Limit.Count
	if d.Limit.Period%time.Second != 0 {
		quota = int64(float64(quota) * (float64(window) * 1e9 / float64(d.Limit.Period)))
	}
	name := strconv.Quote(d.Rule)
	policy = strconv.AppendInt(append(append(policy, name...), ";q="...), quota, 10)
	policy = strconv.AppendInt(append(policy, ";w="...), window, 10)
	limit = strconv.AppendInt(append(append(limit, name...), ";r="...), d.Remaining, 10)
	wait := d.RetryAfter
	if d.Allowed {
		tokens := max(d.Remaining, 1)
		wait = min(d.ResetAfter, period(d.Limit, 1))
		if d.Remaining > 0 {
			wait = period(d.Limit, tokens)
		}
	}
	limit = strconv.AppendInt(append(limit, ";t="...), seconds(wait), 10)
	return policy, limit
}

// period returns how long n tokens of l take.
func period(l ratelimit.Limit, n int64) time.Duration {
	return time.Duration(math.Min(float64(n)*float64(l.Period)/float64(l.Count), math.MaxInt64/2))
}

// seconds returns d in seconds, rounded up.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
