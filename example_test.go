package ratelimit_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/clientip"
	"github.com/ratelimit-go/ratelimit/store"
)

// get sends a request to h from an address, and prints the status.
func get(h http.Handler, path, remote string, header ...string) {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.RemoteAddr = remote
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(w.Code)
}

func hello(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") }

// Every client may send two requests per minute.
func ExampleLimiter_Handler() {
	limiter, err := ratelimit.New(ratelimit.Config{
		Rules: []ratelimit.Rule{{
			Name:   "per-client",
			Limits: ratelimit.MustParse("2 per minute"),
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
			{Name: "per-client", Limits: ratelimit.MustParse("100 per minute"), Mode: "on"},
			{Name: "per-client", Limits: ratelimit.MustParse("10 per second"), Key: ratelimit.ByHeader("API Key")},
		},
	})
	fmt.Println(err)
	// Output:
	// ratelimit: Rules[0].Mode: unknown mode "on": want Enforce, DryRun, Off or EnforcePercent
	// ratelimit: Rules[1].Key: ByHeader("API Key"): want a name of letters, digits and hyphens
	// ratelimit: Rules[1].Name: "per-client" is the name of another rule: want another one (a decorator can wrap several handlers)
}

// A decorator limits one handler.
func ExampleLimiter_Limit() {
	limiter, err := ratelimit.New(ratelimit.Config{})
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /search", limiter.Limit("1 per second")(http.HandlerFunc(hello)))
	mux.HandleFunc("GET /", hello)

	get(mux, "/search", "192.0.2.1:1234")
	get(mux, "/search", "192.0.2.1:1234")
	get(mux, "/", "192.0.2.1:1234")
	// Output:
	// 200
	// 429
	// 200
}

// A route with two rules, decided in one step: by account and by address. See package login for a
// login route.
func ExampleLimiter_With() {
	limiter, err := ratelimit.New(ratelimit.Config{})
	if err != nil {
		panic(err)
	}
	account := func(r *http.Request) string { return r.URL.Query().Get("account") }
	redeem := limiter.With(
		ratelimit.Rule{Name: "codes-account", Limits: ratelimit.MustParse("1 per minute"), Key: ratelimit.ByUser(account)},
		ratelimit.Rule{Name: "codes-address", Limits: ratelimit.MustParse("20 per minute")},
	)(http.HandlerFunc(hello))

	get(redeem, "/?account=alice", "192.0.2.1:1234")
	get(redeem, "/?account=alice", "192.0.2.2:1234")
	get(redeem, "/?account=bob", "192.0.2.2:1234")
	// Output:
	// 200
	// 429
	// 200
}

// Rules for routes, in one table, together with rules for every request.
func ExampleConfig_routes() {
	limiter, err := ratelimit.New(ratelimit.Config{
		Rules: []ratelimit.Rule{
			{Name: "all", Limits: ratelimit.MustParse("100 per minute")},
		},
		Routes: map[string][]ratelimit.Rule{
			"GET /orders/{id}": {{Name: "orders", Limits: ratelimit.MustParse("1 per minute")}},
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

// A service behind a proxy says once where the address of a client comes from.
func ExampleConfig_clientIP() {
	limiter, err := ratelimit.New(ratelimit.Config{
		ClientIP: clientip.ForwardedFor(clientip.TrustedProxies("10.0.0.0/8")),
		Rules:    []ratelimit.Rule{{Name: "per-client", Limits: ratelimit.MustParse("1 per minute")}},
	})
	if err != nil {
		panic(err)
	}
	handler := limiter.Handler(http.HandlerFunc(hello))

	get(handler, "/", "10.0.0.1:1234", "X-Forwarded-For", "203.0.113.7")
	get(handler, "/", "10.0.0.1:1234", "X-Forwarded-For", "203.0.113.8")
	get(handler, "/", "10.0.0.1:1234", "X-Forwarded-For", "6.6.6.6, 203.0.113.7") // the client wrote the first
	// Output:
	// 200
	// 200
	// 429
}

// Signed-in users count by name, and other clients by address.
func ExampleFirstOf() {
	user := func(r *http.Request) string {
		name, _, _ := r.BasicAuth() // an outer handler has checked it
		return name
	}
	by := ratelimit.FirstOf(ratelimit.ByUser(user), ratelimit.ByIP(clientip.Remote()))

	r := httptest.NewRequest(http.MethodGet, "/", nil)
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

// The numbers of a rate.Limiter become a Limit.
func ExampleFromRate() {
	limit, err := ratelimit.FromRate(rate.Every(600*time.Millisecond), 20)
	fmt.Println(limit, err)
	// Output: 100 per minute burst 20 <nil>
}

// Without HTTP: e-mails sent for a user.
func ExampleLimiter_Take() {
	limiter, err := ratelimit.New(ratelimit.Config{Budgets: []ratelimit.Budget{
		{Name: "emails", Limits: ratelimit.MustParse("2 per hour")},
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

// A handler sees the decision of the limiter.
func ExampleDecisionFrom() {
	limiter, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{
		{Name: "per-client", Limits: ratelimit.MustParse("10 per minute")},
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

// A program writes its own denials. The limiter has set Retry-After before.
func ExampleConfig_denyHandler() {
	limiter, err := ratelimit.New(ratelimit.Config{
		Rules: []ratelimit.Rule{{Name: "per-client", Limits: ratelimit.MustParse("1 per minute")}},
		DenyHandler: func(w http.ResponseWriter, _ *http.Request, d ratelimit.Decision) {
			fmt.Println("denied by", d.Rule, "with Retry-After:", w.Header().Get("Retry-After"))
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
	// denied by per-client with Retry-After: 60
	// 429
}

// Explain tells which limits apply to a request, and what is left of each.
func ExampleLimiter_Explain() {
	limiter, err := ratelimit.New(ratelimit.Config{
		Rules:  []ratelimit.Rule{{Name: "all", Limits: ratelimit.MustParse("10 per second; 100 per minute")}},
		Routes: map[string][]ratelimit.Rule{"GET /search": {{Name: "search", Limits: ratelimit.MustParse("5 per minute")}}},
	})
	if err != nil {
		panic(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/search", nil)
	r.RemoteAddr = "192.0.2.1:1234"
	for _, d := range limiter.Explain(r) {
		fmt.Printf("%s: %v, %d left for %v\n", d.Rule, d.Limit, d.Remaining, d.Key)
	}
	// Output:
	// all: 10 per second, 10 left for addr:192.0.2.1
	// all: 100 per minute, 100 left for addr:192.0.2.1
	// search: 5 per minute, 5 left for addr:192.0.2.1
}

// The support desk lets a user in again.
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
	decisions, denied int
}

func (s *countingStore) Apply(ctx context.Context, ops []store.Op) error {
	err := s.Store.Apply(ctx, ops)
	s.decisions++
	for i := range ops {
		if err == nil && !ops[i].Result.Allowed {
			s.denied++
			break
		}
	}
	return err
}

// A Store can wrap another, such as to count.
func ExampleStore() {
	counts := &countingStore{Store: ratelimit.NewMemoryStore(ratelimit.MemoryConfig{})} // use atomic counters
	limiter, err := ratelimit.New(ratelimit.Config{
		Rules:          []ratelimit.Rule{{Name: "per-client", Limits: ratelimit.MustParse("1 per minute")}},
		Store:          counts,
		OnStoreFailure: ratelimit.FailOpen,
	})
	if err != nil {
		panic(err)
	}
	handler := limiter.Handler(http.HandlerFunc(hello))

	get(handler, "/", "192.0.2.1:1234")
	get(handler, "/", "192.0.2.1:1234")
	fmt.Println(counts.decisions, "decisions,", counts.denied, "denied")
	// Output:
	// 200
	// 429
	// 2 decisions, 1 denied
}

// Two budgets are charged in one step: both, or none.
func ExampleLimiter_Apply() {
	limiter, err := ratelimit.New(ratelimit.Config{Budgets: []ratelimit.Budget{
		{Name: "user", Limits: ratelimit.MustParse("5 per hour")},
		{Name: "company", Limits: ratelimit.MustParse("6 per hour")},
	}})
	if err != nil {
		panic(err)
	}
	for _, user := range []string{"alice", "bob"} {
		ds, err := limiter.Apply(context.Background(),
			ratelimit.Change{Kind: store.Take, Rule: "user", Key: ratelimit.UserKey(user), Cost: 4},
			ratelimit.Change{Kind: store.Take, Rule: "company", Key: ratelimit.ValueKey("company", "acme"), Cost: 4})
		if err != nil {
			panic(err)
		}
		fmt.Println(user, ds[0].Allowed, ds[0].Remaining, ds[1].Allowed, ds[1].Remaining)
	}
	// Output:
	// alice true 1 true 2
	// bob true 5 false 2
}

// A worker waits until it may go on.
func ExampleLimiter_Wait() {
	limiter, err := ratelimit.New(ratelimit.Config{Budgets: []ratelimit.Budget{
		{Name: "api-calls", Limits: ratelimit.MustParse("100 per second burst 1"), MaxWait: time.Second},
	}})
	if err != nil {
		panic(err)
	}
	begin := time.Now()
	for range 3 {
		if err := limiter.Wait(context.Background(), "api-calls", ratelimit.ValueKey("peer", "example.com"), 1); err != nil {
			panic(err)
		}
	}
	fmt.Println(time.Since(begin) >= 20*time.Millisecond)
	// Output: true
}

// A handler denies a request itself, in the form of the limiter.
func ExampleLimiter_Deny() {
	limiter, err := ratelimit.New(ratelimit.Config{Budgets: []ratelimit.Budget{
		{Name: "exports", Limits: ratelimit.MustParse("1 per day")},
	}})
	if err != nil {
		panic(err)
	}
	export := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d, err := limiter.Take(r.Context(), "exports", ratelimit.UserKey("alice"), 1)
		if err != nil {
			panic(err)
		}
		if !d.Allowed {
			limiter.Deny(w, r, d)
		}
	})

	get(export, "/", "192.0.2.1:1234")
	get(export, "/", "192.0.2.1:1234")
	// Output:
	// 200
	// 429
}

// A handler sees the decision of each rule.
func ExampleDecisions() {
	limiter, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{
		{Name: "seconds", Limits: ratelimit.MustParse("10 per second")},
		{Name: "hours", Limits: ratelimit.MustParse("1000 per hour")},
	}})
	if err != nil {
		panic(err)
	}
	handler := limiter.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		for d := range ratelimit.Decisions(r.Context()) {
			fmt.Println(d.Rule, d.Remaining)
		}
	}))

	get(handler, "/", "192.0.2.1:1234")
	// Output:
	// seconds 9
	// hours 999
	// 200
}

// A key is read from its text, as logs print it.
func ExampleParseKey() {
	for _, text := range []string{"user:alice", "addr:192.0.2.1", "tenant:acme+user:bob", "alice"} {
		key, err := ratelimit.ParseKey(text)
		fmt.Println(key, err)
	}
	// Output:
	// user:alice <nil>
	// addr:192.0.2.1 <nil>
	// tenant:acme+user:bob <nil>
	// none ratelimit: key "alice": want a kind and text, such as user:alice, addr:192.0.2.1 or tenant:acme
}

// A function finds the key of a request.
func ExampleKeyFunc() {
	byTenant := ratelimit.KeyFunc(func(r *http.Request) (ratelimit.Key, error) {
		tenant, _, found := strings.Cut(r.Host, ".")
		if !found {
			return ratelimit.Key{}, ratelimit.ErrNoKey
		}
		return ratelimit.ValueKey("tenant", tenant), nil
	})
	key, err := byTenant.Key(httptest.NewRequest(http.MethodGet, "http://acme.example.com/", nil))
	fmt.Println(key, err)
	// Output: tenant:acme <nil>
}
