package ratelimit_test

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/ratelimit-go/ratelimit"
)

// Only failed attempts count.
func ExampleStatusIn() {
	limiter, err := ratelimit.New(ratelimit.Config{})
	if err != nil {
		panic(err)
	}
	redeem := limiter.With(ratelimit.Rule{
		Name:      "wrong-codes",
		Limits:    ratelimit.MustParse("1 per minute"),
		CountOnly: ratelimit.StatusIn(http.StatusNotFound),
	})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/code/4711" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprintln(w, "welcome") // a response without a status would count as a failure
	}))

	get(redeem, "/code/4711", "192.0.2.1:1234")
	get(redeem, "/code/4711", "192.0.2.1:1234")
	get(redeem, "/code/1", "192.0.2.1:1234")
	get(redeem, "/code/2", "192.0.2.1:1234")
	// Output:
	// 200
	// 200
	// 404
	// 429
}

// The handler tells what a request has cost: a token for each row.
func ExampleSetCost() {
	limiter, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{{
		Name: "rows", Limits: ratelimit.MustParse("1000 per minute"),
	}}})
	if err != nil {
		panic(err)
	}
	handler := limiter.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rows := 999
		if err := ratelimit.SetCost(r.Context(), "rows", int64(rows)); err != nil {
			http.Error(w, "", http.StatusInternalServerError)
		}
	}))

	get(handler, "/", "192.0.2.1:1234")
	get(handler, "/", "192.0.2.1:1234")
	get(handler, "/", "192.0.2.1:1234")
	// Output:
	// 200
	// 200
	// 429
}

// A burst is held, each request until its turn, instead of being denied.
func ExampleRule_maxWait() {
	limiter, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{{
		Name: "smooth", Limits: ratelimit.MustParse("10 per second burst 1"),
		MaxWait: 200 * time.Millisecond,
	}}})
	if err != nil {
		panic(err)
	}
	handler := limiter.Handler(http.HandlerFunc(hello))

	begin := time.Now()
	get(handler, "/", "192.0.2.1:1234")
	get(handler, "/", "192.0.2.1:1234")
	fmt.Println(time.Since(begin) >= 100*time.Millisecond)
	// Output:
	// 200
	// 200
	// true
}

// A new limit is watched before it is enforced, for some keys and then for all.
func ExampleLimiter_SetMode() {
	limiter, err := ratelimit.New(ratelimit.Config{
		Rules: []ratelimit.Rule{{
			Name: "new", Limits: ratelimit.MustParse("1 per minute"),
			Mode: ratelimit.DryRun,
		}},
		Hooks: ratelimit.Hooks{DryRun: func(_ *http.Request, d ratelimit.Decision) { fmt.Println("would deny", d.Key) }},
	})
	if err != nil {
		panic(err)
	}
	handler := limiter.Handler(http.HandlerFunc(hello))

	get(handler, "/", "192.0.2.1:1234")
	get(handler, "/", "192.0.2.1:1234")
	_ = limiter.SetMode("new", ratelimit.EnforcePercent(10)) // some keys, always the same
	_ = limiter.SetMode("new", ratelimit.Enforce)
	get(handler, "/", "192.0.2.1:1234")
	// Output:
	// 200
	// would deny addr:192.0.2.1
	// 200
	// 429
}

// A policy is replaced while it is in use. What was spent stays spent.
func ExampleLimiter_SetPolicy() {
	rules := func(limits string) []ratelimit.Rule {
		return []ratelimit.Rule{{Name: "per-client", Limits: ratelimit.MustParse(limits)}}
	}
	limiter, err := ratelimit.New(ratelimit.Config{Rules: rules("1 per minute")})
	if err != nil {
		panic(err)
	}
	handler := limiter.Handler(http.HandlerFunc(hello))

	get(handler, "/", "192.0.2.1:1234")
	get(handler, "/", "192.0.2.1:1234")
	if err := limiter.SetPolicy(ratelimit.Policy{Rules: rules("2 per minute")}); err != nil {
		panic(err)
	}
	get(handler, "/", "192.0.2.1:1234")
	get(handler, "/", "192.0.2.1:1234")
	// Output:
	// 200
	// 429
	// 200
	// 429
}

// The rule of a decorator is replaced by its name.
func ExampleLimiter_SetRules() {
	limiter, err := ratelimit.New(ratelimit.Config{})
	if err != nil {
		panic(err)
	}
	search := limiter.With(
		ratelimit.Rule{Name: "search", Limits: ratelimit.MustParse("1 per minute")},
	)(http.HandlerFunc(hello))

	get(search, "/", "192.0.2.1:1234")
	get(search, "/", "192.0.2.1:1234")
	err = limiter.SetRules(ratelimit.Rule{Name: "search", Limits: ratelimit.MustParse("10 per minute")})
	fmt.Println(err)
	get(search, "/", "192.0.2.1:1234")
	// Output:
	// 200
	// 429
	// <nil>
	// 200
}

