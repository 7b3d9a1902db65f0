// Command example is a service on echo v4 with a limit for everything, a limit for each route, and
// a login.
//
//	curl -i localhost:8080/items/1
//	curl -i -d 'email=alice&password=guess' localhost:8080/login
package main

import (
	"flag"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/adapters/echo4limit"
	"github.com/ratelimit-go/ratelimit/login"
)

func newEcho() (*echo.Echo, error) {
	limiter, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{{
		Name: "everything", Limits: ratelimit.MustParse("100 per minute"),
	}}})
	if err != nil {
		return nil, err
	}
	guard, err := login.New(limiter, login.Config{
		Account:   login.FormField("email"),
		Succeeded: ratelimit.StatusIn(http.StatusOK),
	})
	if err != nil {
		return nil, err
	}
	byRoute := ratelimit.AllOf(ratelimit.ByClientIP(), ratelimit.ByPattern())
	each := echo4limit.Wrap(limiter.Limit("10 per minute", byRoute))

	e := echo.New()
	e.Use(echo4limit.Handler(limiter))
	item := func(c echo.Context) error { return c.String(http.StatusOK, c.Param("id")) }
	e.GET("/items/:id", item, each)
	e.GET("/users/:id", item, each)
	e.POST("/login", func(c echo.Context) error {
		if c.FormValue("password") != "correct horse" {
			return echo.ErrUnauthorized
		}
		return c.String(http.StatusOK, "welcome")
	}, echo4limit.Wrap(guard.Handler))
	return e, nil
}

const usage = `Try this, and see 401 five times and then 429:
  for i in $(seq 6); do curl -si -d 'email=alice&password=guess' http://%s/login | head -1; done
`

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address to listen on")
	flag.Parse()
	e, err := newEcho()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf(usage, *addr)
	server := &http.Server{Addr: *addr, Handler: e, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}
