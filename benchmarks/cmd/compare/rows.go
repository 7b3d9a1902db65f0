package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"

	"github.com/ratelimit-go/ratelimit"
)

// A row is one line of comparison.
type row struct {
	name, title string
	bar         float64 // the greatest ratio of ours to the fastest of the peers; 0 if there is no goal
	maxAllocs   float64
	subject     func(*library) func(n int)
}

var rows = []row{
	{"hot", "Decision, one hot key", 0.85, 0, hotKey},
	{"random", "Decision, 100,000 random keys, parallel", 0.6, 0, randomKeys},
	{"allowed", "Middleware, allowed, nothing handed to the handler", 0.35, 2, allowed},
	{"context", "Middleware, allowed, with the decision in the request's context (which only ratelimit gives)", 0, 0, withContext},
	{"refused", "Middleware, refused", 0.5, 10, refused},
}

const hot = "198.51.100.23"

func hotKey(lib *library) func(int) {
	decide := lib.decider(endless, 1000)
	return func(n int) {
		for range n {
			decide(hot)
		}
	}
}

func keys(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = address(i)
	}
	return keys
}

// address returns the i-th of many addresses.
func address(i int) string {
	return "10." + strconv.Itoa(i>>16&255) + "." + strconv.Itoa(i>>8&255) + "." + strconv.Itoa(i&255)
}

func randomKeys(lib *library) func(int) {
	keys := keys(100_000)
	decide := lib.decider(endless, len(keys)*2)
	for _, key := range keys {
		decide(key)
	}
	return func(n int) {
		parallel(n, func(worker, n int) {
			x := uint64(worker)*0x9e3779b97f4a7c15 + 1
			for range n {
				x ^= x << 13 // xorshift (Marsaglia 2003)
				x ^= x >> 7
				x ^= x << 17
				decide(keys[x%uint64(len(keys))])
			}
		})
	}
}

// writer is a ResponseWriter that costs nothing itself.
type writer struct {
	header http.Header
	status int
}

func newWriter() *writer { return &writer{header: http.Header{}} }

func (w *writer) Header() http.Header         { return w.header }
func (w *writer) Write(b []byte) (int, error) { return len(b), nil }
func (w *writer) WriteHeader(status int)      { w.status = status }

func newRequest() *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/api/items", nil)
	r.RemoteAddr = hot + ":50123"
	return r
}

func wrapped(wrap func(http.Handler) http.Handler) func(int) {
	h := wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	w, r := newWriter(), newRequest()
	return func(n int) {
		for range n {
			clear(w.header)
			h.ServeHTTP(w, r)
		}
	}
}

func allowed(lib *library) func(int) { return wrapped(lib.middleware(endless)) }

func refused(lib *library) func(int) { return wrapped(lib.middleware(1)) }

// withContext is allowed with the decision in the request's context, which is what this library does if it is
// not told otherwise.
func withContext(lib *library) func(int) {
	if lib.ours {
		return wrapped(ourLimiter(endless, 0, false).Handler)
	}
	return allowed(lib)
}

// limits returns a function that decides on one key under the first n of three limits.
func limits(n int) func(int) {
	l := must(ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{{
		Name: "r", Key: ratelimit.ByRemoteIP(),
		Limits: ratelimit.Limits{ratelimit.PerHour(endless), ratelimit.PerMinute(endless), ratelimit.PerDay(endless)}[:n],
	}}}))
	key, ctx := ratelimit.UserKey(hot), context.Background()
	return func(n int) {
		for range n {
			_, _ = l.Take(ctx, "r", key, 1)
		}
	}
}
