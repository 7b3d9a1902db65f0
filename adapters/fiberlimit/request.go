package fiberlimit

import (
	"bytes"
	"context"
	"errors"
	"mime"
	"net/http"
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
	*r = http.Request{
		Method: c.Method(), URL: target, RequestURI: text.target, Host: text.host, Header: lines,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: &p.body,
		RemoteAddr: p.ctx.RemoteAddr().String(), TLS: p.ctx.TLSConnectionState(),
	}
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

// text is what a request line and its Host say.
type text struct{ target, host string }

// fields copies the request line and the fields of the request. All are parts of one string.
func (p *passage) fields() (text, http.Header) {
	in := &p.ctx.Request.Header
	size, n := len(in.RequestURI())+len(in.Host()), 0
	for key, value := range in.All() {
		size, n = size+len(key)+len(value), n+1
	}
	var all strings.Builder
	all.Grow(size)
	add := func(b []byte) string {
		start := all.Len()
		all.Write(b)
		return all.String()[start:]
	}
	t := text{add(in.RequestURI()), add(in.Host())}
	header, values := make(http.Header, n), make([]string, 0, n)
	for key, value := range in.All() {
		name := http.CanonicalHeaderKey(add(key))
		switch name {
		case "Host", "Transfer-Encoding": // net/http keeps them elsewhere
			continue
		}
		values = append(values, add(value))
		if before, ok := header[name]; ok {
			header[name] = append(before, values[len(values)-1])
		} else {
			header[name] = values[len(values)-1 : len(values) : len(values)]
		}
	}
	return t, header
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
