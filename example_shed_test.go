package ratelimit_test

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/ratelimit-go/ratelimit"
)

// A service with room for four requests: two if they are exports, and the last is for logins.
func ExampleShedder() {
	shedder, err := ratelimit.NewShedder(ratelimit.ShedConfig{
		MaxInFlight:   4,
		TargetLatency: 250 * time.Millisecond,
		Priority: func(r *http.Request) ratelimit.Priority {
			switch {
			case r.URL.Path == "/login":
				return ratelimit.Critical
			case strings.HasPrefix(r.URL.Path, "/export"):
				return ratelimit.Sheddable
			}
			return ratelimit.Normal
		},
		Exempt: func(r *http.Request) bool { return r.URL.Path == "/events" },
	})
	if err != nil {
		panic(err)
	}
	var handler http.Handler
	handler = shedder.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if next, ok := strings.CutPrefix(r.URL.Path, "/then"); ok { // comes while this one is in flight
			get(handler, next, "192.0.2.1:1234")
		}
	}))

	get(handler, "/then/export", "192.0.2.1:1234")
	get(handler, "/then/then/export", "192.0.2.1:1234")
	get(handler, "/then/then/then/login", "192.0.2.1:1234")
	fmt.Println(shedder.Stats().Shed[ratelimit.Sheddable], "shed")
	// Output:
	// 200
	// 200
	// 503
	// 200
	// 200
	// 200
	// 200
	// 200
	// 200
	// 1 shed
}
