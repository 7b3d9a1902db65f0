package replay

import (
	"cmp"
	"context"
	"net/http"
	"net/netip"

	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/accesslog"
)

// A visit is one request on its way through the limiter. It is the context of the request.
type visit struct {
	context.Context
	entry  *accesslog.Entry
	result Result
	hold   func() // waits for the end of the request; nil if it ends at once
}

// visitKey is the key of the visit in the context of its request.
type visitKey struct{}

// Value implements [context.Context].
func (v *visit) Value(key any) any {
	if key == (visitKey{}) {
		return v
	}
	return v.Context.Value(key)
}

func newVisit(e *accesslog.Entry) *visit { return &visit{Context: context.Background(), entry: e} }

func visitOf(r *http.Request) *visit {
	v, _ := r.Context().Value(visitKey{}).(*visit)
	return v
}

// UserOf returns the user that the log has for a replayed request, or "".
func UserOf(r *http.Request) string {
	if v := visitOf(r); v != nil {
		return v.entry.User
	}
	return ""
}

// accountOf returns the account of a login. The log has no form, so an attempt without a user has
// one account for each client address.
func accountOf(r *http.Request) string {
	v := visitOf(r)
	switch {
	case v == nil:
		return ""
	case v.entry.User != "":
		return v.entry.User
	}
	return "unknown account from " + v.entry.Client.String()
}

// forwarding are the fields in which proxies report the client.
var forwarding = []string{"X-Forwarded-For", "Forwarded", "X-Real-Ip"}

// request makes the request of an entry. With ClientFromLog, its peer is the client of the log, and
// no field reports another one.
func request(v *visit, o Options) *http.Request {
	e := v.entry
	peer, fields := e.Peer, e.Header
	if o.ClientFromLog {
		peer, fields = e.Client, without(fields, forwarding)
	}
	if fields == nil {
		fields = http.Header{}
	}
	r := blank.WithContext(v)
	r.Method, r.URL, r.RequestURI, r.Host = e.Method, e.URL, e.Target, cmp.Or(e.Host, o.Host)
	r.Header, r.Proto, r.RemoteAddr = fields, e.Proto, netip.AddrPortFrom(peer, 0).String()
	return r
}

// blank is what all requests have in common.
var blank = &http.Request{ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody}

// Request returns the request of an entry, with the peer and the header fields of the entry.
func Request(e *accesslog.Entry) *http.Request { return request(newVisit(e), Options{}) }

// without returns h without the given fields. It does not change h.
func without(h http.Header, fields []string) http.Header {
	cloned := false
	for _, f := range fields {
		if _, ok := h[f]; ok && !cloned {
			h, cloned = h.Clone(), true
		}
		if cloned {
			delete(h, f)
		}
	}
	return h
}

// answer is a ResponseWriter that keeps nothing.
type answer struct{ header http.Header }

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(int)             {}
func (a *answer) Write(p []byte) (int, error) { return len(p), nil }

// zeros are what bodies consist of.
var zeros [64 << 10]byte

// write answers as the log says. Without a status it writes nothing, and the limiter has not seen
// the response. It charges such a response.
func write(w http.ResponseWriter, e *accesslog.Entry) {
	if e.Status != http.StatusSwitchingProtocols && (e.Status < 200 || e.Status > 999) {
		return
	}
	w.WriteHeader(e.Status)
	for n := min(e.Bytes, maxBody); n > 0; n -= int64(len(zeros)) {
		_, _ = w.Write(zeros[:min(n, int64(len(zeros)))]) // keeps nothing, and cannot fail
	}
}

// maxBody bounds how much of a body is written.
const maxBody = 1 << 30
