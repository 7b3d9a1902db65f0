// Command decorators limits single routes of a mux, inside a limit for all requests.
//
//	curl -i localhost:8080/items            # 10 per minute, shared with /search
//	curl -i localhost:8080/search
//	curl -i -X POST localhost:8080/reports  # 2 per minute
//	curl -i localhost:8080/                 # only the 30 per minute for everything
//
// If a decorator denies a request, the limiter refunds what the limit for everything has charged.
package main

import (
	"flag"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/ratelimit-go/ratelimit"
)

func newHandler() (http.Handler, error) {
	limiter, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{{
		Name: "everything", Limits: ratelimit.MustParse("30 per minute"),
	}}})
	if err != nil {
		return nil, err
	}
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintln(w, r.Pattern)
	})
	reading := limiter.Limit("10 per minute") // both routes share this budget
	writing := limiter.With(ratelimit.Rule{
		Name: "reports", Limits: ratelimit.MustParse("2 per minute"),
	})
	mux := http.NewServeMux()
	mux.Handle("GET /items", reading(page))
	mux.Handle("GET /search", reading(page))
	mux.Handle("POST /reports", writing(page))
	mux.Handle("GET /{$}", page)
	return limiter.Handler(mux), nil
}

const usage = `Try this, and see 200 ten times and then 429:
  for i in $(seq 11); do curl -si http://%s/items | head -1; done
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
