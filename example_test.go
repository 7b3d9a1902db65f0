package ratelimit_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"golang.org/x/time/rate"

	"github.com/ratelimit-go/ratelimit"
)

// get asks h for a path, from an address, and prints the status.
func get(h http.Handler, path, remote string, header ...string) {
	r := httptest.NewRequest("GET", path, nil)
	r.RemoteAddr = remote
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(w.Code)
}

func hello(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") }

// Every request to a service, limited for each client address.
func ExampleLimiter_Handler() {
	limiter, err := ratelimit.New(ratelimit.Config{
		Rules: []ratelimit.Rule{{
			Name:   "per-client",
			Limits: ratelimit.MustParse("2 per minute"),
			Key:    ratelimit.ByRemoteIP(),
		}},
	})
	if err != nil {
		panic(err)
	}
	handler := limiter.Handler(http.HandlerFunc(hello)) // for http.ListenAndServe

	get(handler, "/", "192.0.2.1:1234")
	get(handler, "/", "192.0.2.1:1234")
	get(handler, "/", "192.0.2.1:1234")
	get(handler, "/", "192.0.2.2:1234")
	// Output:
	// 200
	// 200
	// 429
	// 200
}

// New reports all mistakes at once.
func ExampleNew() {
	_, err := ratelimit.New(ratelimit.Config{
		Rules: []ratelimit.Rule{
			{Name: "per-client", Limits: ratelimit.MustParse("100 per minute")},
			{Name: "per-client", Limits: ratelimit.MustParse("10 per second"), Key: ratelimit.ByHeader("API Key")},
		},
	})
	fmt.Println(err)
	// Output:
	// ratelimit: Rules[0].Key: no Key: want for example ByRemoteIP()
	// ratelimit: Rules[1].Key: ByHeader("API Key"): want a name of letters, digits and hyphens
	// ratelimit: Rules[1].Name: "per-client" is the name of another rule: want another one (a decorator can wrap several handlers)
}

// One handler of many, limited by a decorator.
func ExampleLimiter_Limit() {
	limiter, err := ratelimit.New(ratelimit.Config{})
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /search", limiter.Limit("1 per second", ratelimit.ByRemoteIP())(http.HandlerFunc(hello)))
	mux.HandleFunc("GET /", hello)

	get(mux, "/search", "192.0.2.1:1234")
	get(mux, "/search", "192.0.2.1:1234")
	get(mux, "/", "192.0.2.1:1234")
	// Output:
	// 200
	// 429
	// 200
}

// A login form is limited by account and by address, decided in one step.
func ExampleLimiter_With() {
	limiter, err := ratelimit.New(ratelimit.Config{})
	if err != nil {
		panic(err)
	}
	account := func(r *http.Request) string { return r.URL.Query().Get("account") }
	login := limiter.With(
		ratelimit.Rule{Name: "login-account", Limits: ratelimit.MustParse("1 per minute"), Key: ratelimit.ByUser(account)},
		ratelimit.Rule{Name: "login-address", Limits: ratelimit.MustParse("20 per minute"), Key: ratelimit.ByRemoteIP()},
	)(http.HandlerFunc(hello))

	get(login, "/?account=alice", "192.0.2.1:1234")
	get(login, "/?account=alice", "192.0.2.2:1234")
	get(login, "/?account=bob", "192.0.2.2:1234")
	// Output:
	// 200
	// 429
	// 200
}

// Rules for routes, in one table, beside those for every request.
func ExampleConfig_routes() {
	limiter, err := ratelimit.New(ratelimit.Config{
		Rules: []ratelimit.Rule{
			{Name: "all", Limits: ratelimit.MustParse("100 per minute"), Key: ratelimit.ByRemoteIP()},
		},
		Routes: map[string][]ratelimit.Rule{
			"GET /orders/{id}": {{Name: "orders", Limits: ratelimit.MustParse("1 per minute"), Key: ratelimit.ByRemoteIP()}},
		},
		ExemptRoutes: []string{"GET /healthz"},
	})
	if err != nil {
		panic(err)
	}
	handler := limiter.Handler(http.HandlerFunc(hello))

	get(handler, "/orders/1", "192.0.2.1:1234")
	get(handler, "/orders/2", "192.0.2.1:1234")
	get(handler, "/healthz", "192.0.2.1:1234")
	// Output:
	// 200
	// 429
	// 200
}

// Behind a proxy, the client is the address that the proxy reports.
func ExampleByForwardedFor() {
	by := ratelimit.ByForwardedFor(ratelimit.TrustedProxies("10.0.0.0/8"))
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "10.0.0.1:1234"
	r.Header.Set("X-Forwarded-For", "6.6.6.6, 203.0.113.7") // the client wrote the first, the proxy the second

	key, err := by.Key(r)
	fmt.Println(key, err)
	// Output: addr:203.0.113.7 <nil>
}

// Signed-in users count by name, and everybody else by address.
func ExampleFirstOf() {
	user := func(r *http.Request) string {
		name, _, _ := r.BasicAuth() // checked by a handler further out
		return name
	}
	by := ratelimit.FirstOf(ratelimit.ByUser(user), ratelimit.ByRemoteIP())

	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "192.0.2.1:1234"
	key, _ := by.Key(r)
	fmt.Println(key)
	r.SetBasicAuth("alice", "secret")
	key, _ = by.Key(r)
	fmt.Println(key)
	// Output:
	// addr:192.0.2.1
	// user:alice
}

func ExampleParse() {
	limits, err := ratelimit.Parse("10/second; 100/min; 1_000 per 2 hours burst 50")
	fmt.Println(limits, err)
	_, err = ratelimit.Parse("100 per minuts")
	fmt.Println(err)
	// Output:
	// 10 per second; 100 per minute; 1000 per 2 hours burst 50 <nil>
	// ratelimit: limit "100 per minuts", offset 8: unknown unit "minuts"; use minute
}

// The same rate with a smaller bucket: 100 per minute, but no more than 10 at once.
func ExampleLimit_WithBurst() {
	limit := ratelimit.PerMinute(100).WithBurst(10)
	fmt.Println(limit)
	// Output: 100 per minute burst 10
}

// A rate.Limiter's numbers become a Limit.
func ExampleFromRate() {
	limit, err := ratelimit.FromRate(rate.Every(600*time.Millisecond), 20)
	fmt.Println(limit, err)
	// Output: 100 per minute burst 20 <nil>
}

// No HTTP: e-mails sent for a user.
func ExampleLimiter_Take() {
	limiter, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{
		{Name: "emails", Limits: ratelimit.MustParse("2 per hour"), Key: ratelimit.Constant("unused without HTTP")},
	}})
	if err != nil {
		panic(err)
	}
	for range 3 {
		d, err := limiter.Take(context.Background(), "emails", ratelimit.UserKey("alice"), 1)
		fmt.Println(d.Allowed, d.Remaining, d.RetryAfter.Round(time.Minute), err)
	}
	// Output:
	// true 1 0s <nil>
	// true 0 0s <nil>
	// false 0 30m0s <nil>
}

