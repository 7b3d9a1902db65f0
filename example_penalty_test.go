package ratelimit_test

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/ratelimit-go/ratelimit"
)

// Who looks for what is not there is blocked: for a minute after 3 misses, then for two, up to a day.
func ExamplePenalty() {
	limiter, err := ratelimit.New(ratelimit.Config{
		Rules: []ratelimit.Rule{{
			Name: "probing", Limits: ratelimit.MustParse("100 per minute"), Key: ratelimit.ByRemoteIP(),
			Penalty: &ratelimit.Penalty{
				After: ratelimit.MustParse("3 per 10 minutes")[0], For: time.Minute, Max: 24 * time.Hour,
				Offence: func(res ratelimit.Response) bool { return res.Status == http.StatusNotFound },
			},
		}},
		OnBlocked: func(_ context.Context, b ratelimit.Block) { fmt.Println("blocked:", b.Rule, b.Key, b.Repeats) },
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

// An operator blocks a user for an hour, and thinks again.
func ExampleLimiter_Block() {
	limiter, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{{
		Name: "api", Limits: ratelimit.MustParse("100 per minute"), Key: ratelimit.ByRemoteIP(),
		Penalty: new(ratelimit.Penalty), // nobody is blocked but by hand
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

// A network that attacks is denied while the service runs; the partner within it is allowed.
func ExampleList() {
	allow, deny := new(ratelimit.List), new(ratelimit.List)
	limiter, err := ratelimit.New(ratelimit.Config{
		Rules: []ratelimit.Rule{{Name: "per-client", Limits: ratelimit.MustParse("1 per hour"), Key: ratelimit.ByRemoteIP()}},
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
