package scenarios_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/ratelimit-go/ratelimit/adapters/echo4limit"
)

var echo4Framework = framework{
	name: "echo v4",
	start: func(t testing.TB, s site) string {
		e := newEcho4()
		for _, m := range s.use {
			e.Use(echo4limit.Wrap(m))
		}
		for _, rt := range s.routes {
			var with []echo.MiddlewareFunc
			for _, m := range rt.with {
				with = append(with, echo4limit.Wrap(m))
			}
			e.Add(rt.method, colons(rt.path), func(c echo.Context) error { return rt.do(echo4Exchange{c}) }, with...)
		}
		return serve(t, e)
	},
	ways: []way{
		{"c.String", func(x exchange, status int) error { return x.Text(status, "failed") }},
		{"c.JSON", echo4Way(func(c echo.Context, status int) error { return c.JSON(status, 1) })},
		{"c.NoContent", echo4Way(func(c echo.Context, status int) error { return c.NoContent(status) })},
		{"a returned HTTPError", func(_ exchange, status int) error { return echo.NewHTTPError(status, "failed") }},
		{"an HTTPError with an inner error", func(_ exchange, status int) error {
			return echo.NewHTTPError(http.StatusTeapot).SetInternal(echo.NewHTTPError(status, "failed"))
		}},
		{"c.Error", echo4Way(func(c echo.Context, status int) error {
			c.Error(echo.NewHTTPError(status, "failed"))
			return nil
		})},
		{"an error of the application", func(_ exchange, status int) error { return statusError(status) }},
		{"an answer and an error", func(x exchange, status int) error {
			return errors.Join(x.Text(status, "failed"), echo.NewHTTPError(http.StatusTeapot, "late"))
		}},
	},
}

// newEcho4 returns an Echo whose error handler renders errors of the application. It does not look
// whether the response was sent, as many do not.
func newEcho4() *echo.Echo {
	e := echo.New()
	e.Logger.SetOutput(io.Discard)
	e.Use(middleware.Recover())
	standard := e.HTTPErrorHandler
	e.HTTPErrorHandler = func(err error, c echo.Context) {
		if status, ok := errors.AsType[statusError](err); ok {
			_ = c.JSON(int(status), map[string]string{"error": status.Error()})
			return
		}
		standard(err, c)
	}
	return e
}

func echo4Way(f func(echo.Context, int) error) func(exchange, int) error {
	return func(x exchange, status int) error { return f(x.(echo4Exchange).c, status) }
}

type echo4Exchange struct{ c echo.Context }

func (x echo4Exchange) Context() context.Context           { return x.c.Request().Context() }
func (x echo4Exchange) Param(name string) string           { return x.c.Param(name) }
func (x echo4Exchange) SetHeader(name, value string)       { x.c.Response().Header().Set(name, value) }
func (x echo4Exchange) Body() string                       { return readAll(x.c.Request().Body) }
func (x echo4Exchange) Form(name string) string            { return x.c.FormValue(name) }
func (x echo4Exchange) Nothing() error                     { return nil }
func (x echo4Exchange) Empty(status int) error             { return x.c.NoContent(status) }
func (x echo4Exchange) Text(status int, body string) error { return x.c.String(status, body) }

func (x echo4Exchange) Stream(first string, more <-chan struct{}, rest string) error {
	return stream(x.c.Response(), first, more, rest)
}

func (x echo4Exchange) Hijack(first string, more <-chan struct{}) error {
	return hijack(x.c.Response(), first, more)
}
