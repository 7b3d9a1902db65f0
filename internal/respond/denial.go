package respond

import (
	"net/http"
	"strconv"
	"time"
	"unsafe"

	"github.com/ratelimit-go/ratelimit/internal/copied"
)

// A Denial is all that the header of a denied request points to, in one piece of memory. So a
// denied request allocates once. A Denial is for one response and must not be used again.
type Denial struct {
	Values Values // for [SetDraft]
	fields [4]string
	Text   [80]byte // room for the levels of [SetDraft]
	wait   [16]byte // the digits of Retry-After
}

// Begin sets the fields of every denied request: Cache-Control and, if secs is not 0, Retry-After.
// [RetryAfter] returns secs. It deletes fields of an outer handler by which some caches would store
// the denial, for all clients.
func (d *Denial) Begin(h http.Header, secs int64) {
	own := 1
	if secs > 0 {
		own++
		digits := strconv.AppendInt(d.wait[:0], secs, 10)
		d.set(h, 0, "Retry-After", unsafe.String(&digits[0], len(digits)))
	}
	d.set(h, 1, "Cache-Control", "no-store")
	if d.Values[1] != "" { // SetDraft has set both
		own += 2
	}
	if len(h) == own {
		return // usually, and the loop takes 70 ns, a tenth of a denial
	}
	for name := range h {
		if isTargeted(name) {
			delete(h, name)
		}
	}
}

// Answer writes the response: p as a problem document, or as text if the client prefers text.
// If wait is positive, the body says when to retry.
//
// The document ends with extra, which is empty or JSON members that begin with a comma, such as
// `,"violated-policies":["p-1"]`. Answer appends the body to buf and returns it, so that the caller
// can use the memory again.
func (d *Denial) Answer(
	w http.ResponseWriter, r *http.Request, p *Problem, wait time.Duration, extra, buf []byte,
) []byte {
	body, mediaType := buf, "application/problem+json"
	if PrefersText(copied.Accept(w, r)) {
		body, mediaType = append(p.appendDetail(body, wait), '\n'), "text/plain; charset=utf-8"
	} else {
		body = p.appendJSON(body, wait, extra)
	}
	h := w.Header()
	delete(h, "Content-Length") // an outer handler set it for another body, see http.Error
	d.set(h, 2, "Content-Type", mediaType)
	d.set(h, 3, "X-Content-Type-Options", "nosniff")
	if r.Method == http.MethodHead {
		h["Content-Length"] = []string{strconv.Itoa(len(body))}
		w.WriteHeader(p.Status)
		return body
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // net/http adds the length; an error means that the client has gone
	return body
}

// set makes value the only value of a field. The slice has a capacity of one, so appending to it
// does not overwrite the next field.
func (d *Denial) set(h http.Header, i int, name, value string) {
	d.fields[i] = value
	h[name] = d.fields[i : i+1 : i+1]
}
