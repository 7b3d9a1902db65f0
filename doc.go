// Package ratelimit limits the rate of requests to net/http services.
//
//	limiter, err := ratelimit.New(ratelimit.Config{
//		Rules: []ratelimit.Rule{{
//			Name:   "per-client",
//			Limits: ratelimit.MustParse("100 per minute"),
//			Key:    ratelimit.ByRemoteIP(),
//		}},
//	})
//	...
//	http.ListenAndServe(":8080", limiter.Handler(mux))
//
// A [Limiter] is compiled from a [Config]: rules for every request, rules for routes, and a [Store]
// for their token buckets. Its Handler method wraps a handler, its Limit and With methods decorate
// single ones, and Take decides without HTTP. A [Rule] has a name, one or more limits, and a [Keyer]
// that says who is counted. A [Limit] is a token bucket; [Parse] reads it from text.
//
// All limits that apply to a request are decided in one step: all of them are charged, or none is.
// A refused request costs nothing, and is answered with status 429 and a Retry-After that suffices for
// the limits that were asked.
//
// # Identity
//
// By default a client is the address of the connection's peer. No header is trusted unless the
// proxies that write it are named: see [ByForwardedFor]. A [Key] has a kind, so that the user
// "192.0.2.1" is never the address 192.0.2.1. What happens to a request without identity is the
// choice of the rule: see [Unidentified].
//
// # More than a token for a request
//
// A rule can reserve a Cost and be charged by the response (Charge, [SetCost]), hold a burst in the
// place of refusing it (MaxWait), bound the requests in flight (InFlight), block those who offend
// again and again ([Penalty]), and be tried out before it refuses anybody ([Mode]). What a rule does
// not use costs nothing. [Limiter.Login] puts several of these together for a login route. A [List]
// allows or denies clients whatever the rules say.
//
// These are for the excess of single clients. A [Shedder] is for what all of them together are too
// much for: it bounds the requests in flight by how many the service can answer in time.
//
// # Stores
//
// A [MemoryStore], which is the default, is bounded and counts in one process. A Store elsewhere,
// such as that of the module redisstore, is shared by all instances of a service: limits, penalties
// and the counters of logins are then theirs together, and so are requests in flight if the store is
// a [Leaser]. Modes, lists, MaxWaiting and Shedders are of each process.
//
// A store that fails is never a refusal by accident: [FailurePolicy] says what happens instead, and
// has to be chosen. [Limiter.Stats] and Config.OnError tell the operator.
//
// # Errors and concurrency
//
// Every mistake in a Config that can be seen at start is reported by [New], all at once. After that
// nothing panics on a request: errors and panics of the functions in a Config are reported to its
// OnError, and touch that request only. Denied alone is like a handler: its panic is net/http's. Types are safe for concurrent use where they say so, which are all that serve
// requests. No goroutine outlives a call, and nothing needs closing.
package ratelimit
