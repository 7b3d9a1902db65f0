package recorder_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/recorder"
)

// An answering is a handler, and what a Recorder records of it.
type answering struct {
	name    string
	around  func(http.ResponseWriter) http.ResponseWriter
	handler func(*testing.T, http.ResponseWriter)
	sent    int // the status that the client gets; 0 if the connection breaks
	want    recorder.Answer
}

// The recorded answer is what the client was sent, no matter which methods the handler used.
func TestAnswerIsWhatWasSent(t *testing.T) {
	for _, tc := range []answering{
		{name: "nothing", handler: func(*testing.T, http.ResponseWriter) {}, sent: 200},
		{name: "a header only", handler: func(_ *testing.T, w http.ResponseWriter) {
			w.Header().Set("X-Field", "value")
		}, sent: 200},
		{name: "a status", handler: func(_ *testing.T, w http.ResponseWriter) {
			w.WriteHeader(http.StatusNotFound)
		}, sent: 404, want: recorder.Answer{Status: 404}},
		{name: "two statuses", handler: func(_ *testing.T, w http.ResponseWriter) {
			w.WriteHeader(http.StatusNotFound)
			w.WriteHeader(http.StatusBadGateway)
		}, sent: 404, want: recorder.Answer{Status: 404}},
		{name: "informational statuses, then a status", handler: func(_ *testing.T, w http.ResponseWriter) {
			w.WriteHeader(http.StatusProcessing)
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusNotFound)
		}, sent: 404, want: recorder.Answer{Status: 404}},
		{name: "an informational status, then a body", handler: func(_ *testing.T, w http.ResponseWriter) {
			w.WriteHeader(http.StatusEarlyHints)
			_, _ = io.WriteString(w, "ab")
		}, sent: 200, want: recorder.Answer{Status: 200, Bytes: 2}},
		{name: "an informational status, then nothing", handler: func(_ *testing.T, w http.ResponseWriter) {
			w.WriteHeader(http.StatusEarlyHints)
		}, sent: 200},
		{name: "a status that does not exist, then a status", handler: func(t *testing.T, w http.ResponseWriter) {
			assert.Panics(t, func() { w.WriteHeader(1000) })
			w.WriteHeader(http.StatusInternalServerError)
		}, sent: 500, want: recorder.Answer{Status: 500}},
		{name: "bytes and a string", handler: func(t *testing.T, w http.ResponseWriter) {
			n, err := w.Write([]byte("cde"))
			assert.NoError(t, err)
			assert.Equal(t, 3, n)
			n, err = io.WriteString(w, "ab")
			assert.NoError(t, err)
			assert.Equal(t, 2, n)
			w.WriteHeader(http.StatusBadGateway) // too late
		}, sent: 200, want: recorder.Answer{Status: 200, Bytes: 5}},
		{name: "a stream", handler: func(t *testing.T, w http.ResponseWriter) {
			w.(http.Flusher).Flush()
			_, _ = io.WriteString(w, "ab")
			assert.NoError(t, http.NewResponseController(w).Flush())
			_, _ = w.Write([]byte("cde"))
		}, sent: 200, want: recorder.Answer{Status: 200, Bytes: 5}},
		{name: "a body that the status forbids", handler: func(t *testing.T, w http.ResponseWriter) {
			w.WriteHeader(http.StatusNoContent)
			_, err := w.Write([]byte("ab"))
			assert.ErrorIs(t, err, http.ErrBodyNotAllowed)
			_, err = io.WriteString(w, "ab")
			assert.ErrorIs(t, err, http.ErrBodyNotAllowed)
		}, sent: 204, want: recorder.Answer{Status: 204}},
		{name: "a copy", handler: func(_ *testing.T, w http.ResponseWriter) {
			_, _ = io.Copy(w, io.LimitReader(zeros{}, 1000))
		}, sent: 200, want: recorder.Answer{Status: 200, Bytes: 1000}},
		{name: "a copy of nothing, then an error", handler: func(t *testing.T, w http.ResponseWriter) {
			_, err := io.Copy(w, withoutWriteTo(failingReader{}))
			assert.ErrorIs(t, err, errAway)
			w.WriteHeader(http.StatusBadGateway)
		}, sent: 502, want: recorder.Answer{Status: 502}},
		{name: "a copy of something, then an error", handler: func(t *testing.T, w http.ResponseWriter) {
			_, err := io.Copy(w, withoutWriteTo(io.LimitReader(zeros{}, 10), failingReader{}))
			assert.ErrorIs(t, err, errAway)
			w.WriteHeader(http.StatusBadGateway)
		}, sent: 200, want: recorder.Answer{Status: 200, Bytes: 10}},
		{name: "flushed through another writer", around: unwrapping, handler: func(t *testing.T, w http.ResponseWriter) {
			assert.NoError(t, http.NewResponseController(w).Flush())
			w.WriteHeader(http.StatusInternalServerError)
		}, sent: 200, want: recorder.Answer{Status: 200}},
		{name: "a writer that cannot flush", around: bare, handler: func(t *testing.T, w http.ResponseWriter) {
			assert.ErrorIs(t, http.NewResponseController(w).Flush(), http.ErrNotSupported)
			w.WriteHeader(http.StatusInternalServerError)
		}, sent: 500, want: recorder.Answer{Status: 500}},
		{name: "a panic", handler: func(*testing.T, http.ResponseWriter) { panic("x") }},
		{name: "a status, then a panic", handler: func(_ *testing.T, w http.ResponseWriter) {
			w.WriteHeader(http.StatusAccepted)
			panic(http.ErrAbortHandler)
		}, want: recorder.Answer{Status: 202}},
		{name: "the end of the goroutine", handler: func(*testing.T, http.ResponseWriter) { runtime.Goexit() }},
	} {
		onBoth(t, func(t *testing.T, http2 bool) { tc.run(t, http2) })
	}
}

