package fiberlimit_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/recover"
	"github.com/stretchr/testify/assert"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/adapters/fiberlimit"
)

var errWrong = errors.New("wrong")

// An error is rendered by the handler of the app that its route is mounted on, once.
func TestErrorIsRenderedOnce(t *testing.T) {
	for _, limiters := range []int{1, 2} {
		rendered := 0
		inner := fiber.New(fiber.Config{ErrorHandler: func(c fiber.Ctx, err error) error {
			rendered++
			return c.Status(fiber.StatusConflict).SendString("rendered " + err.Error())
		}})
		inner.Get("/x", func(fiber.Ctx) error { return errWrong })
		app := fiber.New()
		var seen int
		app.Use(func(c fiber.Ctx) error {
			err := c.Next()
			seen = c.Response().StatusCode()
			return err
		})
		for range limiters {
			app.Use(fiberlimit.Handler(newLimiter(t, failures("1 per minute"))))
		}
		app.Use("/inner", inner)
		status, body := send(t, app, "GET", "/inner/x", "")
		assert.Equal(t, fiber.StatusConflict, status)
		assert.Equal(t, "rendered wrong", body)
		assert.Equal(t, 1, rendered)
		assert.Equal(t, fiber.StatusConflict, seen)
		status, _ = send(t, app, "GET", "/inner/x", "")
		assert.Equal(t, fiber.StatusTooManyRequests, status)
	}
}

// If the error handler fails, fiber answers 500, and so does the adapter.
func TestErrorHandlerThatFails(t *testing.T) {
	app := fiber.New(fiber.Config{ErrorHandler: func(fiber.Ctx, error) error { return errWrong }})
	app.Use(fiberlimit.Handler(newLimiter(t, failures("1 per minute"))))
	app.Get("/x", func(fiber.Ctx) error { return errWrong })
	status, _ := send(t, app, "GET", "/x", "")
	assert.Equal(t, fiber.StatusInternalServerError, status)
	status, _ = send(t, app, "GET", "/x", "")
	assert.Equal(t, fiber.StatusTooManyRequests, status)
}

// If no rule depends on the response, the adapter leaves errors to fiber.
func TestPlainLimiterLeavesErrorsToFiber(t *testing.T) {
	app := fiber.New()
	app.Use(func(c fiber.Ctx) error {
		if c.Next() != nil {
			return fiber.NewError(fiber.StatusTeapot, "another error")
		}
		return nil
	}, fiberlimit.Handler(newLimiter(t, ratelimit.Rule{Name: "all", Limits: ratelimit.MustParse("1 per minute")})))
	app.Get("/x", func(fiber.Ctx) error { return errWrong })
	status, _ := send(t, app, "GET", "/x", "")
	assert.Equal(t, fiber.StatusTeapot, status)
	status, _ = send(t, app, "GET", "/x", "")
	assert.Equal(t, fiber.StatusTooManyRequests, status)
}

// The panic of a handler goes on in fiber with its own value, although the middleware runs apart.
func TestPanicGoesOn(t *testing.T) {
	for _, rule := range []ratelimit.Rule{failures("1 per minute"), {Name: "in-flight", InFlight: 1}} {
		app := fiber.New()
		var seen any
		app.Use(recover.New(recover.Config{EnableStackTrace: true, StackTraceHandler: func(_ fiber.Ctx, e any) {
			seen = e
		}}), fiberlimit.Handler(newLimiter(t, rule)))
		app.Get("/x", func(fiber.Ctx) error { panic("the value") })
		status, _ := send(t, app, "GET", "/x", "")
		assert.Equal(t, fiber.StatusInternalServerError, status)
		assert.Equal(t, "the value", seen)
	}
}

// A panic of the middleware reaches fiber, too.
func TestPanicOfMiddleware(t *testing.T) {
	for name, middleware := range map[string]func(http.Handler) http.Handler{
		"before": func(http.Handler) http.Handler {
			return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("the value") })
		},
		"after": func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				next.ServeHTTP(w, r)
				panic("the value")
			})
		},
	} {
		app := fiber.New()
		app.Use(recover.New(), fiberlimit.Wrap(middleware))
		app.Get("/x", func(c fiber.Ctx) error { return c.SendString("ok") })
		status, body := send(t, app, "GET", "/x", "")
		assert.Equal(t, fiber.StatusInternalServerError, status, name)
		assert.Contains(t, body, "the value", name)
	}
}

func TestWriterWithoutUnwrap(t *testing.T) {
	for name, middleware := range map[string]func(http.Handler) http.Handler{
		"another writer": func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				next.ServeHTTP(struct{ http.ResponseWriter }{w}, r)
			})
		},
		"TimeoutHandler": func(next http.Handler) http.Handler { return http.TimeoutHandler(next, time.Minute, "") },
	} {
		app := fiber.New()
		app.Use(fiberlimit.Wrap(middleware))
		app.Get("/x", func(fiber.Ctx) error {
			t.Error("the handler has run")
			return nil
		})
		status, body := send(t, app, "GET", "/x", "")
		assert.Equal(t, fiber.StatusInternalServerError, status, name)
		assert.Contains(t, body, "no method Unwrap", name)
	}
}

// fiber answers HEAD by the handler of GET.
func TestHead(t *testing.T) {
	app := fiber.New()
	app.Get("/x", fiberlimit.Handler(newLimiter(t, failures("1 per minute"))), func(fiber.Ctx) error { return errWrong })
	status, _ := send(t, app, "HEAD", "/x", "")
	assert.Equal(t, fiber.StatusInternalServerError, status)
	status, _ = send(t, app, "HEAD", "/x", "")
	assert.Equal(t, fiber.StatusTooManyRequests, status)
}
