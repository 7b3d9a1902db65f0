// Package connectlimit limits the calls and messages that handlers of Connect accept, in the
// protocols Connect, gRPC and gRPC-Web.
//
// Handlers of Connect are [http.Handler] values, so the Handler of a limiter limits their calls,
// with every ability of its rules. A [DenyHandler] answers denials in the protocol of the client:
//
//	limiter, err := ratelimit.New(ratelimit.Config{
//		Rules: []ratelimit.Rule{
//			{Name: "calls", Limits: ratelimit.MustParse("100 per minute")},
//		},
//		DenyHandler: connectlimit.DenyHandler(),
//	})
//	...
//	http.ListenAndServe(":8080", limiter.Handler(mux))
//
// Routes are patterns such as "/pkg.Service/Method". A denied call is not even read. Write no
// method of HTTP: clients of Connect may send a call without side effects by GET, which "POST" does
// not match.
//
// [NewInterceptor] applies the rules of package rpclimit. It is for what only the inside of a call
// shows: messages of streams, costs by message, and users that an interceptor has authenticated. A
// unary request that cannot be decoded never reaches an interceptor, so limit calls by the Handler.
//
// gRPC answers status 200 even if a call fails. For rules that count only failed calls, put [Watch]
// around the Handler of the limiter, and use [Failures] or [CodeIn]:
//
//	limiter's rule:  CountOnly: connectlimit.CodeIn(connect.CodeUnauthenticated)
//	handlers:        connect.WithInterceptors(connectlimit.NewInterceptor(guard))
//	server:          connectlimit.Watch(limiter.Handler(mux))
package connectlimit
