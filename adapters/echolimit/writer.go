package echolimit

import (
	"bufio"
	"log/slog"
	"net"
	"net/http"

	"github.com/labstack/echo/v5"
)

// A passage is the way of one request through a middleware, and the ResponseWriter that the
// middleware is given.
type passage struct {
	w        http.ResponseWriter // of echo, outside of the middleware
	c        *echo.Context
	next     echo.HandlerFunc
	err      error // of next
	wrote    bool  // a final status was sent, or the connection hijacked
	rendered bool  // the response is what the HTTPErrorHandler made of err
	inner    echo.Response
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

// end sends what echo is going to send when all middleware has returned, if the handler has sent
// nothing. So the middleware sees it.
func (p *passage) end() {
	switch {
	case p.wrote:
	case p.err == nil:
		p.inner.WriteHeader(http.StatusOK) // net/http would send it
	default:
		p.c.Echo().HTTPErrorHandler(p.c, p.err)
		p.rendered = p.wrote
	}
}

// restore gives the context its outer response back. If an error was rendered, echo and outer
// middleware may render it again, so what they write is discarded.
func (p *passage) restore(outer http.ResponseWriter) {
	inner, err := echo.UnwrapResponse(p.c.Response())
	switch {
	case err == nil && isSent(inner): // by a middleware inside of this one
		inner.ResponseWriter = sent{outer}
	case err == nil && p.rendered:
		done := echo.NewResponse(sent{outer}, quiet)
		done.Status, done.Size, done.Committed = inner.Status, inner.Size, true
		p.c.SetResponse(done)
	default:
		p.c.SetResponse(outer)
	}
}

func (p *passage) Header() http.Header { return p.w.Header() }

// WriteHeader implements [http.ResponseWriter]. It does not send informational statuses, because
// echo's writer takes every status for the final one.
func (p *passage) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		p.wrote = true
		p.w.WriteHeader(status)
	}
}

func (p *passage) Write(b []byte) (int, error) {
	p.wrote = true
	return p.w.Write(b)
}

// Flush implements [http.Flusher].
func (p *passage) Flush() { _ = p.FlushError() }

// FlushError is the form of Flush that [http.ResponseController] prefers.
func (p *passage) FlushError() error {
	err := http.NewResponseController(p.w).Flush()
	p.wrote = p.wrote || err == nil
	return err
}

// Hijack implements [http.Hijacker].
func (p *passage) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(p.w).Hijack()
	p.wrote = p.wrote || err == nil
	return conn, rw, err
}

// Unwrap returns what [http.ResponseController] searches for further abilities.
func (p *passage) Unwrap() http.ResponseWriter { return p.w }

// quiet is the logger of a response that is complete. echo would log an error if it is rendered
// again, which echo itself does after every error.
var quiet = slog.New(slog.DiscardHandler)

// sent is the ResponseWriter of a response that is complete. What is written to it is discarded.
type sent struct{ http.ResponseWriter }

func isSent(r *echo.Response) bool {
	_, ok := r.ResponseWriter.(sent)
	return ok
}

func (sent) WriteHeader(int) {}

func (sent) Write(b []byte) (int, error) { return len(b), nil }

// Unwrap returns what [http.ResponseController] searches for further abilities.
func (s sent) Unwrap() http.ResponseWriter { return s.ResponseWriter }
