package outbound_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/outbound"
)

// The client waits as long as the server says, and tells when it would have to wait too long.
func Example() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("RateLimit-Policy", `"free";q=1;w=3600`)
		w.Header().Set("RateLimit", `"free";r=0;t=3600`)
		fmt.Fprint(w, "hello")
	}))
	defer server.Close()

	transport, err := outbound.New(outbound.Config{MaxWait: 30 * time.Second})
	if err != nil {
		log.Fatal(err)
	}
	client := &http.Client{Transport: transport}
	for range 2 {
		resp, err := client.Get(server.URL)
		var wait *outbound.WaitError
		if errors.As(err, &wait) {
			fmt.Println("not sent: the server allows the next request in", time.Until(wait.Until).Round(time.Hour))
			return
		}
		if err != nil {
			log.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		fmt.Println(resp.Status, string(body))
	}
	// Output:
	// 200 OK hello
	// not sent: the server allows the next request in 1h0m0s
}

// A server that sends no fields, such as nginx with limit_req, needs a rule of your own.
func ExampleRule() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }))
	defer server.Close()

	limiter, err := ratelimit.New(ratelimit.Config{Budgets: []ratelimit.Budget{{
		Name: "partner", Limits: ratelimit.MustParse("20 per second burst 2"), MaxWait: time.Minute,
	}}})
	if err != nil {
		log.Fatal(err)
	}
	transport, err := outbound.New(outbound.Config{Rules: []outbound.Rule{{Limiter: limiter, Budget: "partner"}}})
	if err != nil {
		log.Fatal(err)
	}
	client := &http.Client{Transport: transport}
	began := time.Now()
	for range 6 {
		resp, err := client.Get(server.URL)
		if err != nil {
			log.Fatal(err)
		}
		resp.Body.Close()
	}
	fmt.Println("at least 200 ms:", time.Since(began) >= 200*time.Millisecond)
	// Output: at least 200 ms: true
}
