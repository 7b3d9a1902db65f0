package connectlimit

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/rpclimit"
)

// DenyHandler returns a function for the DenyHandler of a ratelimit.Config. It answers RPC clients
// in their own protocol: with the code ResourceExhausted, Unavailable or PermissionDenied, a
// RetryInfo and a QuotaFailure. Clients of Connect get the usual HTTP status and Retry-After. For
// clients of gRPC the response has no trailers, so grpc-go tries again as its retryPolicy says, and
// waits as long as RetryInfo says. Other requests get the limiter's usual response.
//
// Pass the options of the handlers if they use [connect.WithRequireConnectProtocolHeader]. Without
// it every POST of JSON is taken for a call of Connect.
func DenyHandler(
	options ...connect.HandlerOption,
) func(w http.ResponseWriter, r *http.Request, d ratelimit.Decision) {
	errors := connect.NewErrorWriter(options...)
	usual, err := ratelimit.New(ratelimit.Config{})
	if err != nil {
		panic(err) // the zero Config is valid
	}
	return func(w http.ResponseWriter, r *http.Request, d ratelimit.Decision) {
		d.RetryAfter = told(w.Header(), d.RetryAfter)
		if !isCall(r) || !errors.IsSupported(r) {
			usual.Deny(w, r, d)
			return
		}
		denial := &rpclimit.Denial{Decision: d}
		e := newError(denial)
		switch content := r.Header.Get("Content-Type"); {
		case strings.HasPrefix(content, "application/grpc-web"):
			setPushback(e, denial)
		case strings.HasPrefix(content, "application/grpc"):
			setPushback(e, denial)
			trailersOnly := &trailersOnly{header: http.Header{}}
			_ = errors.Write(trailersOnly, r, e) // writes nothing to the client
			trailersOnly.copyTo(w)
			return
		}
		_ = errors.Write(w, r, e) // the client has gone if it fails
	}
}

// isCall reports whether a request looks like a call. IsSupported alone takes every GET, and every
// POST of an application type such as a form, for a call of Connect.
func isCall(r *http.Request) bool {
	if r.Method == http.MethodGet {
		q := r.URL.RawQuery // a call has both
		return strings.Contains(q, "message=") && strings.Contains(q, "encoding=")
	}
	content, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	for _, of := range []string{"application/grpc", "application/connect+"} {
		if strings.HasPrefix(content, of) {
			return true
		}
	}
	return content == "application/json" || content == "application/proto" ||
		r.Header.Get("Connect-Protocol-Version") != "" // with another codec
}

// told returns the wait that the limiter tells a client. It is longer than wait if several clients
// that share a key are told to come one after another, or if an outer handler has told a longer
// wait, which may be a date.
func told(h http.Header, wait time.Duration) time.Duration {
	text := h.Get("Retry-After")
	secs, err := strconv.ParseInt(text, 10, 32)
	field := time.Duration(secs) * time.Second
	if err != nil {
		date, _ := http.ParseTime(text)
		field = time.Until(date)
	}
	if wait <= 0 || field < wait || field-wait < time.Second {
		return wait // the field is wait in whole seconds
	}
	return field
}

// trailersOnly keeps a response of gRPC, to send its trailers as a header and nothing else. Clients
// of grpc-go try again only after such a response.
type trailersOnly struct{ header http.Header }

func (t *trailersOnly) Header() http.Header         { return t.header }
func (t *trailersOnly) WriteHeader(int)             {}
func (t *trailersOnly) Write(b []byte) (int, error) { return len(b), nil }

func (t *trailersOnly) copyTo(w http.ResponseWriter) {
	delete(t.header, "Trailer")
	for name, values := range t.header {
		w.Header()[name] = values
	}
	w.WriteHeader(http.StatusOK)
}
