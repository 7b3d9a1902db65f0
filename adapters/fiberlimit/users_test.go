package fiberlimit_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/adapters/fiberlimit"
)

type userKey struct{}

// ByUser finds what is in the context of the request, and nothing of Ctx.Locals.
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
		app := fiber.New()
		app.Use(func(c fiber.Ctx) error {
			c.Locals(userKey{}, strings.Clone(c.Query("user")))
			if stored {
				c.SetContext(context.WithValue(c.Context(), userKey{}, strings.Clone(c.Query("user"))))
			}
			return c.Next()
		}, fiberlimit.Handler(limiter))
		app.Get("/x", func(c fiber.Ctx) error { return c.SendString("x") })
		status := func(path string) int {
			status, _ := send(t, app, "GET", path, "")
			return status
		}
		assert.Equal(t, http.StatusOK, status("/x?user=alice"))
		assert.Equal(t, http.StatusTooManyRequests, status("/x?user=alice"))
		assert.Equal(t, stored, status("/x?user=bob") == http.StatusOK, "a bucket of their own")
	}
}

// fiber runs handlers in the order in which they were registered, as the README says.
func TestUseAfterARoute(t *testing.T) {
	limiter := newLimiter(t, ratelimit.Rule{Name: "all", Limits: ratelimit.MustParse("1 per minute")})
	app := fiber.New()
	x := func(c fiber.Ctx) error { return c.SendString("x") }
	app.Get("/before", x)
	app.Use(fiberlimit.Handler(limiter))
	app.Get("/after", x)
	for _, want := range []int{http.StatusOK, http.StatusTooManyRequests} {
		status, _ := send(t, app, "GET", "/before", "")
		assert.Equal(t, http.StatusOK, status)
		status, _ = send(t, app, "GET", "/after", "")
		assert.Equal(t, want, status)
	}
}
