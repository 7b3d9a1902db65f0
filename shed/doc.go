// Package shed keeps a service within its capacity. A [Shedder] bounds the requests in flight by
// the number that the service can answer in time. It denies requests over the limit at once, with
// status 503 and the least important requests first. It never makes a request wait.
//
//	package main
//
//	import (
//		"fmt"
//		"log"
//		"net/http"
//		"time"
//
//		"github.com/ratelimit-go/ratelimit/shed"
//	)
//
//	func main() {
//		shedder, err := shed.New(shed.Config{
//			MaxInFlight:   500,
//			TargetLatency: 250 * time.Millisecond,
//			Priority: func(r *http.Request) shed.Priority {
//				if r.URL.Path == "/healthz" {
//					return shed.Critical
//				}
//				return shed.Normal
//			},
//		})
//		if err != nil {
//			log.Fatal(err)
//		}
//		http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
//			fmt.Fprintln(w, "hello")
//		})
//		server := &http.Server{
//			Addr: "127.0.0.1:8080", Handler: shedder.Handler(http.DefaultServeMux),
//			ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
//		}
//		log.Fatal(server.ListenAndServe())
//	}
//
// # Which limit
//
// Use a ratelimit.Limiter against clients that send too much. Use a Shedder against the sum of all
// clients. A Shedder knows no clients, and it counts per process, since it protects a process. Put
// it inside the Limiter:
//
//	limiter.Handler(shedder.Handler(mux))
//
// Requests that the Limiter denies then need no room in the Shedder. The Limiter refunds what it
// charged for a request that the Shedder denies.
//
// # How the limit adapts
//
// With a TargetLatency the limit starts at its maximum. The Shedder lowers it while more than 5 %
// of the requests take longer than the target, in proportion to their share. It raises the limit
// again while the limit is in use and the requests are fast enough. So the limit settles where the
// service works at its capacity and requests take no longer than the target.
//
// Choose several times the latency of an idle service. If an idle service misses the target, the
// limit stays at MinInFlight. The time in which the handler waits for the body does not count as
// latency, but the time in which it writes the response does.
//
// A request keeps its place as long as its client takes to send the body and to read the response.
// So set ReadTimeout and WriteTimeout of [net/http.Server], and bound the requests in flight of one
// client by ratelimit.Rule.InFlight around the Shedder.
//
// The algorithm is the congestion control of DCTCP (RFC 8257): an additive increase, and a
// decrease in proportion to the extent of congestion. Controls of this kind share a bottleneck
// fairly without knowing of each other (Chiu and Jain, 1989), such as instances in front of one
// database. Denials by priority follow "Site Reliability Engineering" (Beyer et al., 2016, chapter
// 21) and DAGOR (Zhou et al., "Overload Control for Scaling WeChat Microservices", 2018).
package shed
