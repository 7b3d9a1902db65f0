package ratelimit_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/login"
	"github.com/ratelimit-go/ratelimit/shed"
)

// A handler that has read the body sees its trailers, and so does outer middleware, whether the
// client has announced them or not. net/http puts them into the request that it has made.
func TestTrailersOfARequest(t *testing.T) {
	settled := rule("settled", "100 per hour")
	settled.CountOnly = ratelimit.Failures
	limiter := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("all", "100 per hour")}})
	guard, err := login.New(limiter, login.Config{Account: login.JSONField("email")})
	require.NoError(t, err)
	shedder, err := shed.New(shed.Config{MaxInFlight: 9, TargetLatency: time.Second})
	require.NoError(t, err)
	for name, wrap := range map[string]func(http.Handler) http.Handler{
		"a limiter":   limiter.Handler,
		"a decorator": limiter.With(settled),
		"a login":     guard.Handler,
		"a shedder":   shedder.Handler,
		"all": func(h http.Handler) http.Handler {
			return limiter.Handler(shedder.Handler(guard.Handler(h)))
		},
	} {
		for _, announced := range []string{"", "Trailer: X-Sum\r\n"} {
			var inner, outer http.Header
			mux := http.NewServeMux() // sets the pattern, so HandBack copies the request
			mux.HandleFunc("POST /{id}", func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				inner = r.Trailer.Clone()
				w.WriteHeader(http.StatusOK)
			})
			h := wrap(mux)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				h.ServeHTTP(w, r)
				outer = r.Trailer.Clone()
			}))
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			require.NoError(t, err)
			_, err = io.WriteString(conn, "POST /1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"+announced+
				"\r\n2\r\n{}\r\n0\r\nX-Sum: 5\r\n\r\n")
			require.NoError(t, err)
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.NoError(t, conn.Close())
			server.Close()
			want := http.Header{"X-Sum": {"5"}}
			assert.Equal(t, []http.Header{want, want}, []http.Header{inner, outer}, "%s %q", name, announced)
		}
	}
}
