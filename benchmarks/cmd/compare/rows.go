package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"time"

	"github.com/ratelimit-go/ratelimit"
)

// A row is one table of the comparison.
type row struct {
	name, title string
	goal        float64 // our time is at most so many times the time of the fastest peer; 0 is no goal
	maxAllocs   float64 // part of the goal
	subject     func(*library) func(n int)
}

var rows = []row{
	{"hot", "Decision, one hot key", 0.85, 0, hotKey},
	{"random", "Decision, 100,000 random keys, parallel", 0.6, 0, randomKeys},
	{"allowed", "Middleware, allowed", 0, 0, allowed},
	{"two", twoTitle(everything, items), 0, 0, twoRules(everything, items)},
	{"two-swapped", twoTitle(items, everything), 0, 0, twoRules(items, everything)},
	{"denied", "Middleware, denied", 0.5, 10, denied},
}

// The names of two rules. The library knows the limits of a rule by a hash of its name. The rows in
// both orders show that the order of the hashes does not matter.
const everything, items = "everything", "items"

func twoTitle(first, second string) string {
	return fmt.Sprintf("Middleware, allowed, two rules on one key (%s, %s)", first, second)
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
	h := wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	}))
	w, r := newWriter(), newRequest()
	return func(n int) {
		for range n {
			clear(w.header)
			h.ServeHTTP(w, r)
		}
	}
}

func allowed(lib *library) func(int) { return wrapped(lib.middleware(endless)) }

func denied(lib *library) func(int) { return wrapped(lib.middleware(1)) }

// twoRules is one limiter with two rules. A peer has no such thing, so it is two middlewares.
func twoRules(first, second string) func(*library) func(int) {
	return func(lib *library) func(int) {
		if lib.ours {
			return wrapped(ourLimiter(endless, 0, first, second).Handler)
		}
		outer, inner := lib.middleware(endless), lib.middleware(endless)
		return wrapped(func(next http.Handler) http.Handler { return outer(inner(next)) })
	}
}

// limits returns a function that decides on one key under the first n of three limits.
func limits(n int) func(int) {
	three := ratelimit.Limits{
		ratelimit.Per(endless, time.Hour),
		ratelimit.Per(endless, time.Minute),
		ratelimit.Per(endless, 24*time.Hour),
	}
	l := must(ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{{Name: "r", Limits: three[:n]}}}))
	key, ctx := ratelimit.UserKey(hot), context.Background()
	return func(n int) {
		for range n {
			_, _ = l.Take(ctx, "r", key, 1)
		}
	}
}
