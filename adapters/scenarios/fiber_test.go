package scenarios_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"testing"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/recover"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/adapters/fiberlimit"
)

var fiberFramework = framework{
	name: "fiber",
	start: func(t testing.TB, s site) string {
		app := newFiber()
		for _, m := range s.use {
			app.Use(fiberlimit.Wrap(m))
		}
		for _, rt := range s.routes {
			handlers := []any{}
			for _, m := range rt.with {
				handlers = append(handlers, fiberlimit.Wrap(m))
			}
			handlers = append(handlers, func(c fiber.Ctx) error { return rt.do(fiberExchange{c}) })
			app.Add([]string{rt.method}, colons(rt.path), handlers[0], handlers[1:]...)
		}
		return serveFiber(t, app)
	},
	ways: []way{
		{"c.SendString", func(x exchange, status int) error { return x.Text(status, "failed") }},
		{"c.JSON", fiberWay(func(c fiber.Ctx, status int) error { return c.Status(status).JSON(1) })},
		{"c.SendStatus", fiberWay(func(c fiber.Ctx, status int) error { return c.SendStatus(status) })},
		{"c.Status", fiberWay(func(c fiber.Ctx, status int) error { c.Status(status); return nil })},
		{"a returned Error", func(_ exchange, status int) error { return fiber.NewError(status, "failed") }},
		{"a wrapped Error", func(_ exchange, status int) error {
			return errors.Join(errors.New("outer"), fiber.NewError(status, "failed"))
		}},
		{"an error of the application", func(_ exchange, status int) error { return statusError(status) }},
	},
}

func newFiber() *fiber.App {
	app := fiber.New(fiber.Config{ErrorHandler: func(c fiber.Ctx, err error) error {
		if status, ok := errors.AsType[statusError](err); ok {
			return c.Status(int(status)).JSON(fiber.Map{"error": status.Error()})
		}
		return fiber.DefaultErrorHandler(c, err)
	}})
	app.Use(recover.New())
	return app
}

func serveFiber(t testing.TB, app *fiber.App) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- app.Listener(listener, fiber.ListenConfig{DisableStartupMessage: true}) }()
	t.Cleanup(func() {
		require.NoError(t, app.Shutdown())
		require.NoError(t, <-ended)
	})
	return "http://" + listener.Addr().String()
}

func fiberWay(f func(fiber.Ctx, int) error) func(exchange, int) error {
	return func(x exchange, status int) error { return f(x.(fiberExchange).c, status) }
}

type fiberExchange struct{ c fiber.Ctx }

func (x fiberExchange) Context() context.Context     { return x.c.Context() }
func (x fiberExchange) Param(name string) string     { return x.c.Params(name) }
func (x fiberExchange) SetHeader(name, value string) { x.c.Set(name, value) }
func (x fiberExchange) Body() string                 { return string(x.c.Body()) }
func (x fiberExchange) Form(name string) string      { return x.c.FormValue(name) }
func (x fiberExchange) Nothing() error               { return nil }
func (x fiberExchange) Empty(status int) error       { x.c.Status(status); return nil }
func (x fiberExchange) Text(status int, body string) error {
	return x.c.Status(status).SendString(body)
}

func (x fiberExchange) Stream(first string, more <-chan struct{}, rest string) error {
	x.c.Set("Content-Type", "text/event-stream")
	return x.c.SendStreamWriter(func(w *bufio.Writer) {
		_, _ = w.WriteString(first)
		_ = w.Flush()
		<-more
		_, _ = w.WriteString(rest)
	})
}

func (x fiberExchange) Hijack(first string, more <-chan struct{}) error {
	x.c.Status(fiber.StatusSwitchingProtocols)
	x.c.Set("Connection", "Upgrade")
	x.c.Set("Upgrade", "test")
	x.c.RequestCtx().Hijack(func(conn net.Conn) {
		_, _ = conn.Write([]byte(first))
		<-more
		_ = conn.Close()
	})
	return nil
}
