// Command chi uses a limiter with the router chi. The methods of a limiter are middlewares of chi
// as they are.
//
//	curl -i localhost:8080/items/1
//	curl -i -X POST localhost:8080/login
package main

import (
	"flag"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/ratelimit-go/ratelimit"
)

// pattern returns chi's pattern of the route. Do not count by the path instead: a client can make
// as many paths as it likes.
func pattern(r *http.Request) string { return chi.RouteContext(r.Context()).RoutePattern() }

func newHandler() (http.Handler, error) {
	limiter, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{{
		Name: "everything", Limits: ratelimit.MustParse("30 per minute"),
	}}})
	if err != nil {
		return nil, err
	}
	page := func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprintln(w, pattern(r)) }

	r := chi.NewRouter()
	r.Use(limiter.Handler)
	// The middlewares of With run after the routing, so the pattern is known. Each route has 10.
	byRoute := ratelimit.AllOf(ratelimit.ByClientIP(), ratelimit.ByValue("route", pattern))
	each := limiter.Limit("10 per minute", byRoute)
	r.With(each).Get("/items/{id}", page)
	r.With(each).Get("/users/{id}", page)
	// The routes of this group share 3 per minute.
	r.Group(func(r chi.Router) {
		r.Use(limiter.With(ratelimit.Rule{Name: "login", Limits: ratelimit.MustParse("3 per minute")}))
		r.Post("/login", page)
		r.Post("/password", page)
	})
	return r, nil
}

const usage = `Try this, and see 200 three times and then 429:
  for i in $(seq 4); do curl -si -X POST http://%s/login | head -1; done
`

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address to listen on")
	flag.Parse()
	handler, err := newHandler()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf(usage, *addr)
	server := &http.Server{Addr: *addr, Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}
