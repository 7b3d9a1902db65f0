package recorder_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/recorder"
)

// abilitiesOf returns the names of the abilities of w that a type assertion finds.
func abilitiesOf(w http.ResponseWriter) string {
	var found []string
	if _, ok := w.(http.Flusher); ok {
		found = append(found, "flush")
	}
	if _, ok := w.(http.Hijacker); ok {
		found = append(found, "hijack")
	}
	if _, ok := w.(http.Pusher); ok {
		found = append(found, "push")
	}
	if _, ok := w.(io.ReaderFrom); ok {
		found = append(found, "read")
	}
	return strings.Join(found, " ")
}

// Short names of the abilities, for the types of the next test.
type (
	W = http.ResponseWriter
	F = http.Flusher
	H = http.Hijacker
	P = http.Pusher
	R = io.ReaderFrom
)

// net/http and its tests have four of these combinations, and middleware has others. A Writer never
// has an ability that the recorded ResponseWriter lacks.
func TestAbilitiesOfEveryCombination(t *testing.T) {
	var w W = httptest.NewRecorder()
	for _, row := range []struct {
		recorded W
		has      string
		want     string
	}{
		{struct{ W }{w}, "", ""},
		{struct {
			W
			F
		}{W: w}, "flush", "flush"}, // httptest.ResponseRecorder
		{struct {
			W
			H
		}{W: w}, "hijack", "hijack"},
		{struct {
			W
			P
		}{W: w}, "push", ""},
		{struct {
			W
			R
		}{W: w}, "read", ""},
		{struct {
			W
			F
			H
		}{W: w}, "flush hijack", "flush hijack"},
		{struct {
			W
			F
			P
		}{W: w}, "flush push", "flush push"}, // HTTP/2
		{struct {
			W
			F
			R
		}{W: w}, "flush read", "flush"},
		{struct {
			W
			H
			P
		}{W: w}, "hijack push", "hijack"},
		{struct {
			W
			H
			R
		}{W: w}, "hijack read", "hijack"},
		{struct {
			W
			P
			R
		}{W: w}, "push read", ""},
		{struct {
			W
			F
			H
			P
		}{W: w}, "flush hijack push", "flush hijack push"},
		{struct {
			W
			F
			H
			R
		}{W: w}, "flush hijack read", "flush hijack read"}, // HTTP/1
		{struct {
			W
			F
			P
			R
		}{W: w}, "flush push read", "flush push"},
		{struct {
			W
			H
			P
			R
		}{W: w}, "hijack push read", "hijack"},
		{struct {
			W
			F
			H
			P
			R
		}{W: w}, "flush hijack push read", "flush hijack push"},
	} {
		t.Run(row.has, func(t *testing.T) {
			require.Equal(t, row.has, abilitiesOf(row.recorded))
			got := recorder.New(row.recorded).Writer()
			assert.Equal(t, row.want, abilitiesOf(got))
			assert.Implements(t, (*io.StringWriter)(nil), got)
		})
	}
}

func TestAbilitiesOfServers(t *testing.T) {
	onBoth(t, func(t *testing.T, http2 bool) {
		newSite(t, nil, func(w http.ResponseWriter, r *http.Request) {
			want := "flush hijack read"
			if http2 {
				want = "flush push"
			}
			assert.Equal(t, http2, r.ProtoMajor == 2)
			assert.Equal(t, want, abilitiesOf(w))
		}).start(http2).get(t)
	})
	assert.Equal(t, "flush", abilitiesOf(recorder.New(httptest.NewRecorder()).Writer()))
}

func TestFlushReachesTheClient(t *testing.T) {
	for name, around := range map[string]func(http.ResponseWriter) http.ResponseWriter{
		"the server's writer": nil, "another writer": unwrapping,
	} {
		onBoth(t, func(t *testing.T, http2 bool) {
			goOn := make(chan struct{})
			resp := newSite(t, around, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, "first\n")
				assert.NoError(t, http.NewResponseController(w).Flush(), name)
				select {
				case <-goOn:
				case <-r.Context().Done():
				}
				_, _ = io.WriteString(w, "second\n")
			}).start(http2).get(t)
			body := bufio.NewReader(resp.Body)
			line, err := body.ReadString('\n')
			require.NoError(t, err, name)
			assert.Equal(t, "first\n", line, name)
			close(goOn)
			line, err = body.ReadString('\n')
			require.NoError(t, err, name)
			assert.Equal(t, "second\n", line, name)
		})
	}
}

// flushFails cannot send.
type flushFails struct{ http.ResponseWriter }

func (flushFails) Flush() {}

func (flushFails) FlushError() error { return io.ErrClosedPipe }

// A flush that fails has tried to send the header, so the handler cannot write another status.
func TestFlushThatFails(t *testing.T) {
	rec := recorder.New(flushFails{httptest.NewRecorder()})
	w := rec.Writer()
	require.ErrorIs(t, http.NewResponseController(w).Flush(), io.ErrClosedPipe)
	assert.Equal(t, recorder.Answer{Status: 200}, rec.Answer())
	w.WriteHeader(http.StatusBadGateway)
	assert.Equal(t, recorder.Answer{Status: 200}, rec.Answer())
}

