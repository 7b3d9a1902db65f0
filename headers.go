package ratelimit

import (
	"net/http"
	"strconv"
	"strings"
	"time"
	"unsafe"
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

// fieldValues are the values of RateLimit-Policy and RateLimit, which a header's slices
// point to: each has a capacity of one, so that appending to one does not reach the next.
type fieldValues [2]string

// fields is what the header of an admitted request points to, where no admission has it.
type fields struct {
	values fieldValues
	text   [64]byte // of RateLimit
}

// setHeaders writes the fields for v, merged with those of an outer limiter. What is written
// into buf, as far as there is room, becomes a string and must not be changed after. Without values
// to point to it makes some, if it needs them.
func (l *Limiter) setHeaders(h http.Header, v *verdict, buf []byte, values *fieldValues) {
	if l.cfg.Headers == NoHeaders || len(v.ops) == 0 || v.refused.reason != ReasonNone || v.failed == FailOpen || v.failed == FailClosed {
		return
	}
	if l.cfg.Headers == DraftHeaders {
		setDraft(h, v, buf, values)
		return
	}
	worst := -1
	for i := range v.ops {
		if !v.policies[i].hidden && (worst < 0 || stricter(&v.ops[i], &v.ops[worst])) {
			worst = i
		}
	}
	if worst >= 0 {
		setSingle(h, l.cfg.Headers, v.policies[worst], &v.ops[worst].Result)
	}
}

func setDraft(h http.Header, v *verdict, buf []byte, values *fieldValues) {
	if values == nil {
		f := new(fields)
		buf, values = f.text[:0], &f.values
	}
	levels := buf
	for i, p := range v.policies {
		if p.hidden {
			continue
		}
		if len(levels) > 0 {
			levels = append(levels, ", "...)
		}
		levels = appendLevel(levels, p, &v.ops[i].Result)
	}
	if len(levels) == 0 {
		return
	}
	// Both are looked up first: that costs nothing as long as the header is empty.
	values[0] = joined(h["Ratelimit-Policy"], v.policyField())
	values[1] = joined(h["Ratelimit"], unsafe.String(&levels[0], len(levels)))
	h["Ratelimit-Policy"], h["Ratelimit"] = values[0:1:1], values[1:2:2]
}

// policyField returns the members of RateLimit-Policy. Those of a single rule are at hand.
func (v *verdict) policyField() string {
	field := ""
	for _, p := range v.plans {
		switch {
		case field == "":
			field = p.field
		case p.field != "":
			field += ", " + p.field
		}
	}
	return field
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
		t = seconds(p.timeOf(r).ceil())
	}
	b = strconv.AppendInt(append(b, p.level...), r, 10)
	return strconv.AppendInt(append(b, ";t="...), t, 10)
}

// joined returns members as one line, after those that an outer limiter wrote.
func joined(outer []string, members string) string {
	if len(outer) == 0 || len(outer) == 1 && outer[0] == "" {
		return members
	}
	return strings.Join(outer, ", ") + ", " + members
}

// setSingle writes the fields of the older forms, unless an outer limiter left less.
func setSingle(h http.Header, form HeaderForm, p *policy, res *Result) {
	limit := strconv.FormatInt(p.limit.Burst-p.extra, 10)
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

// retryAfter returns the wait in whole seconds (RFC 9110, section 10.2.3), at least 1. It is
// 0 if waiting does not help, or if a longer wait is there.
func retryAfter(h http.Header, wait time.Duration) int64 {
	if wait <= 0 {
		return 0
	}
	secs := max(seconds(wait), 1)
	if there := h["Retry-After"]; len(there) > 0 {
		if outer, err := strconv.ParseInt(there[0], 10, 64); err == nil && outer >= secs {
			return 0
		}
	}
	return secs
}

// seconds returns d in seconds, rounded up.
func seconds(d time.Duration) int64 {
	secs := int64(d / time.Second)
	if d%time.Second > 0 {
		secs++
	}
	return secs
}
