package dashboard_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/dashboard"
)

// userOf returns the user of a request. A service looks into the session.
func userOf(r *http.Request) string {
	user, _, _ := r.BasicAuth()
	return user
}

func Example() {
	limiter, err := ratelimit.New(ratelimit.Config{
		Rules: []ratelimit.Rule{{Name: "per-client", Limits: ratelimit.MustParse("2 per minute")}},
	})
	if err != nil {
		panic(err)
	}
	page, err := dashboard.New(limiter, dashboard.Config{
		Title:     "Orders, instance 1",
		Authorize: func(r *http.Request) bool { return userOf(r) != "" },
		MayAct:    func(r *http.Request) bool { return userOf(r) == "alice" },
		Who:       userOf,
		Audit: func(ctx context.Context, a dashboard.Action) {
			slog.WarnContext(ctx, "limits changed", "who", a.Who, "what", a.Kind, "rule", a.Rule, "error", a.Err)
		},
	})
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/debug/limits/", page)
	server := http.Server{Handler: mux}
	server.RegisterOnShutdown(page.Close) // open pages would hold up the shutdown

	service := limiter.Handler(http.NotFoundHandler())
	for range 5 {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = "203.0.113.66:4000"
		service.ServeHTTP(httptest.NewRecorder(), r)
	}
	r := httptest.NewRequest(http.MethodGet, "/debug/limits/", nil)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	fmt.Println("a stranger:", w.Code, w.Body.Len())

	r.SetBasicAuth("bob", "")
	w = httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	fmt.Println("bob:", w.Code, strings.Contains(w.Body.String(), "addr:203.0.113.66"))
	// Output:
	// a stranger: 403 0
	// bob: 200 true
}

// A page shows names instead of hashes if the program tells it the names.
func ExamplePage_Label() {
	limiter, err := ratelimit.New(ratelimit.Config{})
	if err != nil {
		panic(err)
	}
	page, err := dashboard.New(limiter, dashboard.Config{Authorize: func(*http.Request) bool { return true }})
	if err != nil {
		panic(err)
	}
	k := ratelimit.UserKey("6f1c2a34-90aa-4b8e-9d51-2f3c1b7a9e00") // too long for a Key
	page.Label(k, "alice@example.com")
	fmt.Println(k.String()[:12] + "...")
	// Output:
	// user:#ef1648...
}
