// Command denied writes its own responses to denied requests: a page for browsers, and the error
// envelope of its API for other clients. It also logs at most one denial per second.
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

// envelope is the form of this API's errors.
type envelope struct {
	Error struct {
		Code    string  `json:"code"`
		Rule    string  `json:"rule"`
		RetryIn float64 `json:"retry_in"` // seconds
	} `json:"error"`
}

// denied writes the response. The limiter has set Retry-After and the other header fields.
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
	limiter, err := ratelimit.New(ratelimit.Config{
		Rules: []ratelimit.Rule{{
			Name: "per-client", Limits: ratelimit.MustParse("5 per minute"),
		}},
		DenyHandler: denied,
		Hooks:       ratelimit.Hooks{Denied: logTo(logs)},
	})
	if err != nil {
		return nil, err
	}
	return limiter.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok\n")
	})), nil
}

// logTo returns a hook that logs at most one denial per second, so that a flood cannot fill the
// disk. A Key is safe in a log, because its text is short and printable. A path is not.
func logTo(logs io.Writer) func(*http.Request, ratelimit.Decision) {
	logger := slog.New(slog.NewTextHandler(logs, nil))
	sometimes := rate.Sometimes{First: 1, Interval: time.Second}
	return func(r *http.Request, d ratelimit.Decision) {
		sometimes.Do(func() {
			logger.InfoContext(r.Context(), "denied",
				"rule", d.Rule, "key", d.Key, "retry_after", d.RetryAfter.Round(time.Second))
		})
	}
}

const usage = `Try this, and see "ok" five times, then an error, and a line in the log of this program:
  for i in $(seq 6); do curl -s http://%s/; done
`

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address to listen on")
	flag.Parse()
	handler, err := newHandler(os.Stderr)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf(usage, *addr)
	server := &http.Server{Addr: *addr, Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}
