package echo4limit_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/adapters/echo4limit"
)

type userKey struct{}

// ByUser finds what is in the context of the request, and nothing of Context.Set.
func TestUserOfTheContext(t *testing.T) {
	userOf := func(r *http.Request) string {
		name, _ := r.Context().Value(userKey{}).(string)
		return name
	}
	for _, stored := range []bool{true, false} {
		limiter, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{{
			Name: "users", Limits: ratelimit.MustParse("1 per minute"),
			Key: ratelimit.FirstOf(ratelimit.ByUser(userOf), ratelimit.ByClientIP()),
		}}})
		require.NoError(t, err)
		e := newEcho()
		e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c echo.Context) error {
				c.Set("user", c.QueryParam("user"))
				if stored {
					ctx := context.WithValue(c.Request().Context(), userKey{}, c.QueryParam("user"))
					c.SetRequest(c.Request().WithContext(ctx))
				}
				return next(c)
			}
		}, echo4limit.Handler(limiter))
		e.GET("/x", func(c echo.Context) error { return c.String(http.StatusOK, "x") })
		assert.Equal(t, http.StatusOK, get(e, "/x?user=alice").Code)
		assert.Equal(t, http.StatusTooManyRequests, get(e, "/x?user=alice").Code)
		assert.Equal(t, stored, get(e, "/x?user=bob").Code == http.StatusOK, "a bucket of their own")
	}
}
