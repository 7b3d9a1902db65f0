package recorder_test

import (
	"bufio"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/recorder"
)

// A site is a server whose handler gets the ResponseWriter of a Recorder.
type site struct {
	*httptest.Server
	answers chan recorder.Answer // one per request
}

// newSite returns a site of h that has not started. If around is not nil, the Recorder records the
// ResponseWriter that around returns.
func newSite(t *testing.T, around func(http.ResponseWriter) http.ResponseWriter, h http.HandlerFunc) site {
	t.Helper()
	answers := make(chan recorder.Answer, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if around != nil {
			w = around(w)
		}
		rec := recorder.New(w)
		defer func() { answers <- rec.Answer() }()
		h(rec.Writer(), r)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(server.Close)
	return site{server, answers}
}

// start starts the site, with TLS and HTTP/2 or with HTTP/1.
func (s site) start(http2 bool) site {
	if s.EnableHTTP2 = http2; http2 {
		s.StartTLS()
	} else {
		s.Start()
	}
	s.Client().Timeout = 10 * time.Second // a test that fails must end, too
	return s
}

// get sends one request. The caller need not close the body.
func (s site) get(t *testing.T) *http.Response {
	t.Helper()
	resp, err := s.Client().Get(s.URL)
	require.NoError(t, err)
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func protocol(http2 bool) string {
	if http2 {
		return "HTTP2"
	}
	return "HTTP1"
}

// onBoth runs a test on both protocols.
func onBoth(t *testing.T, test func(t *testing.T, http2 bool)) {
	t.Helper()
	for _, http2 := range []bool{false, true} {
		t.Run(protocol(http2), func(t *testing.T) { test(t, http2) })
	}
}

// onlyUnwrap hides all abilities except from an http.ResponseController.
type onlyUnwrap struct{ http.ResponseWriter }

func (o onlyUnwrap) Unwrap() http.ResponseWriter { return o.ResponseWriter }

func unwrapping(w http.ResponseWriter) http.ResponseWriter { return onlyUnwrap{w} }

// bare hides all abilities, even from an http.ResponseController.
func bare(w http.ResponseWriter) http.ResponseWriter { return struct{ http.ResponseWriter }{w} }

// allAbilities has the abilities of HTTP/1 and of HTTP/2.
type allAbilities struct{ http.ResponseWriter }

func (a allAbilities) Flush() { a.ResponseWriter.(http.Flusher).Flush() }

func (a allAbilities) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return a.ResponseWriter.(http.Hijacker).Hijack()
}

func (a allAbilities) Push(string, *http.PushOptions) error { return http.ErrNotSupported }

var errAway = errors.New("the backend is away")

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errAway }

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// withoutWriteTo returns the readers as one without WriteTo, so that io.Copy uses ReadFrom.
func withoutWriteTo(readers ...io.Reader) io.Reader {
	return struct{ io.Reader }{io.MultiReader(readers...)}
}

// takeOver hijacks the connection, answers there and closes it.
func takeOver(t *testing.T, w http.ResponseWriter) {
	t.Helper()
	conn, _, err := http.NewResponseController(w).Hijack()
	if assert.NoError(t, err) {
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: close\r\n\r\n")
		_ = conn.Close()
	}
}
