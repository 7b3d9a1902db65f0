package recorder

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// With HTTP/2 nothing can be hijacked, and 101 is one more informational status: the client gets
// the status after it.
func TestUpgradeThatFails(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		answers := make(chan Answer, 1)
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			rec := New(w)
			given := rec.Writer()
			given.WriteHeader(http.StatusSwitchingProtocols)
			if conn, _, err := http.NewResponseController(given).Hijack(); err == nil {
				_ = conn.Close()
			} else {
				given.Header().Set("X-Reason", "no upgrade")
				assert.False(t, rec.Final(t.Context()).Seen(), "so far")
				http.Error(given, "no", http.StatusUnauthorized)
				assert.Equal(t, "no upgrade", rec.Header().Get("X-Reason"))
			}
			answers <- rec.Answer()
		}))
		server.EnableHTTP2 = http2
		server.StartTLS()
		res, err := server.Client().Get(server.URL)
		answer := <-answers
		if http2 {
			require.NoError(t, err)
			assert.Equal(t, 401, res.StatusCode)
			assert.Equal(t, Answer{Status: 401, Bytes: 3}, answer)
		} else {
			assert.True(t, answer.Hijacked)
			assert.Equal(t, 101, answer.Status)
		}
		if err == nil {
			require.NoError(t, res.Body.Close())
		}
		server.Close()
	}
}
