package proof

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// wrapped returns h behind a limiter for everything and a decorator. If recorded is true, a rule
// depends on the response, so the library wraps the ResponseWriter.
func wrapped(t *testing.T, recorded bool, h http.HandlerFunc) http.Handler {
	t.Helper()
	limiter, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{{
		Name: "all", Limits: ratelimit.MustParse("100 per minute"),
	}}})
	require.NoError(t, err)
	decorator := ratelimit.Rule{Name: "one", Limits: ratelimit.MustParse("50 per minute")}
	if recorded {
		decorator.CountOnly = func(res ratelimit.Response) bool { return !ratelimit.Failures(res) }
	}
	return limiter.Handler(limiter.With(decorator)(h))
}

// A way says how a server serves a handler.
type way struct{ http2, recorded bool }

func ways() []way { return []way{{}, {http2: true}, {recorded: true}, {http2: true, recorded: true}} }

type ownWriter struct{ *httptest.ResponseRecorder }

func TestHandlerGetsTheWriterItself(t *testing.T) {
	w := &ownWriter{httptest.NewRecorder()}
	served := false
	wrapped(t, false, func(got http.ResponseWriter, _ *http.Request) {
		served = true
		assert.Same(t, w, got)
	}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	assert.True(t, served)
}

// serve runs h on a server, sends one request, and returns the response.
func serve(t *testing.T, by way, h http.HandlerFunc) *http.Response {
	t.Helper()
	server := httptest.NewUnstartedServer(wrapped(t, by.recorded, h))
	server.EnableHTTP2 = by.http2
	if by.http2 {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	client := server.Client()
	client.Timeout = 10 * time.Second // a failing test must end too
	resp, err := client.Post(server.URL, "text/plain", strings.NewReader("ping"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = resp.Body.Close() })
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Len(t, resp.Header["Ratelimit"], 1)
	return resp
}

func TestFlush(t *testing.T) {
	for _, by := range ways() {
		goOn := make(chan struct{})
		resp := serve(t, by, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "first\n")
			assert.NoError(t, http.NewResponseController(w).Flush())
			select {
			case <-goOn:
			case <-r.Context().Done():
			}
			_, _ = io.WriteString(w, "second\n")
		})
		body := bufio.NewReader(resp.Body)
		line, err := body.ReadString('\n')
		require.NoError(t, err)
		assert.Equal(t, "first\n", line)
		close(goOn)
		line, err = body.ReadString('\n')
		require.NoError(t, err)
		assert.Equal(t, "second\n", line)
	}
}

func TestDeadlinesAndFullDuplex(t *testing.T) {
	for _, by := range ways() {
		serve(t, by, func(w http.ResponseWriter, _ *http.Request) {
			c := http.NewResponseController(w)
			assert.NoError(t, c.SetReadDeadline(time.Now().Add(time.Minute)))
			assert.NoError(t, c.SetWriteDeadline(time.Now().Add(time.Minute)))
			assert.NoError(t, c.EnableFullDuplex())
		})
	}
}

func TestTrailers(t *testing.T) {
	for _, by := range ways() {
		resp := serve(t, by, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "Sum")
			_, _ = io.WriteString(w, "body")
			w.Header().Set("Sum", "42")
		})
		_, err := io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		assert.Equal(t, "42", resp.Trailer.Get("Sum"))
	}
}

func TestAbilities(t *testing.T) {
	for _, by := range ways() {
		serve(t, by, func(w http.ResponseWriter, r *http.Request) {
			_, reader := w.(io.ReaderFrom)
			_, pusher := w.(http.Pusher)
			_, hijacker := w.(http.Hijacker)
			_, flusher := w.(http.Flusher)
			assert.Equal(t, by.http2, r.ProtoMajor == 2)
			assert.Equal(t, []bool{!by.http2, by.http2, !by.http2, true}, []bool{reader, pusher, hijacker, flusher})
		})
	}
}

func TestHijack(t *testing.T) {
	for _, recorded := range []bool{false, true} {
		testHijack(t, recorded)
	}
}

func testHijack(t *testing.T, recorded bool) {
	t.Helper()
	server := httptest.NewServer(wrapped(t, recorded, func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if !assert.NoError(t, err) {
			return
		}
		defer conn.Close()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_ = rw.Flush()
		line, _ := rw.ReadString('\n')
		_, _ = rw.WriteString(strings.ToUpper(line))
		_ = rw.Flush()
	}))
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	require.NoError(t, err)
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
	_, err = io.WriteString(conn, "hello\n")
	require.NoError(t, err)
	line, err := r.ReadString('\n')
	require.NoError(t, err)
	assert.Equal(t, "HELLO\n", line)
}
