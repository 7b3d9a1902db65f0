// Package recorder records what a handler answered, or that it answered nothing.
package recorder

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
)

// A Recorder records what is written to an [http.ResponseWriter]. Like a ResponseWriter, it serves
// one request and is not safe for concurrent use.
type Recorder struct {
	w      http.ResponseWriter
	answer Answer
}

// An Answer is what a handler has answered so far.
type Answer struct {
	Status   int   // 0 if the handler has written nothing
	Bytes    int64 // of the body
	Hijacked bool  // the handler has hijacked the connection; what it writes there is not seen
}

// New returns a Recorder of what is written to w.
func New(w http.ResponseWriter) *Recorder { return &Recorder{w: w} }

// Answer returns what the handler has answered so far.
func (rec *Recorder) Answer() Answer { return rec.answer }

// Writer returns the ResponseWriter to pass to the handler. It has the abilities of the one that it
// records, in the combinations of net/http and its tests. [http.ResponseController] finds the others.
func (rec *Recorder) Writer() http.ResponseWriter {
	_, flusher := rec.w.(http.Flusher)
	_, hijacker := rec.w.(http.Hijacker)
	_, reader := rec.w.(io.ReaderFrom)
	pusher, pushes := rec.w.(http.Pusher)
	base, flush, hijack := writer{rec}, flushWriter{rec}, hijackWriter{rec}
	switch {
	case flusher && hijacker && pushes: // a middleware that wraps both kinds
		return struct {
			writer
			flushWriter
			hijackWriter
			http.Pusher
		}{base, flush, hijack, pusher}
	case flusher && hijacker && reader: // HTTP/1
		return struct {
			writer
			flushWriter
			hijackWriter
			readWriter
		}{base, flush, hijack, readWriter{rec}}
	case flusher && pushes: // HTTP/2
		return struct {
			writer
			flushWriter
			http.Pusher
		}{base, flush, pusher}
	case flusher && hijacker:
		return struct {
			writer
			flushWriter
			hijackWriter
		}{base, flush, hijack}
	case flusher:
		return struct {
			writer
			flushWriter
		}{base, flush}
	case hijacker:
		return struct {
			writer
			hijackWriter
		}{base, hijack}
	}
	return base
}

// wrote records the first status that is not informational.
func (rec *Recorder) wrote(status int) {
	if rec.answer.Status == 0 && !rec.answer.Hijacked && (status >= 200 || status == http.StatusSwitchingProtocols) {
		rec.answer.Status = status
	}
}

// writer is the ResponseWriter without further abilities.
type writer struct{ rec *Recorder }

func (w writer) Header() http.Header { return w.rec.w.Header() }

func (w writer) WriteHeader(status int) {
	w.rec.w.WriteHeader(status) // panics if there is no such status
	w.rec.wrote(status)
}

func (w writer) Write(b []byte) (int, error) {
	w.rec.wrote(http.StatusOK)
	n, err := w.rec.w.Write(b)
	w.rec.answer.Bytes += int64(n)
	return n, err
}

// WriteString implements [io.StringWriter].
func (w writer) WriteString(s string) (int, error) {
	w.rec.wrote(http.StatusOK)
	n, err := io.WriteString(w.rec.w, s)
	w.rec.answer.Bytes += int64(n)
	return n, err
}

// Unwrap returns what [http.ResponseController] searches for further abilities.
func (w writer) Unwrap() http.ResponseWriter {
	return beneath{w, flushWriter(w), hijackWriter(w)}
}

// beneath stands between a writer and what it records. [http.ResponseController] finds Flush and
// Hijack here, so they are recorded even if only a ResponseWriter further down has them.
type beneath struct {
	writer
	flushWriter
	hijackWriter
}

func (b beneath) Unwrap() http.ResponseWriter { return b.writer.rec.w }

type flushWriter struct{ rec *Recorder }

// Flush implements [http.Flusher].
func (w flushWriter) Flush() { _ = w.FlushError() }

// FlushError is the form of Flush that [http.ResponseController] prefers.
func (w flushWriter) FlushError() error {
	err := http.NewResponseController(w.rec.w).Flush()
	if !errors.Is(err, http.ErrNotSupported) {
		w.rec.wrote(http.StatusOK)
	}
	return err
}

type hijackWriter struct{ rec *Recorder }

// Hijack implements [http.Hijacker].
func (w hijackWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.rec.w).Hijack()
	w.rec.answer.Hijacked = w.rec.answer.Hijacked || err == nil
	return conn, rw, err
}

type readWriter struct{ rec *Recorder }

// ReadFrom implements [io.ReaderFrom], by which net/http can send a file without copying it.
func (w readWriter) ReadFrom(src io.Reader) (int64, error) {
	n, err := w.rec.w.(io.ReaderFrom).ReadFrom(src)
	if n > 0 { // otherwise there is no header yet, and the handler can still write another status
		w.rec.wrote(http.StatusOK)
	}
	w.rec.answer.Bytes += n
	return n, err
}