// The handler knows where its client stands.
func ExampleDecisionFrom() {
	limiter, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{
		{Name: "per-client", Limits: ratelimit.MustParse("10 per minute"), Key: ratelimit.ByRemoteIP()},
	}})
	if err != nil {
		panic(err)
	}
	handler := limiter.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if d, ok := ratelimit.DecisionFrom(r.Context()); ok {
			fmt.Println(d.Key, "has", d.Remaining, "left of", d.Limit)
		}
	}))

	get(handler, "/", "192.0.2.1:1234")
	// Output:
	// addr:192.0.2.1 has 9 left of 10 per minute
	// 200
}

// A refusal in one's own words. Retry-After is set before.
func ExampleConfig_denied() {
	limiter, err := ratelimit.New(ratelimit.Config{
		Rules: []ratelimit.Rule{{Name: "per-client", Limits: ratelimit.MustParse("1 per minute"), Key: ratelimit.ByRemoteIP()}},
		Denied: func(w http.ResponseWriter, _ *http.Request, d ratelimit.Decision) {
			fmt.Println("refused by", d.Rule, "with Retry-After:", w.Header().Get("Retry-After"))
			http.Error(w, "slow down, please", d.Status())
		},
	})
	if err != nil {
		panic(err)
	}
	handler := limiter.Handler(http.HandlerFunc(hello))

	get(handler, "/", "192.0.2.1:1234")
	get(handler, "/", "192.0.2.1:1234")
	// Output:
	// 200
	// refused by per-client with Retry-After: 60
	// 429
}

