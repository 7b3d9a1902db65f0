package fiberlimit_test

import (
	"io"
	"net"
	"testing"

	"github.com/gofiber/fiber/v3"
	"github.com/stretchr/testify/assert"

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
