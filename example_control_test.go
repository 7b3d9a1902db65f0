package ratelimit_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/ratelimit-go/ratelimit"
)

// post sends a form to h and prints the status.
func post(h http.Handler, form, remote string) {
	r := httptest.NewRequest("POST", "/", strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.RemoteAddr = remote
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(w.Code)
}

// All that a login route needs: failures are limited for each account, for each address, for
// both together, and in total.
func ExampleLimiter_Login() {
	limiter, err := ratelimit.New(ratelimit.Config{})
	if err != nil {
		panic(err)
	}
	login := limiter.Login(ratelimit.Login{
		Account: ratelimit.FormField("user"),
		PerPair: ratelimit.MustParse("2 per 15 minutes"),
	})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.PostFormValue("password") != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))

	post(login, "user=alice&password=123456", "192.0.2.1:1234")
	post(login, "user=alice&password=qwerty", "192.0.2.1:1234")
	post(login, "user=alice&password=letmein", "192.0.2.1:1234")
	post(login, "user=alice&password=secret", "192.0.2.2:1234")
	// Output:
	// 401
	// 401
	// 429
	// 200
}

// Only failed attempts count.
func ExampleChargeStatus() {
	limiter, err := ratelimit.New(ratelimit.Config{})
	if err != nil {
		panic(err)
	}
	redeem := limiter.With(ratelimit.Rule{
		Name:   "wrong-codes",
		Limits: ratelimit.MustParse("1 per minute"),
		Key:    ratelimit.ByRemoteIP(),
		Charge: ratelimit.ChargeStatus(http.StatusNotFound),
	})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/code/4711" {
			w.WriteHeader(http.StatusNotFound)
		}
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

// The handler knows what a request has cost: a token for each row.
func ExampleSetCost() {
	limiter, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{{
		Name: "rows", Limits: ratelimit.MustParse("1000 per minute"), Key: ratelimit.ByRemoteIP(),
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

// A burst is held, each request until its turn, in the place of being refused.
func ExampleRule_maxWait() {
	limiter, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{{
		Name: "smooth", Limits: ratelimit.MustParse("10 per second burst 1"), Key: ratelimit.ByRemoteIP(),
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

// A new limit is watched before it is enforced, for some clients and then for all.
func ExampleLimiter_SetMode() {
	limiter, err := ratelimit.New(ratelimit.Config{
		Rules: []ratelimit.Rule{{
			Name: "new", Limits: ratelimit.MustParse("1 per minute"), Key: ratelimit.ByRemoteIP(),
			Mode: ratelimit.Observe,
		}},
		OnObserved: func(_ *http.Request, d ratelimit.Decision) { fmt.Println("would refuse", d.Key) },
	})
	if err != nil {
		panic(err)
	}
	handler := limiter.Handler(http.HandlerFunc(hello))

	get(handler, "/", "192.0.2.1:1234")
	get(handler, "/", "192.0.2.1:1234")
	_ = limiter.SetMode("new", ratelimit.EnforcePercent(10)) // some, always the same ones
	_ = limiter.SetMode("new", ratelimit.Enforce)
	get(handler, "/", "192.0.2.1:1234")
	// Output:
	// 200
	// would refuse addr:192.0.2.1
	// 200
	// 429
}

// A policy is replaced while it is in use. What was spent stays spent.
func ExampleLimiter_Replace() {
	policy := func(limits string) ratelimit.Config {
		return ratelimit.Config{Rules: []ratelimit.Rule{{
			Name: "per-client", Limits: ratelimit.MustParse(limits), Key: ratelimit.ByRemoteIP(),
		}}}
	}
	limiter, err := ratelimit.New(policy("1 per minute"))
	if err != nil {
		panic(err)
	}
	handler := limiter.Handler(http.HandlerFunc(hello))

	get(handler, "/", "192.0.2.1:1234")
	get(handler, "/", "192.0.2.1:1234")
	if err := limiter.Replace(policy("2 per minute")); err != nil {
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

// One export at a time for each client, and no more than ten in all.
func ExampleRule_inFlight() {
	limiter, err := ratelimit.New(ratelimit.Config{})
	if err != nil {
		panic(err)
	}
	var export http.Handler
	export = limiter.With(
		ratelimit.Rule{Name: "exports-client", InFlight: 1, Key: ratelimit.ByRemoteIP()},
		ratelimit.Rule{Name: "exports-total", InFlight: 10, Key: ratelimit.Constant("exports")},
	)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/outer" { // while this one is in flight, others come
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
