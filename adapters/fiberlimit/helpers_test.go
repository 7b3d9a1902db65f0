package fiberlimit_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// Module adapters/scenarios has the tests of what all frameworks have in common.

// newLimiter returns a limiter of one rule. It fails the test if the limiter reports an error.
func newLimiter(t *testing.T, rule ratelimit.Rule) *ratelimit.Limiter {
	hooks := ratelimit.Hooks{Error: func(_ context.Context, err error) { assert.NoError(t, err) }}
	limiter, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{rule}, Hooks: hooks})
	require.NoError(t, err)
	return limiter
}

func failures(limits string) ratelimit.Rule {
	return ratelimit.Rule{Name: "failures", Limits: ratelimit.MustParse(limits), CountOnly: ratelimit.Failures}
}

// serve serves app until the test ends, and returns its address.
func serve(t *testing.T, app *fiber.App) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- app.Listener(listener, fiber.ListenConfig{DisableStartupMessage: true}) }()
	t.Cleanup(func() {
		require.NoError(t, app.Shutdown())
		require.NoError(t, <-ended)
	})
	return listener.Addr().String()
}

// send sends a request to an app without a network and returns the status and the body.
func send(t *testing.T, app *fiber.App, method, path, body string, fields ...string) (int, string) {
	r, err := http.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	resp, err := app.Test(r, fiber.TestConfig{Timeout: 10 * time.Second})
	require.NoError(t, err)
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode, string(text)
}

// raw sends text to a server and returns what it answers until it closes the connection.
func raw(t *testing.T, addr, text string) string {
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = io.WriteString(conn, text)
	require.NoError(t, err)
	answer, err := io.ReadAll(conn)
	require.NoError(t, err)
	return string(answer)
}
