package recorder

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
)

// The combinations of abilities. A type assertion finds an ability by the methods of the type, so
// each combination is a type.
type (
	flushing struct {
		writer
		flushWriter
	}
	hijacking struct {
		writer
		hijackWriter
	}
	flushingHijacking struct {
		writer
		flushWriter
		hijackWriter
	}
)

// writer is the ResponseWriter without further abilities.
type writer struct{ rec *Recorder }

func (w writer) Header() http.Header { return w.rec.w.Header() }

func (w writer) WriteHeader(status int) {
	w.rec.w.WriteHeader(status) // panics if there is no such status
	w.rec.wrote(status)
	w.rec.keep()
}

func (w writer) Write(b []byte) (int, error) {
	w.rec.wrote(http.StatusOK)
	n, err := w.rec.w.Write(b)
	w.rec.keep()
	w.rec.answer.Bytes += int64(n)
	return n, err
}

// WriteString implements [io.StringWriter].
func (w writer) WriteString(s string) (int, error) {
	w.rec.wrote(http.StatusOK)
	n, err := io.WriteString(w.rec.w, s)
	w.rec.keep()
	w.rec.answer.Bytes += int64(n)
	return n, err
}

// Unwrap returns what [http.ResponseController] searches for further abilities. The Recorder has
// room for it, so that a search does not allocate. The adapters of frameworks search it for each
// request, and may allocate once.
func (w writer) Unwrap() http.ResponseWriter {
	w.rec.beneath = beneath{flushingHijacking{w, flushWriter(w), hijackWriter(w)}}
	return &w.rec.beneath
}

// beneath stands between a writer and the recorded ResponseWriter. [http.ResponseController] finds
// Flush and Hijack here. So they are recorded even if only a ResponseWriter beneath the recorded
// one has them.
type beneath struct{ flushingHijacking }

func (b beneath) Unwrap() http.ResponseWriter { return b.writer.rec.w }

type flushWriter struct{ rec *Recorder }

// Flush implements [http.Flusher].
func (w flushWriter) Flush() { _ = w.FlushError() }

// FlushError is the form of Flush that [http.ResponseController] prefers.
func (w flushWriter) FlushError() error {
	err := http.NewResponseController(w.rec.w).Flush()
	if !errors.Is(err, http.ErrNotSupported) {
		w.rec.wrote(http.StatusOK)
		w.rec.keep()
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

// ReadFrom implements [io.ReaderFrom]. With it net/http can send a file without copying it.
func (w readWriter) ReadFrom(src io.Reader) (int64, error) {
	n, err := w.rec.w.(io.ReaderFrom).ReadFrom(src)
	if n > 0 { // otherwise there is no header yet, and the handler can still write another status
		w.rec.wrote(http.StatusOK)
		w.rec.keep()
	}
	w.rec.answer.Bytes += n
	return n, err
}
