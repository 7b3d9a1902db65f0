// Package otellimit exports the counters of a limiter as OpenTelemetry metrics, and writes its
// decisions on the current span.
//
//	package main
//
//	import (
//		"fmt"
//		"log"
//		"net/http"
//
//		"go.opentelemetry.io/otel"
//
//		"github.com/ratelimit-go/ratelimit"
//		"github.com/ratelimit-go/ratelimit/metrics/otellimit"
//	)
//
//	func main() {
//		limiter, err := ratelimit.New(ratelimit.Config{
//			Rules: []ratelimit.Rule{{
//				Name:   "per-client",
//				Limits: ratelimit.MustParse("100 per minute"),
//			}},
//		})
//		if err != nil {
//			log.Fatal(err)
//		}
//		unregister, err := otellimit.Register(otel.Meter("shop"), limiter)
//		if err != nil {
//			log.Fatal(err)
//		}
//		defer unregister()
//		defer limiter.Observe(otellimit.Hooks())()
//		http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
//			fmt.Fprintln(w, "hello")
//		})
//		log.Fatal(http.ListenAndServe("127.0.0.1:8080", limiter.Handler(http.DefaultServeMux)))
//	}
//
// No attribute has a key or any other text that a client sent. The number of series is bounded by
// the number of rules.
//
// README.md lists the metrics, the attributes and the events. Package storetime exports the time of
// calls of the store as a histogram.
package otellimit
