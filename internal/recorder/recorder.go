// Package recorder records what a handler answered, or that it answered nothing.
package recorder

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"
)

// A Recorder records what is written to an [http.ResponseWriter]. Like a ResponseWriter, it serves
// one request and is not safe for concurrent use.
type Recorder struct {
	w       http.ResponseWriter
	answer  Answer
	sent    http.Header // with the status; the lines are shared
	beneath beneath
}

// An Answer is what a handler has answered so far.
type Answer struct {
	Status   int   // the final status, not an informational one; 0 if the handler wrote nothing
	Bytes    int64 // of the body
	Hijacked bool  // the handler took over the connection; the Recorder does not see its bytes
}

// New returns a Recorder of what is written to w.
func New(w http.ResponseWriter) *Recorder { return &Recorder{w: w} }

// Answer returns what the handler has answered so far.
func (rec *Recorder) Answer() Answer { return rec.answer }

// Final returns what the handler has answered in the end, where ctx is the context of the request.
// If an outer [http.TimeoutHandler] has answered instead of a success, that is status 503. A
// failure stays what it is.
func (rec *Recorder) Final(ctx context.Context) Answer {
	if rec.informed() {
		rec.answer.Status = 0
	}
	status, late := rec.answer.Status, errors.Is(ctx.Err(), context.DeadlineExceeded)
	if late && status != 0 && status < 400 && !rec.answer.Hijacked {
		if _, err := rec.w.Write(nil); errors.Is(err, http.ErrHandlerTimeout) {
			rec.answer.Status = http.StatusServiceUnavailable
		}
	}
	return rec.answer
}

// Header returns the header that was sent with the status, and trailers with [http.TrailerPrefix]
// before their names. If there is no status yet, it returns the header as it is.
func (rec *Recorder) Header() http.Header {
	header := rec.w.Header()
	if rec.sent == nil {
		return header
	}
	for name, lines := range header {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			rec.sent[name] = lines
		}
	}
	for _, names := range rec.sent["Trailer"] {
		for name := range strings.SplitSeq(names, ",") {
			name = http.CanonicalHeaderKey(strings.TrimSpace(name))
			if lines, ok := header[name]; ok {
				rec.sent[http.TrailerPrefix+name] = lines
			}
		}
	}
	return rec.sent
}

// Writer returns the ResponseWriter to pass to the handler. It has the abilities of the recorded
// ResponseWriter, in the combinations of net/http and its tests. [http.ResponseController] finds
// the others.
func (rec *Recorder) Writer() http.ResponseWriter {
	_, flushes := rec.w.(http.Flusher)
	_, hijacks := rec.w.(http.Hijacker)
	_, reads := rec.w.(io.ReaderFrom)
	pusher, pushes := rec.w.(http.Pusher)
	base := writer{rec}
	flush := flushing{base, flushWriter(base)}
	both := flushingHijacking{base, flushWriter(base), hijackWriter(base)}
	switch {
	case flushes && hijacks && pushes: // a middleware that wraps both kinds
		return struct {
			flushingHijacking
			http.Pusher
		}{both, pusher}
	case flushes && hijacks && reads: // HTTP/1
		return struct {
			flushingHijacking
			readWriter
		}{both, readWriter(base)}
	case flushes && hijacks:
		return both
	case flushes && pushes: // HTTP/2
		return struct {
			flushing
			http.Pusher
		}{flush, pusher}
	case flushes:
		return flush
	case hijacks:
		return hijacking{base, hijackWriter(base)}
	}
	return base
}

// keep keeps the header if it was sent. A handler can change it later, or set trailers.
func (rec *Recorder) keep() {
	if rec.sent == nil && rec.answer.Status != 0 {
		rec.sent = maps.Clone(rec.w.Header())
	}
}

// wrote records the first final status. 101 is final, because no other status can follow it, except
// where nothing can be hijacked: with HTTP/2 it is informational.
func (rec *Recorder) wrote(status int) {
	final := status >= 200 || status == http.StatusSwitchingProtocols
	if final && !rec.answer.Hijacked && (rec.answer.Status == 0 || rec.informed()) {
		rec.answer.Status, rec.sent = status, nil
	}
}

// informed reports whether the status that was recorded is an informational one.
func (rec *Recorder) informed() bool {
	if rec.answer.Status != http.StatusSwitchingProtocols {
		return false
	}
	_, hijacks := rec.w.(http.Hijacker)
	return !hijacks
}
