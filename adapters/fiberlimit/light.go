package fiberlimit

import (
	"bytes"
	"net/http"
	"sync"

	"github.com/gofiber/fiber/v3"
)

// A limiter is the handler of a ratelimit.Limiter, or of one of its decorators. It tells what it
// does with a request, so that no more is made of it than that needs.
type limiter interface {
	http.Handler
	// Next returns the handler that the limiter calls.
	Next() http.Handler
	// ServeCopy serves the request that c makes, unless that is nil.
	ServeCopy(c interface {
		// Copy is told whether a function of the user may see the request, and keep it, and whether
		// the limiter does anything when the response has ended. If a function sees the request
		// nevertheless, it sees what Whole returns.
		Copy(shown, lasts bool) (http.ResponseWriter, *http.Request)
	})
}

// An entry makes a request for a limiter. Entries are used again.
type entry struct {
	c    fiber.Ctx
	p    *passage // that Copy has made; nil if the limiter has to wait
	err  error
	once passage // of requests that no function of the user sees
}

// wrapLimiter returns l as a middleware of fiber. A limiter that only decides needs no coroutine.
// If no function of the user sees the request, its memory is used again for another one.
func wrapLimiter(l limiter) fiber.Handler {
	entries := sync.Pool{New: func() any { return &entry{once: passage{lines: http.Header{}}} }}
	return func(c fiber.Ctx) error {
		e := entries.Get().(*entry)
		err := e.serve(l, c)
		if e.reset() { // not after a panic
			entries.Put(e)
		}
		return err
	}
}

func (e *entry) serve(l limiter, c fiber.Ctx) error {
	e.c = c
	defer e.end()
	l.ServeCopy(e)
	switch p := e.p; {
	case e.err != nil:
		return fiber.ErrBadRequest
	case p == nil:
		return wait(l, c)
	case !p.passed:
		p.send() // if the limiter has written fields only
	}
	return e.p.err
}

// end makes the bodies of the request unreadable, before fasthttp uses their memory again.
func (e *entry) end() {
	if e.p != nil {
		e.p.end()
	}
}

// Copy makes the request, for a limiter that does nothing when the response has ended.
func (e *entry) Copy(shown, lasts bool) (http.ResponseWriter, *http.Request) {
	if lasts {
		return nil, nil
	}
	p, convert := &e.once, (*passage).head
	if shown {
		p, convert = new(passage), (*passage).convert
	}
	p.ctx, p.c, p.light = e.c.RequestCtx(), e.c, !shown
	if e.err = convert(p, e.c); e.err != nil {
		return nil, nil
	}
	e.p = p
	return p, &p.request
}

// What is kept for the next request is at most of this size, in bytes and in fields.
const (
	maxText   = 4 << 10
	maxFields = 64
)

// reset makes e ready for another request. It returns false if something may still refer to once.
func (e *entry) reset() bool {
	p := &e.once
	lines, header, text, many := p.lines, p.header, p.text, p.many
	if p.kept || cap(text) > maxText || len(lines) > maxFields || len(header) > maxFields ||
		cap(many) > 2*maxFields {
		return false
	}
	clear(lines)
	clear(header)
	clear(many[:cap(many)])
	*e = entry{once: passage{lines: lines, header: header, text: text[:0], many: many[:0]}}
	return true
}

// direct runs the handlers of fiber that follow, inside of the limiter, which has given r to its
// next handler.
func (p *passage) direct(r *http.Request) {
	if p.shown != http.ResponseWriter(p) {
		p.kept = true
	} else if p.light {
		forget(r) // the context leads to it, and the handlers of fiber may keep the context
		forget(&p.request)
	}
	p.err = p.run(p.c)
}

// forget removes from r what is in memory that is used again.
func forget(r *http.Request) {
	r.RequestURI, r.Host, r.RemoteAddr, r.URL, r.Header = "", "", "", nil, nil
}

// Whole returns the request to show to a function of the user instead of r. A limiter calls it for
// a request that it denies, and if a hook was added meanwhile.
func (p *passage) Whole(r *http.Request) *http.Request {
	if !p.light {
		return r
	}
	p.kept = true
	if p.whole == nil {
		p.whole = &passage{ctx: p.ctx}
		_ = p.whole.convert(p.c) // it did not fail before
		p.whole.request = *p.whole.request.WithContext(r.Context())
	}
	return &p.whole.request
}

// Accept returns the lines of the field Accept of r. A limiter reads them for a request that it
// denies.
func (p *passage) Accept(r *http.Request) []string {
	const name = "Accept"
	if p.light {
		delete(r.Header, name) // a line whose name is not canonical
		others := func(field []byte) bool { return !bytes.EqualFold(field, []byte(name)) }
		p.many = p.text.fields(r.Header, p.ctx.Request.Header.All(), p.many, others)
	}
	return r.Header[name]
}

func (p *passage) end() {
	p.body.in = nil
	if p.whole != nil {
		p.whole.body.in = nil
	}
}