// An http.ResponseController finds what the Writer does not have itself.
func TestDeadlinesAndFullDuplex(t *testing.T) {
	onBoth(t, func(t *testing.T, http2 bool) {
		s := newSite(t, nil, func(w http.ResponseWriter, _ *http.Request) {
			c := http.NewResponseController(w)
			assert.NoError(t, c.SetReadDeadline(time.Now().Add(time.Minute)))
			assert.NoError(t, c.SetWriteDeadline(time.Now().Add(time.Minute)))
			assert.NoError(t, c.EnableFullDuplex())
		}).start(http2)
		s.get(t)
		assert.Equal(t, recorder.Answer{}, <-s.answers)
	})
}

func TestTrailers(t *testing.T) {
	onBoth(t, func(t *testing.T, http2 bool) {
		resp := newSite(t, nil, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "Sum")
			_, _ = io.WriteString(w, "body")
			w.Header().Set("Sum", "42")
		}).start(http2).get(t)
		_, err := io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		assert.Equal(t, "42", resp.Trailer.Get("Sum"))
	})
}

func TestHijackedConnectionWorks(t *testing.T) {
	s := newSite(t, nil, func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := w.(http.Hijacker).Hijack()
		if !assert.NoError(t, err) {
			return
		}
		defer conn.Close()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_ = rw.Flush()
		line, _ := rw.ReadString('\n')
		_, _ = rw.WriteString(strings.ToUpper(line))
		_ = rw.Flush()
	}).start(false)
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
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
	assert.Equal(t, recorder.Answer{Hijacked: true}, <-s.answers)
}

func TestHijackThatFails(t *testing.T) {
	s := newSite(t, nil, func(w http.ResponseWriter, _ *http.Request) {
		_, _, err := http.NewResponseController(w).Hijack()
		assert.ErrorIs(t, err, http.ErrNotSupported)
		w.WriteHeader(http.StatusNotImplemented)
	}).start(true)
	assert.Equal(t, http.StatusNotImplemented, s.get(t).StatusCode)
	assert.Equal(t, recorder.Answer{Status: 501}, <-s.answers)
}

// The client of net/http wants no pushes, and the server says so.
func TestPushReachesTheServer(t *testing.T) {
	s := newSite(t, nil, func(w http.ResponseWriter, _ *http.Request) {
		assert.ErrorIs(t, w.(http.Pusher).Push("/style.css", nil), http.ErrNotSupported)
		assert.ErrorContains(t, w.(http.Pusher).Push("style.css", nil), "style.css")
	}).start(true)
	s.get(t)
	assert.Equal(t, recorder.Answer{}, <-s.answers)
}

// A filesListener counts how often the server lets a connection read a file by itself.
type filesListener struct {
	net.Listener
	files *atomic.Int32
}

func (l filesListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return filesConn{conn.(*net.TCPConn), l.files}, nil
}

type filesConn struct {
	*net.TCPConn
	files *atomic.Int32
}

func (c filesConn) ReadFrom(src io.Reader) (int64, error) {
	if limited, ok := src.(*io.LimitedReader); ok {
		if _, ok := limited.R.(*os.File); ok {
			c.files.Add(1)
		}
	}
	return c.TCPConn.ReadFrom(src)
}

// Files still go from the disk to the connection without a copy in this process.
func TestFilesAreSentWithoutACopy(t *testing.T) {
	const size = 1 << 20
	name := filepath.Join(t.TempDir(), "file.bin")
	require.NoError(t, os.WriteFile(name, make([]byte, size), 0o600))
	s := newSite(t, nil, func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, name) })
	var files atomic.Int32
	s.Listener = filesListener{s.Listener, &files}
	s.start(false)
	for _, row := range []struct {
		name, method, part string
		files              int32
		want               recorder.Answer
	}{
		{"all of it", http.MethodGet, "bytes=0-", 1, recorder.Answer{Status: 206, Bytes: size}},
		{"a part", http.MethodGet, "bytes=1000-99999", 1, recorder.Answer{Status: 206, Bytes: 99_000}},
		{"without a range", http.MethodGet, "", 1, recorder.Answer{Status: 200, Bytes: size}},
		{"the header", http.MethodHead, "", 0, recorder.Answer{Status: 200}},
	} {
		t.Run(row.name, func(t *testing.T) {
			files.Store(0)
			req, err := http.NewRequestWithContext(t.Context(), row.method, s.URL, nil)
			require.NoError(t, err)
			req.Header.Set("Range", row.part)
			resp, err := s.Client().Do(req)
			require.NoError(t, err)
			defer resp.Body.Close()
			n, err := io.Copy(io.Discard, resp.Body)
			require.NoError(t, err)
			assert.Equal(t, row.want, recorder.Answer{Status: resp.StatusCode, Bytes: n}, "what the client got")
			assert.Equal(t, row.want, <-s.answers)
			assert.Equal(t, row.files, files.Load())
		})
	}
}
