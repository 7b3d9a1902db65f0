package ratelimit_test

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// net/http removes the files of a form by the request that it has made, and a handler may have parsed the
// form in a copy of it.
func TestUploadedFilesAreRemoved(t *testing.T) {
	upload := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.NoError(t, r.ParseMultipartForm(1))
		files, err := os.ReadDir(os.Getenv("TMPDIR"))
		assert.NoError(t, err)
		assert.Len(t, files, 1, "one while the handler runs")
	})
	charged := rule("charged", "10 per hour")
	charged.Charge = ratelimit.ChargeFailures
	held := rule("held", "10 per hour")
	held.LimitsFor = func(*http.Request) ratelimit.Limits {
		return ratelimit.MustParse("10 per second; 20 per minute; 30 per hour; 40 per day")
	}
	for name, wrap := range map[string]func(http.Handler) http.Handler{
		"nothing":   func(h http.Handler) http.Handler { return h },
		"one rule":  newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("r", "10 per hour")}}).Handler,
		"two rules": newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("r", "10 per hour"), rule("s", "10 per hour")}}).Handler,
		"limits":    newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{held}}).Handler,
		"a charge":  newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{charged}}).Handler,
		"a login":   newLimiter(t, ratelimit.Config{}).Login(ratelimit.Login{Account: func(*http.Request) string { return "alice" }}),
		"nested": func(h http.Handler) http.Handler {
			l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("r", "10 per hour")}})
			return l.Handler(l.Limit("10 per minute", ratelimit.ByRemoteIP())(h))
		},
		"no context": newLimiter(t, ratelimit.Config{NoContext: true, Rules: []ratelimit.Rule{rule("r", "10 per hour")}}).Handler,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			t.Setenv("TMPDIR", dir)
			t.Setenv("TMP", dir) // on Windows
			srv := httptest.NewServer(wrap(upload))
			var body bytes.Buffer
			form := multipart.NewWriter(&body)
			file, err := form.CreateFormFile("f", "f")
			require.NoError(t, err)
			_, err = file.Write(make([]byte, 11<<20)) // more than is kept in memory
			require.NoError(t, err)
			require.NoError(t, form.Close())
			resp, err := http.Post(srv.URL, form.FormDataContentType(), &body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			assert.Equal(t, 200, resp.StatusCode)
			srv.Close()
			files, err := os.ReadDir(dir)
			require.NoError(t, err)
			assert.Empty(t, files)
		})
	}
}
