package fiberlimit

import (
	"bytes"
	"context"
	"errors"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/gofiber/fiber/v3"
	"github.com/valyala/fasthttp"
)

// convert makes the request of net/http for c. The request shares no memory with c, which reuses
// its own, except for the Body.
func (p *passage) convert(c fiber.Ctx) error {
	in := &p.ctx.Request
	text, lines := p.fields()
	target, err := url.ParseRequestURI(text.target)
	if err != nil {
		return err
	}
	r := &p.request
	r.Method, r.URL, r.RequestURI, r.Host, r.Header = c.Method(), target, text.target, text.host, lines
	r.RemoteAddr, r.TLS, r.Body = text.peer, p.ctx.TLSConnectionState(), &p.body
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.1", 1, 1
	if !in.Header.IsHTTP11() {
		r.Proto, r.ProtoMinor = "HTTP/1.0", 0
	}
	if target.Host != "" { // as net/http does
		r.Host = target.Host
	}
	p.body.in = in
	p.body.app = c.App()
	n := in.Header.ContentLength()
	if n <= 0 && !in.IsBodyStream() { // a chunked body; otherwise Body may build a form again
		n = len(in.Body())
	}
	if r.ContentLength = int64(max(n, -1)); n == 0 {
		r.Body = http.NoBody
	}
	if c.Matched() {
		describe(r, c)
	}
	if ctx := c.Context(); ctx != context.Background() {
		*r = *r.WithContext(ctx)
	}
	return nil
}

// describe tells the request which route of fiber it has matched.
func describe(r *http.Request, c fiber.Ctx) {
	route := c.Route()
	r.Pattern = route.Path
	for _, name := range route.Params {
		r.SetPathValue(name, strings.Clone(c.Params(name)))
	}
}

// text is what a request line, its Host and its connection say.
type text struct{ target, host, peer string }

// fields copies the texts and the fields of the request.
func (p *passage) fields() (text, http.Header) {
	in := &p.ctx.Request.Header
	size, n := measure(in.All())
	var all texts
	all.Grow(size + len(in.RequestURI()) + len(in.Host()) + maxPeer)
	var peer [maxPeer]byte
	t := text{all.add(in.RequestURI()), all.add(in.Host()), all.add(appendPeer(peer[:0], p.ctx.RemoteAddr()))}
	header, values := make(http.Header, n), p.values[:0]
	if n > len(p.values) {
		values = make([]string, 0, n)
	}
	all.fields(header, in.All(), values, "Host", "Transfer-Encoding") // net/http keeps them elsewhere
	return t, header
}

// maxPeer is more than a peer's address and port take without a zone.
const maxPeer = 64

// appendPeer appends the text of addr, as its String returns it, but without allocations for TCP.
func appendPeer(to []byte, addr net.Addr) []byte {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return append(to, addr.String()...)
	}
	ap := tcp.AddrPort()
	if !ap.IsValid() {
		return append(to, tcp.String()...)
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()).AppendTo(to)
}

// errStreamed says that a body cannot be read here, because the handlers could not read it again.
var errStreamed = errors.New(
	"fiberlimit: the body is streamed, and longer than BodyLimit or of unknown length")

// errEncoded and errBoundary say that fiber reads another body than net/http does. So a middleware
// must not decide by it.
var (
	errEncoded  = errors.New("fiberlimit: the body has a Content-Encoding")
	errBoundary = errors.New("fiberlimit: the boundary of the form is ambiguous")
)

// unequal returns an error if fiber's handlers can find other values in the body than a middleware
// can. fiber decodes a body, and has its own way to find the boundary of a form.
func unequal(h *fasthttp.RequestHeader) error {
	if len(h.Peek(fiber.HeaderContentEncoding)) > 0 {
		return errEncoded
	}
	kind, params, err := mime.ParseMediaType(string(h.ContentType()))
	if kind == fiber.MIMEMultipartForm &&
		(err != nil || params["boundary"] != string(h.MultipartFormBoundary())) {
		return errBoundary
	}
	return nil
}

// A body is the body of a request, for the middleware. fiber's handlers can read theirs, too. It is
// read into memory, so it is at most BodyLimit long.
type body struct {
	in   *fasthttp.Request // nil when the request has ended, and fasthttp uses the memory again
	app  *fiber.App
	read *bytes.Reader
}

// Read implements [io.Reader].
func (b *body) Read(to []byte) (int, error) {
	if b.in == nil {
		return 0, http.ErrBodyReadAfterClose
	}
	if b.read == nil {
		n := b.in.Header.ContentLength()
		if n > b.app.Config().BodyLimit || n < 0 && b.in.IsBodyStream() {
			return 0, errStreamed
		}
		if err := unequal(&b.in.Header); err != nil {
			return 0, err
		}
		b.read = bytes.NewReader(b.in.Body()) // it reads a stream to its end, and keeps it
	}
	return b.read.Read(to)
}

// Close implements [io.Closer].
func (*body) Close() error { return nil }
