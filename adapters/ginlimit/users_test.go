package ginlimit_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/adapters/ginlimit"
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
		gin.SetMode(gin.ReleaseMode)
		engine := gin.New()
		engine.Use(func(c *gin.Context) {
			c.Set("user", c.Query("user"))
			if stored {
				ctx := context.WithValue(c.Request.Context(), userKey{}, c.Query("user"))
				c.Request = c.Request.WithContext(ctx)
			}
		}, ginlimit.Handler(limiter))
		engine.GET("/x", func(c *gin.Context) { c.String(http.StatusOK, "x") })
		assert.Equal(t, http.StatusOK, get(engine, "/x?user=alice").Code)
		assert.Equal(t, http.StatusTooManyRequests, get(engine, "/x?user=alice").Code)
		assert.Equal(t, stored, get(engine, "/x?user=bob").Code == http.StatusOK, "a bucket of their own")
	}
}

// gin gives a middleware to the routes that are registered later, as the README says.
func TestUseAfterARoute(t *testing.T) {
	limiter, err := ratelimit.New(ratelimit.Config{
		Rules: []ratelimit.Rule{{Name: "all", Limits: ratelimit.MustParse("1 per minute")}},
	})
	require.NoError(t, err)
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	x := func(c *gin.Context) { c.String(http.StatusOK, "x") }
	engine.GET("/before", x)
	engine.Use(ginlimit.Handler(limiter))
	engine.GET("/after", x)
	for range 2 {
		assert.Equal(t, http.StatusOK, get(engine, "/before").Code)
	}
	assert.Equal(t, http.StatusOK, get(engine, "/after").Code)
	assert.Equal(t, http.StatusTooManyRequests, get(engine, "/after").Code)

	engine = gin.New()
	engine.Group("/group", ginlimit.Handler(limiter)).GET("/x", x)
	assert.Equal(t, http.StatusTooManyRequests, get(engine, "/group/x").Code)
	assert.Equal(t, http.StatusNotFound, get(engine, "/group/nowhere").Code)
}
