package ratelimit_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// onlyUnwrap is a ResponseWriter whose abilities only an http.ResponseController finds.
type onlyUnwrap struct{ http.ResponseWriter }

func (o onlyUnwrap) Unwrap() http.ResponseWriter { return o.ResponseWriter }

// allAbilities has more of them than one of net/http: those of HTTP/1 and of HTTP/2.
type allAbilities struct{ http.ResponseWriter }

func (a allAbilities) Flush() { a.ResponseWriter.(http.Flusher).Flush() }

func (a allAbilities) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return a.ResponseWriter.(http.Hijacker).Hijack()
}

func (a allAbilities) Push(string, *http.PushOptions) error { return http.ErrNotSupported }

// What a Charge is told is what the client was sent, whatever way the handler took.
func TestResponseIsWhatWasSent(t *testing.T) {
	broken := func() io.Reader { return io.MultiReader(failingReader{}) } // without WriteTo
	takeOver := func(t *testing.T, w http.ResponseWriter) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if assert.NoError(t, err) {
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: close\r\n\r\n")
			_ = conn.Close()
		}
	}
	for name, tc := range map[string]struct {
		outer   func(http.ResponseWriter) http.ResponseWriter
		handler func(*testing.T, http.ResponseWriter)
		status  int
		hijack  bool
	}{
		"a copy of nothing, then an error": {nil, func(t *testing.T, w http.ResponseWriter) {
			_, err := io.Copy(w, broken())
			assert.Error(t, err)
			w.WriteHeader(502)
		}, 502, false},
		"a copy of something, then an error": {nil, func(t *testing.T, w http.ResponseWriter) {
			_, err := io.Copy(w, io.MultiReader(io.LimitReader(zeros{}, 10), failingReader{}))
			assert.Error(t, err)
			w.WriteHeader(502)
		}, 200, false},
		"a status that there is not": {nil, func(t *testing.T, w http.ResponseWriter) {
			assert.Panics(t, func() { w.WriteHeader(1000) })
			w.WriteHeader(500)
		}, 500, false},
		"a connection taken over": {nil, takeOver, 101, true},
		"an error after that": {nil, func(t *testing.T, w http.ResponseWriter) {
			takeOver(t, w)
			http.Error(w, "too late", 500)
		}, 101, true},
		"taken over through another writer": {func(w http.ResponseWriter) http.ResponseWriter { return onlyUnwrap{w} }, takeOver, 101, true},
		"flushed through another writer": {func(w http.ResponseWriter) http.ResponseWriter { return onlyUnwrap{w} }, func(t *testing.T, w http.ResponseWriter) {
			assert.NoError(t, http.NewResponseController(w).Flush())
			w.WriteHeader(500)
		}, 200, false},
		"a writer that cannot flush": {func(w http.ResponseWriter) http.ResponseWriter { return struct{ http.ResponseWriter }{w} }, func(t *testing.T, w http.ResponseWriter) {
			assert.ErrorIs(t, http.NewResponseController(w).Flush(), http.ErrNotSupported)
			w.WriteHeader(500)
		}, 500, false},
		"a writer of all abilities": {func(w http.ResponseWriter) http.ResponseWriter { return allAbilities{w} }, func(t *testing.T, w http.ResponseWriter) {
			_, pusher := w.(http.Pusher)
			_, flusher := w.(http.Flusher)
			assert.True(t, pusher)
			assert.True(t, flusher)
			conn, _, err := w.(http.Hijacker).Hijack()
			if assert.NoError(t, err) {
				_ = conn.Close()
			}
		}, 101, true},
	} {
		t.Run(name, func(t *testing.T) {
			told := make(chan ratelimit.Response, 1)
			l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{charged("r", "10 per hour", func(res ratelimit.Response) int64 {
				told <- res
				return 0
			})}})
			h := l.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { tc.handler(t, w) }))
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if tc.outer != nil {
					w = tc.outer(w)
				}
				h.ServeHTTP(w, r)
			}))
			srv.Config.ErrorLog = quiet()
			srv.Start()
			defer srv.Close()
			resp, err := http.Get(srv.URL)
			if !tc.hijack {
				require.NoError(t, err)
				assert.Equal(t, tc.status, resp.StatusCode)
				_ = resp.Body.Close()
			}
			res := <-told
			assert.Equal(t, tc.status, res.Status)
			assert.Equal(t, tc.hijack, res.Hijacked)
		})
	}
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errors.New("the backend is away") }

// A backend that is away clears no account.
func TestLoginThroughABrokenBackend(t *testing.T) {
	away := false
	srv := httptest.NewServer(newLimiter(t, ratelimit.Config{}).Login(ratelimit.Login{Account: ratelimit.FormField("user")})(
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if !away {
				w.WriteHeader(401)
			} else if _, err := io.Copy(w, io.MultiReader(failingReader{})); err != nil {
				w.WriteHeader(502)
			}
		})))
	defer srv.Close()
	checked := 0
	for i := range 20 {
		away = i%3 == 2
		resp, err := http.PostForm(srv.URL, map[string][]string{"user": {"alice"}, "password": {"guess"}})
		require.NoError(t, err)
		_ = resp.Body.Close()
		if resp.StatusCode == 401 {
			checked++
		}
	}
	assert.Equal(t, 5, checked)
}
