// Package tokenbudget limits the tokens that clients of a language model use. A [Guard] is
// middleware for services that sell completions or proxy a vendor, with budgets such as "10000 per
// minute; 1000000 per day" for each user, API key or model.
//
//	package main
//
//	import (
//		"log"
//		"net/http"
//		"net/http/httputil"
//		"net/url"
//
//		"github.com/ratelimit-go/ratelimit"
//		"github.com/ratelimit-go/ratelimit/tokenbudget"
//	)
//
//	func main() {
//		guard, err := tokenbudget.New(tokenbudget.Config{
//			Budgets: []tokenbudget.Budget{{
//				Name:   "key",
//				Limits: ratelimit.MustParse("10000 per minute; 1000000 per day"),
//				Key:    ratelimit.ByUser(accountOf),
//			}},
//		})
//		if err != nil {
//			log.Fatal(err)
//		}
//		upstream := &url.URL{Scheme: "http", Host: "127.0.0.1:9000"}
//		proxy := httputil.NewSingleHostReverseProxy(upstream)
//		log.Fatal(http.ListenAndServe(":8080", guard.Handler(proxy)))
//	}
//
//	type accountKey struct{}
//
//	// accountOf returns the account that an outer handler has found by the API key of r, or "".
//	func accountOf(r *http.Request) string {
//		account, _ := r.Context().Value(accountKey{}).(string)
//		return account
//	}
//
// Count by what the handler that checks API keys has found, and not by the field Authorization: a
// client can write "Bearer K" and "bearer K", and each would have budgets of its own.
//
// # What a request costs
//
// The Guard first reserves an estimate under all limits of all budgets, in one step: all are
// charged, or none is. The estimate is the prompt by its bytes, and as many tokens of output as the
// request allows. Under a limit that cannot hold that much, it reserves all that the limit holds.
//
// When the handler has returned, the Guard charges what the usage in the response says instead, and
// refunds or takes the difference. It reads the usage of OpenAI and Anthropic, plain and streamed.
// It reads the stream as it passes, in bounded memory, and neither delays nor changes it.
//
//	response                                   cost
//	complete, with usage                       the usage
//	status 400 or more, no usage               0
//	the client left during the output          the usage so far, and the output sent by its bytes
//	of a stream
//	anything else, such as no usage            the reservation, or the output sent if it is more
//
// # What the bound is
//
// A request that uses more than it reserved overruns its limits. In any time, the tokens used under
// a limit are at most what its bucket allows, and the overruns of the requests in flight at that
// time. A request with max_tokens, whose estimate fits into the limits, overruns by at most the
// error of the estimate of its prompt. [Overrun] says who pays for an overrun.
package tokenbudget
