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
	if err := p.head(c); err != nil {
		return err
	}
	r, in := &p.request, &p.ctx.Request
	r.TLS, r.Body = p.ctx.TLSConnectionState(), &p.body
	p.body.in, p.body.app = in, c.App()
	n := in.Header.ContentLength()
	if n <= 0 && !in.IsBodyStream() { // a chunked body; otherwise Body may build a form again
		n = len(in.Body())
	}
	if r.ContentLength = int64(max(n, -1)); n == 0 {
		r.Body = http.NoBody
	}
	if c.Matched() {
		for _, name := range c.Route().Params {
			r.SetPathValue(name, strings.Clone(c.Params(name)))
		}
	}
	return nil
}

// head makes everything of the request that functions of the limiter itself read: what its target,
// its fields, its connection and its route say, and its context.
func (p *passage) head(c fiber.Ctx) error {
	r, in := &p.request, &p.ctx.Request.Header
	if ctx := c.Context(); ctx != context.Background() {
		*r = *r.WithContext(ctx)
	}
	r.Method, r.URL = c.Method(), &p.url
	p.fields()
	if err := parse(&p.url, r.RequestURI); err != nil {
		return err
	}
	if p.url.Host != "" { // as net/http does
		r.Host = p.url.Host
	}
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.1", 1, 1
	if !in.IsHTTP11() {
		r.Proto, r.ProtoMinor = "HTTP/1.0", 0
	}
	if c.Matched() {
		r.Pattern = c.Route().Path
	}
	return nil
}

// fields copies the texts and the fields of the request: of a light one, only fields that the
// limiter reads.
func (p *passage) fields() {
	r, in := &p.request, &p.ctx.Request.Header
	all, values, skip := p.text[:0], p.many[:0], omits
	if !p.light {
		size, n := measure(in.All())
		all = make(texts, 0, size+len(in.RequestURI())+len(in.Host())+maxPeer)
		if values = p.few[:0]; n > len(p.few) {
			values = make([]string, 0, n)
		}
		p.lines, skip = make(http.Header, n), elsewhere
	}
	r.RequestURI, r.Host = all.add(in.RequestURI()), all.add(in.Host())
	r.RemoteAddr = all.added(appendPeer(all, p.ctx.RemoteAddr()))
	p.many = all.fields(p.lines, in.All(), values, skip)
	r.Header, p.text = p.lines, all
}

// parse sets u to the URL of target. A path of letters, digits and a few others is parsed here: it
// has nothing to decode, and [url.ParseRequestURI] allocates.
func parse(u *url.URL, target string) error {
	path, query, ok := strings.Cut(target, "?")
	if ok = !ok || query != ""; ok && isPlain(path) && isPrintable(query) {
		*u = url.URL{Path: path, RawQuery: query}
		return nil
	}
	parsed, err := url.ParseRequestURI(target)
	if err == nil {
		*u = *parsed
	}
	return err
}

// isPlain reports whether path begins as a path does, and has only characters that stand for
// themselves in paths.
func isPlain(path string) bool {
	for i := range len(path) {
		c := path[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (c < '-' || c > '9') && c != '_' && c != '~' { // from '-' to '9' are '.' and '/' too
			return false
		}
	}
	return strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "//")
}

// isPrintable reports whether query has no character that a URL may not have anywhere.
func isPrintable(query string) bool {
	for i := range len(query) {
		if query[i] <= ' ' || query[i] >= 0x7f {
			return false
		}
	}
	return true
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
