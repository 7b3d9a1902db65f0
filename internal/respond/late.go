package respond

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"time"
)

// Late returns a handler that settles the fields when next writes its header. The fields of outer
// limiters are in the header already.
//
// With merge, next may write fields too, such as a reverse proxy that adds the fields of a backend.
// Each field is then sent in one line. It is always so for an [httputil.ReverseProxy]. Without
// merge, Late tells once if next writes fields too. With shared, no field is sent in a response
// that a shared cache may store.
func Late(next http.Handler, merge, shared bool, now func() time.Time, once Once) http.Handler {
	_, proxy := next.(*httputil.ReverseProxy)
	if merge = merge || proxy; !merge {
		next = reportDoubled(next, once)
	}
	if !merge && !shared {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		late := &lateWriter{w: w, r: r, shared: shared, now: now}
		if merge {
			late.outer = fieldsOf(w.Header())
		}
		next.ServeHTTP(late, r)
		late.settle(http.StatusOK) // if next has written nothing
	})
}

// A lateWriter is a ResponseWriter that settles the fields before the header is written. It has the
// abilities of net/http's own; what the ResponseWriter below lacks returns [http.ErrNotSupported].
type lateWriter struct {
	w       http.ResponseWriter
	r       *http.Request
	outer   http.Header // the fields before next; nil if they are not merged
	shared  bool
	now     func() time.Time
	cleared bool // next may have cleared the header after an informational response
	settled bool
}

// settle settles the fields of a response with this status.
func (l *lateWriter) settle(status int) {
	if l.settled {
		return
	}
	if status < 200 && status != http.StatusSwitchingProtocols {
		l.cleared = true // httputil.ReverseProxy does so
		return
	}
	l.settled = true
	h := l.w.Header()
	if l.outer != nil {
		if l.cleared {
			restore(h, l.outer)
		}
		merge(h, l.outer, status, l.now())
	}
	if l.shared && Storable(l.r, status, h) {
		for _, name := range fieldNames {
			delete(h, name)
		}
	}
}

func (l *lateWriter) Header() http.Header { return l.w.Header() }

func (l *lateWriter) WriteHeader(status int) {
	l.settle(status)
	l.w.WriteHeader(status)
}

func (l *lateWriter) Write(b []byte) (int, error) {
	l.settle(http.StatusOK)
	return l.w.Write(b)
}

// WriteString implements [io.StringWriter].
func (l *lateWriter) WriteString(s string) (int, error) {
	l.settle(http.StatusOK)
	return io.WriteString(l.w, s)
}

// ReadFrom implements [io.ReaderFrom]. With it net/http can send a file without copying it.
func (l *lateWriter) ReadFrom(src io.Reader) (int64, error) {
	if !l.settled { // if src fails at once, there is no header yet, and the handler can still set it
		return io.Copy(struct{ io.Writer }{l}, src)
	}
	return io.Copy(l.w, src) // uses the ReadFrom of l.w, if it has one
}

// Flush implements [http.Flusher].
func (l *lateWriter) Flush() { _ = l.FlushError() }

// FlushError is the form of Flush that [http.ResponseController] prefers.
func (l *lateWriter) FlushError() error {
	l.settle(http.StatusOK)
	return http.NewResponseController(l.w).Flush()
}

// Hijack implements [http.Hijacker].
func (l *lateWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(l.w).Hijack()
	if err == nil && !l.settled {
		l.settled = true
		for name := range l.outer { // httputil.ReverseProxy now adds and writes the fields of the backend
			delete(l.w.Header(), name)
		}
	}
	return conn, rw, err
}

// Push implements [http.Pusher].
func (l *lateWriter) Push(target string, opts *http.PushOptions) error {
	if p, ok := l.w.(http.Pusher); ok {
		return p.Push(target, opts)
	}
	return http.ErrNotSupported
}

// Unwrap returns what [http.ResponseController] searches for further abilities.
func (l *lateWriter) Unwrap() http.ResponseWriter { return l.w }

// fieldNames are all fields that any form has, in canonical form.
var fieldNames = slices.Concat([]string{policyName, levelName}, draft6Names[:], legacyNames[:])

// fieldsOf returns a copy of the fields in h, and of Retry-After.
func fieldsOf(h http.Header) http.Header {
	fields := http.Header{}
	for _, name := range append([]string{"Retry-After"}, fieldNames...) {
		if lines := h[name]; len(lines) > 0 {
			fields[name] = slices.Clone(lines)
		}
	}
	return fields
}

// restore puts the outer fields back before what next has written.
func restore(h, outer http.Header) {
	for name, lines := range outer {
		if !startsWith(h[name], lines) {
			h[name] = slices.Concat(lines, h[name])
		}
	}
}

func startsWith(lines, outer []string) bool {
	return len(lines) >= len(outer) && slices.Equal(lines[:len(outer)], outer)
}
