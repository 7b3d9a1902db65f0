package fiberlimit

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"net/url"
	"slices"

	"github.com/gofiber/fiber/v3"
	"github.com/valyala/fasthttp"
)

// A passage is the way of one request through a middleware, and the ResponseWriter that the
// middleware is given. It writes to fiber's response.
type passage struct {
	ctx      *fasthttp.RequestCtx
	request  http.Request
	url      url.URL     // of request
	lines    http.Header // of request
	few      [8]string   // values of lines
	many     []string    // the same, if they are more
	text     texts       // of request
	body     body
	header   http.Header
	loaded   bool                // header has the fields of fiber's response
	sent     map[string][]string // the fields that fiber's response had in common with header
	wrote    bool                // a status
	noting   bool                // what is written is shown to the middleware only
	resume   func() (struct{}, bool)
	pause    func(struct{}) bool // returns when the response has ended
	passed   bool                // the middleware has called its next handler
	panicked bool                // the handlers of fiber have not returned

	given context.Context     // of the request that the middleware gave to its next handler
	shown http.ResponseWriter // that it gave with it

	c     fiber.Ctx // set if the handlers of fiber run inside of the limiter
	err   error     // that they have returned
	light bool      // it is used again, if it was not kept
	kept  bool      // something may refer to it when the request has ended
	whole *passage  // of the request that functions of the user see, if it is light
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

// Header implements [http.ResponseWriter]. Fields that are in fiber's response are in it.
func (p *passage) Header() http.Header {
	if !p.loaded {
		p.loaded = true
		if p.header == nil {
			p.header = http.Header{}
		}
		p.load(false)
	}
	return p.header
}

// WriteHeader implements [http.ResponseWriter]. It sends no informational statuses.
func (p *passage) WriteHeader(status int) {
	if p.noting || p.wrote || status < 200 && status != http.StatusSwitchingProtocols {
		return
	}
	p.send()
	p.wrote = true
	p.ctx.Response.SetStatusCode(status)
}

func (p *passage) Write(b []byte) (int, error) {
	p.WriteHeader(http.StatusOK)
	if !p.noting {
		p.ctx.Response.AppendBody(b)
	}
	return len(b), nil
}

// Hijack implements [http.Hijacker]. It tells the middleware that a handler of fiber has hijacked
// the connection. A middleware itself cannot do so.
func (p *passage) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if !p.noting {
		return nil, nil, http.ErrNotSupported
	}
	conn, other := net.Pipe()
	_ = other.Close()
	return conn, bufio.NewReadWriter(bufio.NewReader(conn), bufio.NewWriter(conn)), nil
}

// show shows the middleware the response of fiber's handlers, if the client gets one.
func (p *passage) show() {
	if p.dropped() {
		return
	}
	p.load(true)
	p.noting = true
	out, hijacked := &p.ctx.Response, p.ctx.Hijacked()
	if !hijacked || out.StatusCode() != http.StatusOK { // which is only fiber's default then
		p.shown.WriteHeader(out.StatusCode())
	}
	if hijacked {
		_, _, _ = http.NewResponseController(p.shown).Hijack()
	}
	if !out.IsBodyStream() {
		_, _ = p.shown.Write(out.Body())
	} else {
		p.count(out.Header.ContentLength())
	}
	p.noting = false
	p.send()
}

var zeros [32 << 10]byte

// count shows the middleware n bytes of a body with any content. A negative n counts nothing.
func (p *passage) count(n int) {
	for ; n > 0; n -= len(zeros) {
		_, _ = p.shown.Write(zeros[:min(n, len(zeros))])
	}
}

// load copies the fields of fiber's response to the header. Before the handlers have run, the type
// of the body is only fiber's default.
func (p *passage) load(all bool) {
	clear(p.Header())
	p.sent = nil
	out := &p.ctx.Response.Header
	size, n := measure(out.All())
	if !all && n == 1 && len(out.ContentType()) > 0 {
		return
	}
	skip := func(name []byte) bool {
		switch string(name) {
		case "Content-Type":
			return !all
		case "Trailer", "Connection", "Transfer-Encoding":
			return true
		}
		return false
	}
	copied := make(texts, 0, size)
	copied.fields(p.header, out.All(), make([]string, 0, n), skip)
	p.sent = make(map[string][]string, len(p.header))
	values := make([]string, n)
	for name, lines := range p.header {
		p.sent[name], values = append(values[:0:len(lines)], lines...), values[len(lines):]
	}
}

// send copies the fields of the header that have changed to fiber's response. It deletes fields
// first, because that changes the order of the others. When a status was written, it is too late.
func (p *passage) send() {
	out := &p.ctx.Response.Header
	if p.wrote || len(p.sent) == 0 && sendUsual(out, p.header) {
		return
	}
	for name, values := range p.sent {
		if !slices.Equal(values, p.header[name]) {
			out.Del(name)
		}
	}
	for name, values := range p.header {
		if before, ok := p.sent[name]; !ok || !slices.Equal(before, values) {
			for _, value := range values {
				out.Add(name, value)
			}
		}
	}
}

// The fields that a limiter writes by default. The names are canonical, as SetCanonical wants them.
const (
	levelName, policyName = "Ratelimit", "Ratelimit-Policy"
)

// sendUsual copies the fields of header to out, which has none of them, if they are the usual ones
// of an allowed request, and reports whether they are. It saves 100 ns, a tenth of what such a
// request takes (BenchmarkCost): it walks through no map, and fasthttp does not parse the names.
// TestUsualFields compares both ways.
func sendUsual(out *fasthttp.ResponseHeader, header http.Header) bool {
	level, policy := header[levelName], header[policyName]
	if len(header) != 2 || len(level) != 1 || len(policy) != 1 {
		return false
	}
	var buf [128]byte
	out.SetCanonical([]byte(levelName), append(buf[:0], level[0]...))
	out.SetCanonical([]byte(policyName), append(buf[:0], policy[0]...))
	return true
}
