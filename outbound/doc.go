// Package outbound keeps an HTTP client within limits. A [Transport] is an [http.RoundTripper] that
// makes requests wait for rules of your own, and for what servers say about their limits.
//
//	package main
//
//	import (
//		"errors"
//		"fmt"
//		"log"
//		"net/http"
//		"time"
//
//		"github.com/ratelimit-go/ratelimit/outbound"
//	)
//
//	func main() {
//		transport, err := outbound.New(outbound.Config{MaxWait: 30 * time.Second})
//		if err != nil {
//			log.Fatal(err)
//		}
//		client := &http.Client{Transport: transport}
//		resp, err := client.Get("https://api.example.com/items")
//		var wait *outbound.WaitError
//		if errors.As(err, &wait) {
//			log.Fatal("try again at ", wait.Until)
//		}
//		if err != nil {
//			log.Fatal(err)
//		}
//		defer resp.Body.Close()
//		fmt.Println(resp.Status)
//	}
//
// # What it obeys
//
// Retry-After in seconds and as a date, with any status except 201 and 202, and Retry-After-Ms.
// RateLimit and RateLimit-Policy of draft-ietf-httpapi-ratelimit-headers, versions 3 to 11.
// X-RateLimit-Limit, X-RateLimit-Remaining and X-RateLimit-Reset with a reset in seconds, since
// 1970, as a date, or as a duration such as 6m0s. The fields of OpenAI, Anthropic, Azure, Discord,
// GitHub, Shopify and Twitter, and X-Should-Retry. Of contradictory values the stricter one counts.
// Fields that are malformed are ignored and reported.
//
// # How it paces
//
// Requests of one key share what the server says, and go on in the order in which they came. The
// first request goes alone. If the fields say how much is left, requests go on at once while any
// is left, and then wait for exactly as long as they must: until the reset of a window, or for the
// next token of a bucket. What is left after the first reset shows how the server counts. What is
// used beside the client's own requests shows other clients of the quota, and some is left to them.
// After each pause, requests begin slowly: each answer lets two more go on.
//
// If a server has several limits and its fields name one of them, the others are used up by the
// requests that were sent, and refilled at their resets. A limit that the fields no longer name is
// forgotten after a while. If the fields tell no reset, the client asks a second after it has seen
// that nothing is left.
//
// If a server sends no fields, such as nginx with limit_req, only denials can tell. Write a [Rule]
// with the limit of the server.
//
// # What it sends again
//
// A request that was denied with status 429, 503 with Retry-After, or 403 by a limit of GitHub, and
// whose body can be sent again: it has none, or a GetBody. A method that is not idempotent, such as
// POST, is sent again only after 429 or 403, or if the server says so by X-Should-Retry.
package outbound
