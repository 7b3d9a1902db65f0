package ratelimit

import (
	"net/http"
	"strconv"
	"unsafe"
)

// A denial holds what the header of a refusal points to, in one piece of memory. Each
// slice that is taken from fields has a capacity of one.
type denial struct {
	values fieldValues
	fields [4]string
	text   [80]byte // of RateLimit
	wait   [16]byte // of Retry-After
}

// deny answers a refused request.
func (l *Limiter) deny(w http.ResponseWriter, r *http.Request, v *verdict) {
	var d Decision
	v.decide(&d)
	h, m := w.Header(), new(denial)
	secs := retryAfter(h, d.RetryAfter)
	l.setHeaders(h, v, m.text[:0], &m.values)
	if l.cfg.OnDenied != nil {
		l.guard(r, "OnDenied", func() error { l.cfg.OnDenied(r, d); return nil })
	}
	m.begin(h, secs)
	if l.cfg.Denied != nil {
		l.cfg.Denied(w, r, d)
		return
	}
	c := l.getCheck()
	c.buf = m.answer(w, r, &d, v, c.buf[:0])
	l.putCheck(c)
}

// begin sets the fields that every refusal has. secs is the wait, or 0 if there is none to tell.
func (m *denial) begin(h http.Header, secs int64) {
	if secs > 0 {
		digits := strconv.AppendInt(m.wait[:0], secs, 10)
		m.set(h, 0, "Retry-After", unsafe.String(&digits[0], len(digits)))
	}
	m.set(h, 1, "Cache-Control", "no-store")
}

// answer writes the response, and returns its body, which it puts into buf. The policies that
// refused are those of v.
func (m *denial) answer(w http.ResponseWriter, r *http.Request, d *Decision, v *verdict, buf []byte) (body []byte) {
	p, h := problemOf(d), w.Header()
	body, mediaType := buf, "application/problem+json"
	if prefersText(r.Header["Accept"]) {
		body, mediaType = append(p.appendDetail(body, d), '\n'), "text/plain; charset=utf-8"
	} else {
		body = p.appendJSON(body, d, v)
	}
	delete(h, "Content-Length") // of what was not served, as in http.Error
	m.set(h, 2, "Content-Type", mediaType)
	m.set(h, 3, "X-Content-Type-Options", "nosniff")
	if r.Method == http.MethodHead {
		h["Content-Length"] = []string{strconv.Itoa(len(body))}
		w.WriteHeader(p.status)
		return body
	}
	w.WriteHeader(p.status)
	_, _ = w.Write(body) // which adds the length; a client that has gone needs no answer
	return body
}

func (m *denial) set(h http.Header, i int, name, value string) {
	m.fields[i] = value
	h[name] = m.fields[i : i+1 : i+1]
}

// problem is a kind of refusal (RFC 9457).
type problem struct {
	kind   string // its type URI
	status int
	title  string
	text   string
}

const problemTypes = "https://iana.org/assignments/http-problem-types#"

// Status returns the HTTP status for a refusal: 403 if the client is denied or has no identity, 503 if the
// service is short of capacity or the store failed, 429 otherwise. It is 200 if d is an admission.
func (d Decision) Status() int {
	if d.Allowed {
		return http.StatusOK
	}
	return problemOf(&d).status
}

func problemOf(d *Decision) problem {
	switch d.Reason {
	case ReasonUnidentified:
		return problem{"about:blank", http.StatusForbidden, "Forbidden", "The request carries no identity to count it by."}
	case ReasonDenied:
		return problem{"about:blank", http.StatusForbidden, "Forbidden", "Access is denied."}
	case ReasonBlocked:
		return problem{problemTypes + "abnormal-usage-detected", http.StatusTooManyRequests, "Too Many Requests", "Blocked because of abnormal usage."}
	case ReasonStore, ReasonCapacity, ReasonOverload:
		return problem{problemTypes + "temporary-reduced-capacity", http.StatusServiceUnavailable, "Service Unavailable", "The service is short of capacity."}
	case ReasonInFlight:
		return problem{problemTypes + "quota-exceeded", http.StatusTooManyRequests, "Too Many Requests", "Too many requests at once."}
	case ReasonNever:
		return problem{problemTypes + "quota-exceeded", http.StatusTooManyRequests, "Too Many Requests", "The request costs more than its limit can ever allow."}
	}
	return problem{problemTypes + "quota-exceeded", http.StatusTooManyRequests, "Too Many Requests", "Too many requests."}
}

func (p *problem) appendDetail(b []byte, d *Decision) []byte {
	b = append(b, p.text...)
	if d.RetryAfter <= 0 {
		return b
	}
	secs := max(seconds(d.RetryAfter), 1)
	b = strconv.AppendInt(append(b, " Retry after "...), secs, 10)
	if secs == 1 {
		return append(b, " second."...)
	}
	return append(b, " seconds."...)
}

// appendJSON renders p by hand: rule names, the only text that is not constant, have been
// checked to need no escapes.
func (p *problem) appendJSON(b []byte, d *Decision, v *verdict) []byte {
	b = append(append(b, `{"type":"`...), p.kind...)
	b = append(append(b, `","title":"`...), p.title...)
	b = strconv.AppendInt(append(b, `","status":`...), int64(p.status), 10)
	b = p.appendDetail(append(b, `,"detail":"`...), d)
	b = append(b, '"')
	if d.Reason == ReasonLimit || d.Reason == ReasonNever {
		b = v.appendViolated(b)
	}
	return append(b, "}\n"...)
}

// appendViolated appends the names of the policies that refused, but for hidden ones.
func (v *verdict) appendViolated(b []byte) []byte {
	sep := `,"violated-policies":[`
	for i, p := range v.policies {
		if !v.ops[i].Result.Allowed && !p.hidden {
			b = append(append(b, sep...), p.member...)
			sep = ","
		}
	}
	if sep == "," {
		b = append(b, ']')
	}
	return b
}
