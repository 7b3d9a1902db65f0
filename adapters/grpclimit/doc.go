// Package grpclimit limits the calls and messages that a server of gRPC accepts.
//
//	guard, err := rpclimit.New(rpclimit.Config{
//		Limiter: limiter, // has a budget "calls"
//		Rules:   []rpclimit.Rule{{Name: "calls"}},
//	})
//	...
//	server := grpc.NewServer(grpclimit.ServerOptions(guard)...)
//
// Rules, keys and bounds are in package rpclimit. Handlers read the decision of their call by
// [rpclimit.DecisionFrom].
//
// A denial has the code ResourceExhausted, or Unavailable if the store failed, or PermissionDenied
// without a key. Its details are a RetryInfo with the exact wait, and a QuotaFailure. The trailer
// grpc-retry-pushback-ms has the same wait, so a client of grpc-go whose retryPolicy names
// RESOURCE_EXHAUSTED waits as long as RetryInfo says. If waiting does not help, there is no
// RetryInfo, and the trailer is -1. With Config.Fields, the trailers ratelimit-policy and ratelimit
// tell clients how they stand.
package grpclimit
