package ginlimit

import (
	"bufio"
	"io"
	"net"
	"net/http"

	"github.com/gin-gonic/gin"
)

// A passage is the way of one request through a middleware, and the ResponseWriter that the
// middleware is given. It writes as net/http does: the first status stands.
type passage struct {
	gin.ResponseWriter // of gin, outside of the middleware
	c                  *gin.Context
	passed             bool // the middleware has called its next handler
	noting             bool // what is written is shown to the middleware only
	wrote              bool // a status was written
	inner              writer
}

// passageOf returns the passage that w leads to, or nil.
func passageOf(w http.ResponseWriter) *passage {
	for {
		if p, ok := w.(*passage); ok {
			return p
		}
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return nil
		}
		w = u.Unwrap()
	}
}

// WriteHeader implements [http.ResponseWriter]. It does not send informational statuses, because
// gin's writer takes every status for the final one. The header is sent with the first byte of the
// body, or by Wrap: outer middleware, such as a compressor, changes fields as late as that.
func (p *passage) WriteHeader(status int) {
	if p.noting || p.wrote || status < 200 && status != http.StatusSwitchingProtocols {
		return
	}
	p.wrote = true
	p.ResponseWriter.WriteHeader(status)
}

func (p *passage) Write(b []byte) (int, error) {
	p.wrote = true
	return p.ResponseWriter.Write(b)
}

// WriteString implements [io.StringWriter].
func (p *passage) WriteString(s string) (int, error) {
	p.wrote = true
	return p.ResponseWriter.WriteString(s)
}

// Unwrap returns what [http.ResponseController] searches for further abilities.
func (p *passage) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// A writer is gin's ResponseWriter for the handlers inside of a middleware. It writes to the
// ResponseWriter that the middleware passes on, which leads to the passage. So the outer writer of
// gin knows the status and the size.
type writer struct {
	gin.ResponseWriter // outside of the middleware
	w                  http.ResponseWriter
	p                  *passage
}

// Written implements [gin.ResponseWriter].
func (w *writer) Written() bool { return w.p.wrote || w.ResponseWriter.Written() }

// show shows the middleware the status, unless it has seen one.
func (w *writer) show() {
	if !w.Written() {
		w.w.WriteHeader(w.Status())
	}
}

// WriteHeaderNow implements [gin.ResponseWriter].
func (w *writer) WriteHeaderNow() {
	if w.show(); w.p.wrote {
		w.ResponseWriter.WriteHeaderNow()
	}
}

func (w *writer) Write(b []byte) (int, error) {
	w.show()
	return w.w.Write(b)
}

// WriteString implements [io.StringWriter].
func (w *writer) WriteString(s string) (int, error) {
	w.show()
	return io.WriteString(w.w, s)
}

// Flush implements [http.Flusher].
func (w *writer) Flush() {
	w.show()
	_ = http.NewResponseController(w.w).Flush()
}

// Hijack implements [http.Hijacker].
func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.w).Hijack()
	w.p.wrote = w.p.wrote || err == nil
	return conn, rw, err
}

// Pusher implements [gin.ResponseWriter].
func (w *writer) Pusher() http.Pusher {
	if pusher, ok := w.w.(http.Pusher); ok {
		return pusher
	}
	return w.ResponseWriter.Pusher()
}

// Unwrap returns what [http.ResponseController] searches for further abilities.
func (w *writer) Unwrap() http.ResponseWriter { return w.w }

// end shows the middleware the status that gin is going to send, if nothing has been sent.
func (w *writer) end(errs bool) {
	switch {
	case w.p.wrote:
	case w.ResponseWriter.Written(): // by another writer: gin.Engine.HandleContext makes one
		w.note()
	case errs: // an outer middleware may render the errors with any status
	case w.p.c.FullPath() == "": // gin writes the body of its 404 or 405 when all handlers have ended
		w.note()
	default: // sent here, so that no outer middleware can change it
		w.WriteHeaderNow()
	}
}

// note shows the middleware the status without sending it.
func (w *writer) note() {
	w.p.noting = true
	w.w.WriteHeader(w.Status())
	w.p.noting = false
}
