package fiberlimit_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	"github.com/gofiber/fiber/v3"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/adapters/fiberlimit"
	"github.com/ratelimit-go/ratelimit/login"
)

// A service with a limit for everything, a limit for each route, and a login.
func Example() {
	limiter, err := ratelimit.New(ratelimit.Config{
		Rules: []ratelimit.Rule{{Name: "everything", Limits: ratelimit.MustParse("100 per minute")}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	guard, err := login.New(limiter, login.Config{
		Account:   login.FormField("email"),
		Succeeded: ratelimit.StatusIn(http.StatusOK),
		PerPair:   ratelimit.MustParse("2 per 15 minutes"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	byRoute := ratelimit.AllOf(ratelimit.ByClientIP(), ratelimit.ByPattern())
	each := fiberlimit.Wrap(limiter.Limit("1 per minute", byRoute))

	app := fiber.New()
	app.Use(fiberlimit.Handler(limiter))
	item := func(c fiber.Ctx) error { return c.SendString(c.Params("id")) }
	app.Get("/items/:id", each, item)
	app.Get("/users/:id", each, item)
	app.Post("/login", fiberlimit.Wrap(guard.Handler), func(c fiber.Ctx) error {
		if c.FormValue("password") != "correct horse" {
			return fiber.ErrUnauthorized // fiber renders it
		}
		return c.SendString("welcome")
	})

	status := func(r *http.Request) {
		resp, err := app.Test(r)
		if err != nil {
			fmt.Println(err)
			return
		}
		_ = resp.Body.Close()
		fmt.Println(r.URL, resp.StatusCode)
	}
	for _, path := range []string{"/items/1", "/items/2", "/users/1"} {
		status(httptest.NewRequest(http.MethodGet, path, nil))
	}
	for range 3 {
		form := url.Values{"email": {"alice"}, "password": {"guess"}}.Encode()
		r := httptest.NewRequest(http.MethodPost, "/login", strings.NewReader(form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		status(r)
	}
	// Output:
	// /items/1 200
	// /items/2 429
	// /users/1 200
	// /login 401
	// /login 401
	// /login 429
}
