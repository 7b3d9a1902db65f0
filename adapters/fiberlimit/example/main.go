// Command example is a service on fiber with a limit for everything, a limit for each route, and a
// login.
//
//	curl -i localhost:8080/items/1
//	curl -i -d 'email=alice&password=guess' localhost:8080/login
package main

import (
	"flag"
	"fmt"
	"log"
	"net/http"

	"github.com/gofiber/fiber/v3"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/adapters/fiberlimit"
	"github.com/ratelimit-go/ratelimit/login"
)

func newApp() (*fiber.App, error) {
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
	each := fiberlimit.Wrap(limiter.Limit("10 per minute", byRoute))

	app := fiber.New()
	app.Use(fiberlimit.Handler(limiter))
	item := func(c fiber.Ctx) error { return c.SendString(c.Params("id")) }
	app.Get("/items/:id", each, item)
	app.Get("/users/:id", each, item)
	app.Post("/login", fiberlimit.Wrap(guard.Handler), func(c fiber.Ctx) error {
		if c.FormValue("password") != "correct horse" {
			return fiber.ErrUnauthorized
		}
		return c.SendString("welcome")
	})
	return app, nil
}

const usage = `Try this, and see 401 five times and then 429:
  for i in $(seq 6); do curl -si -d 'email=alice&password=guess' http://%s/login | head -1; done
`

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address to listen on")
	flag.Parse()
	app, err := newApp()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf(usage, *addr)
	log.Fatal(app.Listen(*addr, fiber.ListenConfig{DisableStartupMessage: true}))
}
