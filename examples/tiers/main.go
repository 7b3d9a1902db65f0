// Command tiers limits signed-in users by their plan, and other clients by their address. The
// support desk can reset the limits of a user.
//
//	curl -i localhost:8080/api/items                      # by address: 10 per minute
//	curl -i -H 'X-User: alice' localhost:8080/api/items   # plan free: 60 per minute
//	curl -i -H 'X-User: bob' localhost:8080/api/items     # plan pro: 10 per second; 1000 per hour
//	curl -i -X DELETE localhost:8080/support/limits/alice # alice has 60 again
//
// The field X-User stands for real authentication. A service must never believe such a field, and
// must protect /support.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/ratelimit-go/ratelimit"
)

// plans are the limits of each plan, parsed once.
var plans = map[string]ratelimit.Limits{
	"free": ratelimit.MustParse("60 per minute"),
	"pro":  ratelimit.MustParse("10 per second; 1000 per hour"),
}

// planOf stands for a table of users. It has the keys under which the limiter counts them.
var planOf = map[ratelimit.Key]string{
	ratelimit.UserKey("alice"): "free",
	ratelimit.UserKey("bob"):   "pro",
}

// userOf returns the user who is signed in, or "".
func userOf(r *http.Request) string {
	if user := r.Header.Get("X-User"); planOf[ratelimit.UserKey(user)] != "" {
		return user
	}
	return ""
}

// limitsFor returns the limits of the user's plan. For other keys it returns none, so the Limits
// of the rule apply.
func limitsFor(_ context.Context, key ratelimit.Key) ratelimit.Limits { return plans[planOf[key]] }

func newHandler() (http.Handler, error) {
	limiter, err := ratelimit.New(ratelimit.Config{
		Routes: map[string][]ratelimit.Rule{"/api/": {{
			Name:      "api",
			Limits:    ratelimit.MustParse("10 per minute"),
			LimitsFor: limitsFor,
			Key:       ratelimit.FirstOf(ratelimit.ByUser(userOf), ratelimit.ByClientIP()),
		}}},
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/items", func(w http.ResponseWriter, r *http.Request) {
		d, _ := ratelimit.DecisionFrom(r.Context())
		_, _ = fmt.Fprintf(w, "items for %s, %d requests left\n", d.Key, d.Remaining)
	})
	mux.HandleFunc("DELETE /support/limits/{user}", func(w http.ResponseWriter, r *http.Request) {
		if err := limiter.Reset(r.Context(), "api", ratelimit.UserKey(r.PathValue("user"))); err != nil {
			http.Error(w, "the store does not answer", http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return limiter.Handler(mux), nil
}

const usage = `Try this, and see that alice has 60 requests per minute, and an unknown client has 10:
  curl -i -H 'X-User: alice' http://%[1]s/api/items
  curl -i http://%[1]s/api/items
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