// Which limits apply to a request, and what is left of each.
func ExampleLimiter_Explain() {
	limiter, err := ratelimit.New(ratelimit.Config{
		Rules:  []ratelimit.Rule{{Name: "all", Limits: ratelimit.MustParse("10 per second; 100 per minute"), Key: ratelimit.ByRemoteIP()}},
		Routes: map[string][]ratelimit.Rule{"GET /search": {{Name: "search", Limits: ratelimit.MustParse("5 per minute"), Key: ratelimit.ByRemoteIP()}}},
	})
	if err != nil {
		panic(err)
	}
	r := httptest.NewRequest("GET", "/search", nil)
	r.RemoteAddr = "192.0.2.1:1234"
	all, err := limiter.Explain(r)
	for _, e := range all {
		fmt.Printf("%s: %v, %d left for %v\n", e.Rule, e.Limit, e.Result.Remaining, e.Key)
	}
	fmt.Println(err)
	// Output:
	// all: 10 per second, 10 left for addr:192.0.2.1
	// all: 100 per minute, 100 left for addr:192.0.2.1
	// search: 5 per minute, 5 left for addr:192.0.2.1
	// <nil>
}

// A user who is blocked writes to support.
func ExampleLimiter_Reset() {
	limiter, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{
		{Name: "login", Limits: ratelimit.MustParse("1 per day"), Key: ratelimit.ByHeader("Account")},
	}})
	if err != nil {
		panic(err)
	}
	ctx, alice := context.Background(), ratelimit.UserKey("alice")
	_, _ = limiter.Take(ctx, "login", alice, 1)
	blocked, _ := limiter.Peek(ctx, "login", alice)
	_ = limiter.Reset(ctx, "login", alice)
	unblocked, _ := limiter.Peek(ctx, "login", alice)
	fmt.Println(blocked.Allowed, unblocked.Allowed)
	// Output: false true
}

// countingStore is a Store that counts the decisions of another.
type countingStore struct {
	ratelimit.Store
	decisions, refused int
}

func (s *countingStore) Apply(ctx context.Context, ops []ratelimit.Op) error {
	err := s.Store.Apply(ctx, ops)
	s.decisions++
	for i := range ops {
		if err == nil && !ops[i].Result.Allowed {
			s.refused++
			break
		}
	}
	return err
}

// A Store of one's own may wrap another, to count for example.
func ExampleStore() {
	store := &countingStore{Store: ratelimit.NewMemoryStore(ratelimit.MemoryConfig{})} // in earnest, with atomic counters
	limiter, err := ratelimit.New(ratelimit.Config{
		Rules:          []ratelimit.Rule{{Name: "per-client", Limits: ratelimit.MustParse("1 per minute"), Key: ratelimit.ByRemoteIP()}},
		Store:          store,
		OnStoreFailure: ratelimit.FailOpen,
	})
	if err != nil {
		panic(err)
	}
	handler := limiter.Handler(http.HandlerFunc(hello))

	get(handler, "/", "192.0.2.1:1234")
	get(handler, "/", "192.0.2.1:1234")
	fmt.Println(store.decisions, "decisions,", store.refused, "refused")
	// Output:
	// 200
	// 429
	// 2 decisions, 1 refused
}
