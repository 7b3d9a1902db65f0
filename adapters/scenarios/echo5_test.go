package scenarios_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"testing"

	"github.com/labstack/echo/v5"
	"github.com/labstack/echo/v5/middleware"

	"github.com/ratelimit-go/ratelimit/adapters/echolimit"
)

var echo5Framework = framework{
	name: "echo v5",
	start: func(t testing.TB, s site) string {
		e := newEcho5()
		for _, m := range s.use {
			e.Use(echolimit.Wrap(m))
		}
		for _, rt := range s.routes {
			var with []echo.MiddlewareFunc
			for _, m := range rt.with {
				with = append(with, echolimit.Wrap(m))
			}
			e.Add(rt.method, colons(rt.path), func(c *echo.Context) error { return rt.do(echo5Exchange{c}) }, with...)
		}
		return serve(t, e)
	},
	ways: []way{
		{"c.String", func(x exchange, status int) error { return x.Text(status, "failed") }},
		{"c.JSON", echo5Way(func(c *echo.Context, status int) error { return c.JSON(status, 1) })},
		{"c.NoContent", echo5Way(func(c *echo.Context, status int) error { return c.NoContent(status) })},
		{"a returned HTTPError", func(_ exchange, status int) error { return echo.NewHTTPError(status, "failed") }},
		{"a wrapped HTTPError", func(_ exchange, status int) error {
			return errors.Join(errors.New("outer"), echo.NewHTTPError(status, "failed"))
		}},
		{"an error of the application", func(_ exchange, status int) error { return statusError(status) }},
		{"an answer and an error", func(x exchange, status int) error {
			return errors.Join(x.Text(status, "failed"), echo.NewHTTPError(http.StatusTeapot, "late"))
		}},
	},
}

// newEcho5 returns an Echo whose error handler renders errors of the application. It does not look
// whether the response was sent, as many do not.
func newEcho5() *echo.Echo {
	e := echo.New()
	e.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	e.Use(middleware.Recover())
	standard := e.HTTPErrorHandler
	e.HTTPErrorHandler = func(c *echo.Context, err error) {
		if status, ok := errors.AsType[statusError](err); ok {
			_ = c.JSON(int(status), map[string]string{"error": status.Error()})
			return
		}
		standard(c, err)
	}
	return e
}

func echo5Way(f func(*echo.Context, int) error) func(exchange, int) error {
	return func(x exchange, status int) error { return f(x.(echo5Exchange).c, status) }
}

type echo5Exchange struct{ c *echo.Context }

func (x echo5Exchange) Context() context.Context           { return x.c.Request().Context() }
func (x echo5Exchange) Param(name string) string           { return x.c.Param(name) }
func (x echo5Exchange) SetHeader(name, value string)       { x.c.Response().Header().Set(name, value) }
func (x echo5Exchange) Body() string                       { return readAll(x.c.Request().Body) }
func (x echo5Exchange) Form(name string) string            { return x.c.FormValue(name) }
func (x echo5Exchange) Nothing() error                     { return nil }
func (x echo5Exchange) Empty(status int) error             { return x.c.NoContent(status) }
func (x echo5Exchange) Text(status int, body string) error { return x.c.String(status, body) }

func (x echo5Exchange) Stream(first string, more <-chan struct{}, rest string) error {
	return stream(x.c.Response(), first, more, rest)
}

func (x echo5Exchange) Hijack(first string, more <-chan struct{}) error {
	return hijack(x.c.Response(), first, more)
}
