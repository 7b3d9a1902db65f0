// Command chi uses a limiter with the router chi: its methods are chi's middlewares as they
// are.
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

// byRoute counts by chi's pattern of the route, of which there are a few, never by the path,
// of which a client can make up as many as it likes.
func byRoute(r *http.Request) string { return chi.RouteContext(r.Context()).RoutePattern() }

func newHandler() (http.Handler, error) {
	limiter, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{{
		Name: "everything", Limits: ratelimit.MustParse("30 per minute"), Key: ratelimit.ByClientIP(),
	}}})
	if err != nil {
		return nil, err
	}
	page := func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprintln(w, byRoute(r)) }

	r := chi.NewRouter()
	r.Use(limiter.Handler)
	// With stands behind the routing, so the pattern is known there: each route has ten.
	each := limiter.Limit("10 per minute", ratelimit.AllOf(ratelimit.ByClientIP(), ratelimit.ByValue("route", byRoute)))
	r.With(each).Get("/items/{id}", page)
	r.With(each).Get("/users/{id}", page)
	r.Group(func(r chi.Router) {
		r.Use(limiter.With(ratelimit.Rule{Name: "login", Limits: ratelimit.MustParse("3 per minute"), Key: ratelimit.ByClientIP()}))
		r.Post("/login", page)
		r.Post("/password", page)
	})
	return r, nil
}

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address to serve on")
	flag.Parse()
	handler, err := newHandler()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("Try, and see three times 200 and then 429:\n  for i in $(seq 4); do curl -si -X POST http://%s/login | head -1; done\n", *addr)
	log.Fatal((&http.Server{Addr: *addr, Handler: handler, ReadHeaderTimeout: 5 * time.Second}).ListenAndServe())
}
