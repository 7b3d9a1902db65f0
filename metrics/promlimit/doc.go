// Package promlimit is a Prometheus collector for the counters of a limiter.
//
//	package main
//
//	import (
//		"fmt"
//		"log"
//		"net/http"
//
//		"github.com/prometheus/client_golang/prometheus"
//		"github.com/prometheus/client_golang/prometheus/promhttp"
//
//		"github.com/ratelimit-go/ratelimit"
//		"github.com/ratelimit-go/ratelimit/metrics/promlimit"
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
//		prometheus.MustRegister(promlimit.Collector(limiter))
//		api := http.NewServeMux()
//		api.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
//			fmt.Fprintln(w, "hello")
//		})
//		mux := http.NewServeMux()
//		mux.Handle("/metrics", promhttp.Handler()) // not limited
//		mux.Handle("/", limiter.Handler(api))
//		log.Fatal(http.ListenAndServe("127.0.0.1:8080", mux))
//	}
//
// No metric has a label with a key or any other text that a client sent. The number of series is
// bounded by the number of rules: 16 per rule and at most 60 per limiter. Each is there from the
// first scrape on, with the value 0, so that rate and increase see its first event.
//
// README.md lists the metrics. The files alerts.yaml and grafana.json are alert rules and a
// dashboard for them.
package promlimit
