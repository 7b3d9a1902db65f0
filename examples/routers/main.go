// Command routers uses limiters with gorilla/mux, with huma, and with gqlgen. All of them take
// handlers of net/http, so the methods of a limiter fit as they are.
//
//	go run . -router gorilla    # or huma, or gqlgen
package main

import (
	"flag"
	"fmt"
	"log"
	"net/http"
	"time"
)

// A demo is a service with one of the routers, and a request to try.
type demo struct {
	handler func() (http.Handler, error)
	try     string
}

var demos = map[string]demo{
	"gorilla": {newGorilla, "http://%s/items/1"},
	"huma":    {newHuma, "http://%s/items/0"},
	"gqlgen": {newGraphQL, `-H 'Content-Type: application/json' ` +
		`-d '{"query":"{items(first:40){name}}"}' http://%s/graphql`},
}

const usage = `Try this several times:
  curl -i ` + "%s\n"

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address to listen on")
	router := flag.String("router", "gorilla", "gorilla, huma or gqlgen")
	flag.Parse()
	d, ok := demos[*router]
	if !ok {
		log.Fatalf("there is no router %q: want gorilla, huma or gqlgen", *router)
	}
	handler, err := d.handler()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf(usage, fmt.Sprintf(d.try, *addr))
	server := &http.Server{Addr: *addr, Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}
