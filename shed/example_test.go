package shed_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/ratelimit-go/ratelimit/shed"
)

// get prints the status and the path of a request to h.
func get(h http.Handler, path string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	fmt.Println(w.Code, path)
}

// A service with room for four requests: at most two if they are exports, and the last only for
// logins.
func ExampleShedder() {
	shedder, err := shed.New(shed.Config{
		MaxInFlight:   4,
		TargetLatency: 250 * time.Millisecond,
		Priority: func(r *http.Request) shed.Priority {
			switch {
			case r.URL.Path == "/login":
				return shed.Critical
			case strings.HasPrefix(r.URL.Path, "/export"):
				return shed.Sheddable
			}
			return shed.Normal
		},
		Exempt: func(r *http.Request) bool { return r.URL.Path == "/events" },
	})
	if err != nil {
		panic(err)
	}
	var handler http.Handler
	handler = shedder.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if next, ok := strings.CutPrefix(r.URL.Path, "/then"); ok {
			get(handler, next) // while this request is in flight
		}
	}))

	get(handler, "/then/export")
	get(handler, "/then/then/export")
	get(handler, "/then/then/then/login")
	fmt.Println(shedder.Stats().Shed[shed.Sheddable], "denied")
	// Output:
	// 200 /export
	// 200 /then/export
	// 503 /export
	// 200 /then/export
	// 200 /then/then/export
	// 200 /login
	// 200 /then/login
	// 200 /then/then/login
	// 200 /then/then/then/login
	// 1 denied
}

// A service with its own response to denied requests, which also prints them.
func ExampleConfig() {
	shedder, err := shed.New(shed.Config{
		MaxInFlight: 1,
		DenyHandler: func(w http.ResponseWriter, _ *http.Request, _ time.Duration) {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintln(w, "Please try again later.")
		},
		OnDenied: func(r *http.Request, p shed.Priority) { fmt.Println("denied:", p, r.URL.Path) },
	})
	if err != nil {
		panic(err)
	}
	var handler http.Handler
	handler = shedder.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner := httptest.NewRecorder()
		handler.ServeHTTP(inner, r) // while r is in flight
		fmt.Println(inner.Code, inner.Header().Get("Cache-Control"))
		_, _ = io.Copy(w, inner.Body)
	}))

	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	fmt.Print(w.Body)
	// Output:
	// denied: normal /
	// 503 no-store
	// Please try again later.
}

// Numbers for a dashboard.
func ExampleShedder_Stats() {
	shedder, err := shed.New(shed.Config{MaxInFlight: 500})
	if err != nil {
		panic(err)
	}
	handler := shedder.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		stats := shedder.Stats()
		fmt.Println(stats.InFlight, "of", stats.Limit, "in flight")
		fmt.Println(stats.Shed)
	}))
	get(handler, "/")
	// Output:
	// 1 of 500 in flight
	// map[sheddable:0 normal:0 critical:0]
	// 200 /
}
