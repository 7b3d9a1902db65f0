package echo4limit_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/stretchr/testify/assert"

	"github.com/ratelimit-go/ratelimit/adapters/echo4limit"
)

// Inside of echo's Timeout, the client gets the error that the limiter has seen.
func TestErrorInsideOfTimeout(t *testing.T) {
	//lint:ignore SA1019 services still use it; its successor answers nothing itself
	timeout := middleware.TimeoutWithConfig(middleware.TimeoutConfig{Timeout: time.Minute})
	for name, handler := range map[string]echo.HTTPErrorHandler{
		"echo's handler": nil,
		"another handler": func(err error, c echo.Context) {
			_ = c.JSON(http.StatusUnauthorized, map[string]string{"message": err.Error()})
		},
	} {
		for limiters := range 3 {
			var reports []string
			e := newEcho()
			if handler != nil {
				e.HTTPErrorHandler = handler
			}
			e.Use(timeout, middleware.Gzip())
			for range limiters {
				e.Use(echo4limit.Handler(failures(t, "1 per minute", &reports)))
			}
			e.GET("/x", func(echo.Context) error { return echo.ErrUnauthorized })
			w := get(e, "/x")
			assert.Equal(t, http.StatusUnauthorized, w.Code, "%s, %d limiters", name, limiters)
			assert.Contains(t, w.Body.String(), "Unauthorized", "%s, %d limiters", name, limiters)
			if limiters > 0 {
				assert.Equal(t, http.StatusTooManyRequests, get(e, "/x").Code, name)
			}
			assert.Empty(t, reports)
		}
	}
}