// HTTP/2 has no connection that a handler can take over.
func TestAnswerOverATakenConnection(t *testing.T) {
	for _, tc := range []answering{
		{name: "taken over", handler: takeOver, want: recorder.Answer{Hijacked: true}},
		{name: "an error after that", handler: func(t *testing.T, w http.ResponseWriter) {
			takeOver(t, w)
			http.Error(w, "too late", http.StatusInternalServerError)
		}, want: recorder.Answer{Hijacked: true}},
		{name: "a body after that", handler: func(t *testing.T, w http.ResponseWriter) {
			takeOver(t, w)
			_, err := io.WriteString(w, "ab")
			assert.ErrorIs(t, err, http.ErrHijacked)
		}, want: recorder.Answer{Hijacked: true}},
		{name: "taken over twice", handler: func(t *testing.T, w http.ResponseWriter) {
			takeOver(t, w)
			_, _, err := http.NewResponseController(w).Hijack()
			assert.ErrorIs(t, err, http.ErrHijacked)
		}, want: recorder.Answer{Hijacked: true}},
		{name: "an error before that", handler: func(t *testing.T, w http.ResponseWriter) {
			http.Error(w, "no", http.StatusForbidden)
			takeOver(t, w)
		}, sent: 403, want: recorder.Answer{Status: 403, Bytes: 3, Hijacked: true}},
		{name: "through another writer", around: unwrapping, handler: takeOver, want: recorder.Answer{Hijacked: true}},
		{name: "a writer of all abilities", around: func(w http.ResponseWriter) http.ResponseWriter {
			return allAbilities{w}
		}, handler: func(t *testing.T, w http.ResponseWriter) {
			assert.Implements(t, (*http.Pusher)(nil), w)
			assert.Implements(t, (*http.Flusher)(nil), w)
			conn, _, err := w.(http.Hijacker).Hijack()
			if assert.NoError(t, err) {
				_ = conn.Close()
			}
		}, want: recorder.Answer{Hijacked: true}},
		{name: "a switch without that", handler: func(_ *testing.T, w http.ResponseWriter) {
			w.WriteHeader(http.StatusSwitchingProtocols)
			w.WriteHeader(http.StatusBadGateway) // too late
		}, sent: 101, want: recorder.Answer{Status: 101}},
	} {
		tc.run(t, false)
	}
}

func (tc answering) run(t *testing.T, http2 bool) {
	t.Run(tc.name, func(t *testing.T) {
		s := newSite(t, tc.around, func(w http.ResponseWriter, _ *http.Request) { tc.handler(t, w) }).start(http2)
		resp, err := s.Client().Get(s.URL)
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
		if tc.sent != 0 {
			require.NoError(t, err)
			assert.Equal(t, tc.sent, resp.StatusCode)
		}
		assert.Equal(t, tc.want, <-s.answers)
	})
}

// A Recorder tells what was written so far, not only in the end.
func TestAnswerSoFar(t *testing.T) {
	rec := recorder.New(httptest.NewRecorder())
	w := rec.Writer()
	assert.Equal(t, recorder.Answer{}, rec.Answer())
	w.WriteHeader(http.StatusTeapot)
	assert.Equal(t, recorder.Answer{Status: 418}, rec.Answer())
	_, err := io.WriteString(w, "short and stout")
	require.NoError(t, err)
	assert.Equal(t, recorder.Answer{Status: 418, Bytes: 15}, rec.Answer())
}
