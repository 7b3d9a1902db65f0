package ratelimit

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// HeaderForm is the form in which responses tell clients where they stand.
type HeaderForm uint8

const (
	// DraftHeaders are RateLimit-Policy and RateLimit of
	// draft-ietf-httpapi-ratelimit-headers-11 (8 to 11 look alike), every limit a member.
	DraftHeaders HeaderForm = iota
	// Draft7Headers are RateLimit-Policy and RateLimit of the draft's version 7, for the
	// strictest limit.
	Draft7Headers
	// Draft6Headers are RateLimit-Limit, RateLimit-Remaining and RateLimit-Reset of the
	// draft's versions 3 to 6, for the strictest limit. The reset is in seconds from now.
	Draft6Headers
	// XHeaders are X-RateLimit-Limit, X-RateLimit-Remaining and X-RateLimit-Reset, for the
	// strictest limit. The reset is in seconds since 1970.
	XHeaders
	// NoHeaders sends none of them. Retry-After is sent all the same.
	NoHeaders
)

// maxInteger is the largest Integer of RFC 9651, section 3.3.1.
const maxInteger = 999_999_999_999_999

// setHeaders writes the fields for c, merged with those of an outer limiter.
func (l *Limiter) setHeaders(h http.Header, c *check) {
	if l.cfg.Headers == NoHeaders || c.failed == FailOpen || c.failed == FailClosed {
		return
	}
	if l.cfg.Headers == DraftHeaders {
		setDraft(h, c)
		return
	}
	worst := -1
	for i := range c.ops {
		if !c.rules[i].Hidden && (worst < 0 || stricter(&c.ops[i], &c.ops[worst])) {
			worst = i
		}
	}
	if worst >= 0 {
		setSingle(h, l.cfg.Headers, &c.policies[worst], &c.ops[worst].Result)
	}
}

func setDraft(h http.Header, c *check) {
	var policyBuf, levelBuf [256]byte
	policies, levels := policyBuf[:0], levelBuf[:0]
	for i := range c.ops {
		if c.rules[i].Hidden {
			continue
		}
		if len(levels) > 0 {
			policies, levels = append(policies, ", "...), append(levels, ", "...)
		}
		policies = append(policies, c.policies[i].field...)
		levels = appendLevel(levels, &c.policies[i], &c.ops[i].Result)
	}
	if len(levels) > 0 {
		appendList(h, "Ratelimit-Policy", string(policies))
		appendList(h, "Ratelimit", string(levels))
	}
}

// appendLevel appends a member of RateLimit. Its t is the time in which the client may use
// the r units that are left without going faster than the policy: so r/t is never more
// than q/w, and with r=0 it is the wait for the next unit. Of a refusing limit it is
// the wait, since Retry-After should not be less.
func appendLevel(b []byte, p *policy, res *Result) []byte {
	r := min(res.Remaining, maxInteger)
	var t int64
	switch {
	case !res.Allowed && !res.Never:
		t = seconds(res.RetryAfter)
	case r == 0:
		t = seconds(p.one.ceil())
		t = min(t, seconds(res.ResetAfter))
	default:
		t = int64(math.Ceil(float64(r) * float64(p.limit.Period) / float64(p.limit.Count) / 1e9))
	}
	b = append(b, '"')
	b = append(b, p.name...)
	b = strconv.AppendInt(append(b, `";r=`...), r, 10)
	return strconv.AppendInt(append(b, ";t="...), t, 10)
}

// appendList adds members to a list field, in one line with those that are there. The
// slice is new each time: a shared one could be changed by a handler further out.
func appendList(h http.Header, name, members string) {
	if v := h[name]; len(v) > 0 && v[0] != "" {
		members = v[0] + ", " + members
	}
	h[name] = []string{members}
}

// setSingle writes the fields of the older forms, unless an outer limiter left less.
func setSingle(h http.Header, form HeaderForm, p *policy, res *Result) {
	limit := strconv.FormatInt(p.limit.Burst, 10)
	left := strconv.FormatInt(res.Remaining, 10)
	wait := strconv.FormatInt(seconds(res.ResetAfter), 10)
	if form == Draft7Headers {
		outer, found := draft7Remaining(h.Get("Ratelimit"))
		if !found || !res.Allowed || res.Remaining < outer {
			h["Ratelimit-Policy"] = []string{strconv.FormatInt(p.quota, 10) + ";w=" + strconv.FormatInt(p.secs, 10)}
			h["Ratelimit"] = []string{"limit=" + limit + ", remaining=" + left + ", reset=" + wait}
		}
		return
	}
	prefix := "Ratelimit-"
	if form == XHeaders {
		prefix = "X-Ratelimit-"
		wait = strconv.FormatInt(time.Now().Add(res.ResetAfter+time.Second-1).Unix(), 10)
	}
	if outer, err := strconv.ParseInt(h.Get(prefix+"Remaining"), 10, 64); err == nil && res.Allowed && outer <= res.Remaining {
		return
	}
	h[prefix+"Limit"], h[prefix+"Remaining"], h[prefix+"Reset"] = []string{limit}, []string{left}, []string{wait}
}

// draft7Remaining returns what a RateLimit field, written by an outer limiter, says is left.
func draft7Remaining(field string) (int64, bool) {
	_, rest, _ := strings.Cut(field, "remaining=")
	digits, _, _ := strings.Cut(rest, ",")
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, err == nil
}

// setRetryAfter writes the wait in whole seconds (RFC 9110, section 10.2.3), at least 1,
// unless waiting does not help or a longer wait is there.
func setRetryAfter(h http.Header, wait time.Duration) {
	if wait <= 0 {
		return
	}
	secs := max(seconds(wait), 1)
	if outer, err := strconv.ParseInt(h.Get("Retry-After"), 10, 64); err == nil && outer >= secs {
		return
	}
	h["Retry-After"] = []string{strconv.FormatInt(secs, 10)}
}

// seconds returns d in seconds, rounded up.
func seconds(d time.Duration) int64 {
	secs := int64(d / time.Second)
	if d%time.Second > 0 {
		secs++
	}
	return secs
}
