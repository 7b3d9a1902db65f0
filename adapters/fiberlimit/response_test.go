package fiberlimit_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gofiber/fiber/v3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/adapters/fiberlimit"
)

// The fields of fiber's response and of the middleware are one header.
func TestFields(t *testing.T) {
	app := fiber.New()
	app.Use(func(c fiber.Ctx) error {
		c.Append("X-Outer", "1")
		c.Cookie(&fiber.Cookie{Name: "outer", Value: "1"})
		c.Set("X-Removed", "1")
		return c.Next()
	}, fiberlimit.Wrap(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			assert.Equal(t, "1", w.Header().Get("X-Outer"))
			assert.Contains(t, w.Header().Get("Set-Cookie"), "outer=1")
			w.Header().Add("Set-Cookie", "middle=2")
			w.Header().Add("Vary", "A")
			w.Header().Add("Vary", "B")
			w.Header().Del("X-Removed")
			next.ServeHTTP(w, r)
		})
	}))
	app.Get("/x", func(c fiber.Ctx) error {
		c.Cookie(&fiber.Cookie{Name: "inner", Value: "3"})
		return c.JSON(1)
	})
	r, err := http.NewRequestWithContext(t.Context(), "GET", "/x", nil)
	require.NoError(t, err)
	resp, err := app.Test(r)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Len(t, resp.Cookies(), 3)
	assert.Equal(t, []string{"A", "B"}, resp.Header.Values("Vary"))
	assert.Equal(t, []string{"1"}, resp.Header.Values("X-Outer"))
	assert.Empty(t, resp.Header.Values("X-Removed"))
	assert.Equal(t, "application/json; charset=utf-8", resp.Header.Get("Content-Type"))
}

// A file is sent after the handlers have ended, but its length is known. Other streams say what
// they cost.
func TestBytesOfFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, bytes.Repeat([]byte("a"), 100_000), 0o600))
	var sent, cost []int64
	app := fiber.New()
	app.Use(fiberlimit.Handler(newLimiter(t, ratelimit.Rule{
		Name: "bytes", Limits: ratelimit.MustParse("1000000 per minute"),
		ResponseCost: func(res ratelimit.Response) int64 {
			sent, cost = append(sent, res.Bytes), append(cost, res.Cost)
			return res.Bytes
		},
	})))
	app.Get("/file", func(c fiber.Ctx) error { return c.SendFile(path) })
	app.Get("/reader", func(c fiber.Ctx) error { return c.SendStream(bytes.NewReader(make([]byte, 70_000)), 70_000) })
	app.Get("/unknown", func(c fiber.Ctx) error {
		ctx := c.Context()
		return c.SendStreamWriter(func(w *bufio.Writer) {
			_, _ = w.WriteString("hello")
			assert.NoError(t, ratelimit.SetCost(ctx, "bytes", 5))
		})
	})
	for _, path := range []string{"/file", "/reader"} {
		_, body := send(t, app, "GET", path, "")
		sent = append(sent, int64(len(body)))
	}
	assert.Equal(t, []int64{100_000, 100_000, 70_000, 70_000}, sent)
	_, body := send(t, app, "GET", "/unknown", "")
	assert.Equal(t, "hello", body)
	assert.Equal(t, int64(5), cost[2], "the stream can tell its cost")
}

// The place of a stream is free when its client has left, under all limiters.
func TestClientLeavesStream(t *testing.T) {
	app := fiber.New()
	for _, name := range []string{"outer", "inner"} {
		app.Use(fiberlimit.Handler(newLimiter(t, ratelimit.Rule{Name: name, InFlight: 1})))
	}
	app.Get("/events", func(c fiber.Ctx) error {
		return c.SendStreamWriter(func(w *bufio.Writer) {
			for w.Flush() == nil {
				_, _ = w.WriteString("data: 1\n\n")
				time.Sleep(time.Millisecond)
			}
		})
	})
	app.Get("/x", func(c fiber.Ctx) error { return c.SendString("ok") })
	addr := serve(t, app)
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	_, err = io.WriteString(conn, "GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	line, err := bufio.NewReader(conn).ReadString('\n')
	require.NoError(t, err)
	assert.Contains(t, line, "200 OK")
	get := func() string { return raw(t, addr, "GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") }
	assert.Contains(t, get(), "429", "the stream is in flight")
	require.NoError(t, conn.Close())
	assert.Eventually(t, func() bool { return bytes.Contains([]byte(get()), []byte("200 OK")) },
		5*time.Second, 10*time.Millisecond)
}

// fasthttp would end the process if a panic left a request whose stream has ended.
func TestPanicAfterStream(t *testing.T) {
	app := fiber.New()
	app.Use(fiberlimit.Wrap(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r)
			panic("after the stream")
		})
	}))
	app.Get("/x", func(c fiber.Ctx) error {
		return c.SendStreamWriter(func(w *bufio.Writer) { _, _ = w.WriteString("hello") })
	})
	status, body := send(t, app, "GET", "/x", "")
	assert.Equal(t, http.StatusOK, status)
	assert.Equal(t, "hello", body)
}

// A middleware that only sets fields and writes nothing answers 200, as net/http does.
func TestMiddlewareThatWritesNothing(t *testing.T) {
	app := fiber.New()
	app.Use(fiberlimit.Wrap(func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Field", "1") })
	}))
	r, err := http.NewRequestWithContext(t.Context(), "GET", "/x", nil)
	require.NoError(t, err)
	resp, err := app.Test(r)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	assert.Equal(t, "1", resp.Header.Get("X-Field"))
}
