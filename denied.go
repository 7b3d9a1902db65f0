package ratelimit

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// violated returns the names of the policies that refused, but for hidden ones.
func (c *check) violated(d Decision) []string {
	var names []string
	if d.Reason != ReasonLimit && d.Reason != ReasonNever {
		return nil
	}
	for i := range c.ops {
		if !c.ops[i].Result.Allowed && !c.rules[i].Hidden {
			names = append(names, c.policies[i].name)
		}
	}
	return names
}

// deny answers a refused request.
func (l *Limiter) deny(w http.ResponseWriter, r *http.Request, d Decision, violated []string) {
	if l.cfg.OnDenied != nil {
		l.guard(r, "OnDenied", func() error { l.cfg.OnDenied(r, d); return nil })
	}
	h := w.Header()
	setRetryAfter(h, d.RetryAfter)
	h["Cache-Control"] = []string{"no-store"}
	if l.cfg.Denied != nil {
		l.cfg.Denied(w, r, d)
		return
	}
	p := problemOf(d)
	body, mediaType := p.json(d, violated), "application/problem+json"
	if !wantsJSON(r.Header["Accept"]) {
		body, mediaType = p.detail(d)+"\n", "text/plain; charset=utf-8"
	}
	h["Content-Type"] = []string{mediaType}
	h["X-Content-Type-Options"] = []string{"nosniff"}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(p.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write([]byte(body)) // a client that has gone needs no answer
	}
}

// problem is a kind of refusal (RFC 9457).
type problem struct {
	kind   string // the last part of its type URI, "" for about:blank
	status int
	text   string
}

func problemOf(d Decision) problem {
	switch d.Reason {
	case ReasonUnidentified:
		return problem{"", http.StatusForbidden, "The request carries no identity to count it by."}
	case ReasonStore:
		return problem{"temporary-reduced-capacity", http.StatusServiceUnavailable, "The service is short of capacity."}
	case ReasonNever:
		return problem{"quota-exceeded", http.StatusTooManyRequests, "The request costs more than its limit can ever allow."}
	}
	return problem{"quota-exceeded", http.StatusTooManyRequests, "Too many requests."}
}

func (p problem) detail(d Decision) string {
	if d.RetryAfter <= 0 {
		return p.text
	}
	secs, unit := max(seconds(d.RetryAfter), 1), "seconds"
	if secs == 1 {
		unit = "second"
	}
	return fmt.Sprintf("%s Retry after %d %s.", p.text, secs, unit)
}

// json renders p by hand: rule names, the only text that is not constant, have been
// checked to need no escapes.
func (p problem) json(d Decision, violated []string) string {
	var b strings.Builder
	b.WriteString(`{"type":"`)
	if p.kind == "" {
		b.WriteString("about:blank")
	} else {
		b.WriteString("https://iana.org/assignments/http-problem-types#" + p.kind)
	}
	fmt.Fprintf(&b, `","title":"%s","status":%d,"detail":"%s"`, http.StatusText(p.status), p.status, p.detail(d))
	if len(violated) > 0 {
		b.WriteString(`,"violated-policies":["` + strings.Join(violated, `","`) + `"]`)
	}
	b.WriteString("}\n")
	return b.String()
}

// wantsJSON reports whether a client with these Accept fields is to get JSON: unless it
// asks for text and not for JSON.
func wantsJSON(accept []string) bool {
	text := false
	for _, line := range accept {
		line = strings.ToLower(line)
		if strings.Contains(line, "json") {
			return true
		}
		text = text || strings.Contains(line, "text/")
	}
	return !text
}
