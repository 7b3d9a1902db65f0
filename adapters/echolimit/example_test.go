package echolimit_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	"github.com/labstack/echo/v5"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/adapters/echolimit"
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
	each := echolimit.Wrap(limiter.Limit("1 per minute", byRoute))

	e := echo.New()
	e.Use(echolimit.Handler(limiter))
	item := func(c *echo.Context) error { return c.String(http.StatusOK, c.Param("id")) }
	e.GET("/items/:id", item, each)
	e.GET("/users/:id", item, each)
	e.POST("/login", func(c *echo.Context) error {
		if c.FormValue("password") != "correct horse" {
			return echo.ErrUnauthorized // echo renders it
		}
		return c.String(http.StatusOK, "welcome")
	}, echolimit.Wrap(guard.Handler))

	for _, path := range []string{"/items/1", "/items/2", "/users/1"} {
		fmt.Println(path, get(e, path).Code)
	}
	for range 3 {
		form := url.Values{"email": {"alice"}, "password": {"guess"}}.Encode()
		r := httptest.NewRequest(http.MethodPost, "/login", strings.NewReader(form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		fmt.Println("/login", w.Code)
	}
	// Output:
	// /items/1 200
	// /items/2 429
	// /users/1 200
	// /login 401
	// /login 401
	// /login 429
}
