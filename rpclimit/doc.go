// Package rpclimit decides on remote procedure calls by rules: which methods to count, by which
// key, and against which budget of a [ratelimit.Limiter].
//
// You configure a [Guard] here. The modules adapters/grpclimit and adapters/connectlimit have the
// interceptors that apply it to servers of gRPC and Connect:
//
//	limiter, err := ratelimit.New(ratelimit.Config{
//		Budgets: []ratelimit.Budget{
//			{Name: "calls", Limits: ratelimit.MustParse("100 per minute")},
//			{Name: "uploads", Limits: ratelimit.MustParse("50 per second")},
//		},
//	})
//	...
//	guard, err := rpclimit.New(rpclimit.Config{
//		Limiter: limiter,
//		Exempt:  []string{"/grpc.health.v1.Health/*"},
//		Rules: []rpclimit.Rule{
//			{Name: "calls", Key: rpclimit.ByUser(userOf)},
//			{Name: "uploads", Methods: []string{"/files.v1.Files/Upload"}, PerMessage: true},
//		},
//		InFlight: []rpclimit.InFlight{
//			{Name: "streams", Methods: []string{"/chat.v1.Chat/*"}, Max: 5},
//		},
//	})
//	...
//	server := grpc.NewServer(grpclimit.ServerOptions(guard)...)
//
// Calls in flight are counted in this process, or in a store with leases for all instances: see
// Config.Store.
//
// All rules of a call are decided in one step: all are charged, or none is. A denied call costs
// nothing. A call without a key shares one bucket with all others without a key. An error or a
// panic of a function in a Config is reported, and never makes a call free.
//
// # For adapters
//
// An adapter of another framework implements [Transport]. It calls [Guard.Begin] before the
// handler, [Session.Message] for each message that a stream has received, and [Session.End] after
// the handler. A [Denial] says what to answer.
package rpclimit