// One call switches the whole limiter off.
func ExampleLimiter_SetEnabled() {
	limiter, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{
		{Name: "per-client", Limits: ratelimit.MustParse("1 per minute")},
	}})
	if err != nil {
		panic(err)
	}
	handler := limiter.Handler(http.HandlerFunc(hello))

	get(handler, "/", "192.0.2.1:1234")
	get(handler, "/", "192.0.2.1:1234")
	limiter.SetEnabled(false)
	get(handler, "/", "192.0.2.1:1234")
	// Output:
	// 200
	// 429
	// 200
}

// Limits depend on the plan of a user.
func ExampleRule_limitsFor() {
	plans := map[ratelimit.Key]ratelimit.Limits{
		ratelimit.UserKey("alice"): ratelimit.MustParse("600 per minute"),
	}
	limiter, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{{
		Name:      "plan",
		Limits:    ratelimit.MustParse("60 per minute"),
		LimitsFor: func(_ context.Context, key ratelimit.Key) ratelimit.Limits { return plans[key] },
	}}})
	if err != nil {
		panic(err)
	}
	for _, user := range []string{"alice", "bob"} {
		d, err := limiter.Peek(context.Background(), "plan", ratelimit.UserKey(user))
		fmt.Println(user, d.Limit, err)
	}
	// Output:
	// alice 600 per minute <nil>
	// bob 60 per minute <nil>
}

// One export at a time per client, and at most ten in all.
func ExampleRule_inFlight() {
	limiter, err := ratelimit.New(ratelimit.Config{})
	if err != nil {
		panic(err)
	}
	var export http.Handler
	export = limiter.With(
		ratelimit.Rule{Name: "exports-client", InFlight: 1},
		ratelimit.Rule{Name: "exports-total", InFlight: 10, Key: ratelimit.Global("exports")},
	)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/outer" { // while this request is in flight, others come
			get(export, "/inner", "192.0.2.1:1234")
			get(export, "/inner", "192.0.2.2:1234")
		}
	}))

	get(export, "/outer", "192.0.2.1:1234")
	get(export, "/inner", "192.0.2.1:1234")
	// Output:
	// 429
	// 200
	// 200
	// 200
}

// A client that probes for files is blocked: for a minute after 3 misses, then for two minutes, and
// for a day at most.
func ExampleBlock() {
	limiter, err := ratelimit.New(ratelimit.Config{
		Rules: []ratelimit.Rule{{
			Name: "probing", Limits: ratelimit.MustParse("100 per minute"),
			Block: &ratelimit.Block{
				After: ratelimit.MustParse("3 per 10 minutes")[0], For: time.Minute, Max: 24 * time.Hour,
				When: ratelimit.StatusIn(http.StatusNotFound),
			},
		}},
		Hooks: ratelimit.Hooks{Blocked: func(_ context.Context, b ratelimit.Blocked) { fmt.Println("blocked:", b.Rule, b.Key, b.Times) }},
	})
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", hello)
	handler := limiter.Handler(mux)

	for _, path := range []string{"/", "/.env", "/wp-login.php", "/.git/config", "/"} {
		get(handler, path, "192.0.2.1:1234")
	}
	// Output:
	// 200
	// 404
	// 404
	// blocked: probing addr:192.0.2.1 1
	// 404
	// 429
}

// An operator blocks a client for an hour, and unblocks it.
func ExampleLimiter_Block() {
	limiter, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{{
		Name: "api", Limits: ratelimit.MustParse("100 per minute"),
		Block: new(ratelimit.Block), // it blocks only by hand
	}}})
	if err != nil {
		panic(err)
	}
	ctx, who := context.Background(), ratelimit.AddrKey(netip.MustParseAddr("192.0.2.1"))
	handler := limiter.Handler(http.HandlerFunc(hello))

	if err := limiter.Block(ctx, "api", who, time.Hour); err != nil {
		panic(err)
	}
	for _, b := range limiter.Blocked() {
		fmt.Println(b.Rule, b.Key, time.Until(b.Until).Round(time.Minute))
	}
	get(handler, "/", "192.0.2.1:1234")
	if err := limiter.Unblock(ctx, "api", who); err != nil {
		panic(err)
	}
	get(handler, "/", "192.0.2.1:1234")
	// Output:
	// api addr:192.0.2.1 1h0m0s
	// 429
	// 200
}

// A network that attacks is denied while the service runs. A partner within it is allowed.
func ExampleList() {
	allow, deny := new(ratelimit.List), new(ratelimit.List)
	limiter, err := ratelimit.New(ratelimit.Config{
		Rules: []ratelimit.Rule{{Name: "per-client", Limits: ratelimit.MustParse("1 per hour")}},
		Allow: allow,
		Deny:  deny,
	})
	if err != nil {
		panic(err)
	}
	handler := limiter.Handler(http.HandlerFunc(hello))

	get(handler, "/", "198.51.100.9:1234")
	if err := deny.Replace([]string{"198.51.100.0/24", "2001:db8::/32"}); err != nil {
		panic(err)
	}
	if err := allow.Replace([]string{"198.51.100.7"}); err != nil {
		panic(err)
	}
	get(handler, "/", "198.51.100.9:1234")
	get(handler, "/", "198.51.100.7:1234")
	get(handler, "/", "198.51.100.7:1234")
	// Output:
	// 200
	// 403
	// 200
	// 200
}
