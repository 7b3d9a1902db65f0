package main

import (
	"fmt"
	"net/http"

	"github.com/gorilla/mux"

	"github.com/ratelimit-go/ratelimit"
)

// describe tells the request which route of gorilla/mux it has matched, so that ratelimit.ByPattern
// and Request.PathValue work. It must be used before the limiters.
func describe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Pattern, _ = mux.CurrentRoute(r).GetPathTemplate() // "" if the route has no path
		for name, value := range mux.Vars(r) {
			r.SetPathValue(name, value)
		}
		next.ServeHTTP(w, r)
	})
}

// newGorilla returns a service with a limit for everything and a limit for each route. A middleware
// of gorilla/mux runs only if a route has matched. To limit other requests too, put the limiter
// around the router.
func newGorilla() (http.Handler, error) {
	limiter, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{{
		Name: "everything", Limits: ratelimit.MustParse("30 per minute"),
	}}})
	if err != nil {
		return nil, err
	}
	byRoute := ratelimit.AllOf(ratelimit.ByClientIP(), ratelimit.ByPattern())
	each := limiter.Limit("10 per minute", byRoute)
	page := func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintln(w, r.Pattern, mux.Vars(r)["id"])
	}

	router := mux.NewRouter()
	router.Use(describe, each)
	router.HandleFunc("/items/{id:[0-9]+}", page).Methods(http.MethodGet)
	router.HandleFunc("/users/{id}", page).Methods(http.MethodGet)
	return limiter.Handler(router), nil
}
