package fiberlimit_test

import (
	"context"
	"io"
	"net"
	"testing"

	"github.com/gofiber/fiber/v3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/adapters/fiberlimit"
)

// fasthttp sends a response before it hands a connection over. The limiter sees its status, or 101
// without a response.
func TestStatusOfAHijackedConnection(t *testing.T) {
	statuses := make(chan int, 1)
	rule := failures("9 per minute")
	rule.CountOnly = func(res ratelimit.Response) bool {
		assert.True(t, res.Hijacked)
		statuses <- res.Status
		return false
	}
	app := fiber.New()
	app.Use(fiberlimit.Handler(newLimiter(t, rule)))
	app.Get("/:status", func(c fiber.Ctx) error {
		c.Status(fiber.Params[int](c, "status"))
		c.RequestCtx().HijackSetNoResponse(c.Query("silent") != "")
		c.RequestCtx().Hijack(func(conn net.Conn) { _, _ = io.WriteString(conn, "hijacked") })
		return nil
	})
	addr := serve(t, app)
	get := func(target string) string { return raw(t, addr, "GET "+target+" HTTP/1.1\r\nHost: x\r\n\r\n") }
	assert.Contains(t, get("/403"), "403 Forbidden")
	assert.Equal(t, 403, <-statuses)
	assert.Contains(t, get("/101"), "101 Switching Protocols")
	assert.Equal(t, 101, <-statuses)
	assert.Equal(t, "hijacked", get("/200?silent=1"))
	assert.Equal(t, 101, <-statuses)
}

// A client whose connection is dropped gets no response, so its request is no success.
func TestDroppedConnection(t *testing.T) {
	seen, reports := make(chan int, 1), make(chan error, 9)
	rule := failures("9 per minute")
	rule.CountOnly = func(res ratelimit.Response) bool {
		seen <- res.Status
		return res.Status != 200
	}
	limiter, err := ratelimit.New(ratelimit.Config{
		Rules: []ratelimit.Rule{rule},
		Hooks: ratelimit.Hooks{Error: func(_ context.Context, err error) { reports <- err }},
	})
	require.NoError(t, err)
	app := fiber.New()
	app.Use(fiberlimit.Handler(limiter))
	app.Get("/drop", func(c fiber.Ctx) error { return c.Drop() })
	app.Get("/nothing", func(fiber.Ctx) error { return nil })
	app.Get("/end", func(c fiber.Ctx) error {
		_ = c.SendString("ended")
		return c.End()
	})
	addr := serve(t, app)
	get := func(target string) string {
		return raw(t, addr, "GET "+target+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	}
	assert.Contains(t, get("/end"), "ended")
	assert.Equal(t, 200, <-seen)
	assert.Contains(t, get("/nothing"), "200 OK")
	assert.Equal(t, 200, <-seen)
	assert.Empty(t, reports)
	assert.Empty(t, get("/drop"))
	select {
	case err := <-reports:
		require.ErrorContains(t, err, "a handler wrote no response")
	case status := <-seen:
		t.Fatalf("the limiter has seen status %d", status)
	}
}
