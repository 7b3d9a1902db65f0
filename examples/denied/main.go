// Command denied answers refused requests in a way of its own: a page for browsers, the
// error envelope of its API for everybody else. And it logs some of them.
//
//	for i in $(seq 6); do curl -s localhost:8080/; done
//	for i in $(seq 6); do curl -s -H 'Accept: text/html' localhost:8080/; done
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/ratelimit-go/ratelimit"
)

// envelope is what this API's errors look like.
type envelope struct {
	Error struct {
		Code    string  `json:"code"`
		Rule    string  `json:"rule"`
		RetryIn float64 `json:"retry_in"` // seconds
	} `json:"error"`
}

// denied writes the response. Retry-After and the other header fields are set already.
func denied(w http.ResponseWriter, r *http.Request, d ratelimit.Decision) {
	retryIn := math.Ceil(d.RetryAfter.Seconds()) // rounded up, as in Retry-After
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(d.Status())
		_, _ = fmt.Fprintf(w, "<h1>Slow down</h1><p>Try again in %.0f seconds.</p>\n", retryIn)
		return
	}
	var e envelope
	e.Error.Code, e.Error.Rule, e.Error.RetryIn = "slow_down", d.Rule, retryIn
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(d.Status())
	_ = json.NewEncoder(w).Encode(e)
}

func newHandler(logs io.Writer) (http.Handler, error) {
	logger := slog.New(slog.NewTextHandler(logs, nil))
	sometimes := rate.Sometimes{First: 1, Interval: time.Second} // a flood must not fill the disk
	limiter, err := ratelimit.New(ratelimit.Config{
		Rules: []ratelimit.Rule{{
			Name: "per-client", Limits: ratelimit.MustParse("5 per minute"), Key: ratelimit.ByRemoteIP(),
		}},
		Denied: denied,
		OnDenied: func(r *http.Request, d ratelimit.Decision) {
			// Key.String quotes and shortens what a client chose; the path does not, so it is not logged.
			sometimes.Do(func() {
				logger.InfoContext(r.Context(), "refused", "rule", d.Rule, "key", d.Key.String(), "retry_after", d.RetryAfter.Round(time.Second))
			})
		},
	})
	if err != nil {
		return nil, err
	}
	return limiter.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })), nil
}

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address to serve on")
	flag.Parse()
	handler, err := newHandler(os.Stderr)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("Try, and see five times ok, and then an error and a line in the log:\n  for i in $(seq 6); do curl -s http://%s/; done\n", *addr)
	log.Fatal((&http.Server{Addr: *addr, Handler: handler, ReadHeaderTimeout: 5 * time.Second}).ListenAndServe())
}
