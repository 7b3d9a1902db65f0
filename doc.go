// Package ratelimit limits the rate of requests to net/http services.
//
// A [Limiter] is compiled from a [Config]: rules for every request, rules for routes,
// and a [Store] for their token buckets. Its Handler method wraps a handler, its Limit
// and With methods decorate single ones, and Take decides without HTTP.
//
// By default a client is the address of the connection's peer. No header is
// trusted unless the proxies that write it are named: see [ByForwardedFor].
//
// All limits that apply to a request are decided in one step: all of them are charged, or
// none is. A refused request costs nothing.
package ratelimit
