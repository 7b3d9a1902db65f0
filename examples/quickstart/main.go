// Command quickstart serves a small API behind rate limits, and prints what to try.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/ratelimit-go/ratelimit"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address to listen on")
	flag.Parse()
	handler, err := newHandler()
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf(usage, listener.Addr())
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.Serve(listener))
}

const usage = `Listening on http://%[1]s. Try:

  curl -i http://%[1]s/api/items
      200. The field RateLimit says r=99;t=60: 99 of your 100 tokens are left, for 60 seconds.
  for i in $(seq 3); do curl -si 'http://%[1]s/api/items?per_page=800' | head -1; done
      200 twice, then 429. A page of 800 items costs 40 tokens, and 100 are added per minute.
  for i in $(seq 6); do curl -si -X POST 'http://%[1]s/login?user=alice' | head -1; done
      401 five times, then 429. Each account has 5 attempts per minute.
  curl -i -u admin:secret http://%[1]s/admin/stats
      200. The body says how many requests each rule leaves to you. The rule "admin" has 10 per
      minute for each signed-in user. The option -u signs you in.
  curl -i http://%[1]s/admin/stats
      403. Without -u the request has no user, and the rule denies such requests.
`

func newHandler() (http.Handler, error) {
	limiter, err := ratelimit.New(ratelimit.Config{
		Rules: []ratelimit.Rule{
			{Name: "per-client", Limits: ratelimit.MustParse("100 per minute"), Cost: cost},
		},
		Routes: map[string][]ratelimit.Rule{
			"POST /login": {
				{
					Name: "login-account", Limits: ratelimit.MustParse("5 per minute"),
					Key: ratelimit.ByUser(account),
				},
				{Name: "login-address", Limits: ratelimit.MustParse("20 per minute")},
			},
			"POST /webhooks": {
				{Name: "webhooks", Limits: ratelimit.MustParse("10 per second; 100 per minute")},
			},
			"GET /admin/stats": {{
				Name: "admin", Limits: ratelimit.MustParse("10 per minute"),
				Key: ratelimit.ByUser(signedIn), OnMissingKey: ratelimit.DenyRequest,
			}},
		},
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/items", items)
	mux.HandleFunc("GET /api/users", answer(http.StatusOK, []string{"alice", "bob"}))
	mux.HandleFunc("POST /login", answer(http.StatusUnauthorized, "wrong password"))
	mux.HandleFunc("POST /webhooks", answer(http.StatusAccepted, "thank you"))
	mux.HandleFunc("GET /admin/stats", stats)
	return limiter.Handler(mux), nil
}

// perPage returns how many items the request asks for, from 1 to 1000.
func perPage(r *http.Request) int {
	n, err := strconv.Atoi(r.URL.Query().Get("per_page"))
	if err != nil {
		n = 20
	}
	return min(max(n, 1), 1000)
}

// cost returns 1 token per 20 items, rounded up.
func cost(r *http.Request) int64 { return int64((perPage(r) + 19) / 20) }

// account returns the account whose password is tried. A real service finds it in the body of the
// request: see package login.
func account(r *http.Request) string { return r.URL.Query().Get("user") }

// signedIn stands for real authentication.
func signedIn(r *http.Request) string {
	if user, password, ok := r.BasicAuth(); ok && password == "secret" {
		return user
	}
	return ""
}

func items(w http.ResponseWriter, r *http.Request) {
	list := make([]string, perPage(r))
	for i := range list {
		list[i] = fmt.Sprintf("item %d", i+1)
	}
	reply(w, http.StatusOK, list)
}

func stats(w http.ResponseWriter, r *http.Request) {
	left := map[string]int64{}
	for d := range ratelimit.Decisions(r.Context()) {
		left[d.Rule] = d.Remaining
	}
	reply(w, http.StatusOK, left)
}

// answer returns a handler that always answers the same.
func answer(status int, v any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { reply(w, status, v) }
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
