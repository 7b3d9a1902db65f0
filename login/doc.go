// Package login protects a login route: it limits failed attempts for each account, for each client
// address and network, for each pair of account and address, and in total.
//
//	limiter, err := ratelimit.New(ratelimit.Config{})
//	...
//	guard, err := login.New(limiter, login.Config{
//		Account:   login.FormField("email"),
//		Succeeded: ratelimit.StatusIn(http.StatusOK), // if a wrong password has another status
//	})
//	...
//	mux.Handle("POST /login", guard.Handler(checkPassword))
//
// Each attempt counts as a failure unless Config.Succeeded, or the handler by [Succeeded], proves
// that it is a success.
//
//	attack                         stopped by
//	one address, one account       PerPair failures of the pair, then blocks that grow longer
//	many addresses, one account    PerAccount failures of the account, except by known pairs
//	one address, many accounts     PerAddress failures of the address, except by known pairs
//	one network, many accounts     PerNetwork failures of the network, except by known pairs
//	many addresses and accounts    Total failures, except by known pairs
//
// A successful login clears the failures of its account and of its pair. From then on the pair is
// known for the time Remember, and only the limit of the pair applies to it. So strangers can use
// up the attempts at an account or from an address, but they cannot lock an owner out of an
// address from which the account was used before. A success does not clear the failures of the
// address. Otherwise an attacker with an account could clear them by logging in.
//
// The limits are rules of the [ratelimit.Limiter], with its modes, hooks and Store. To change them,
// call [Guard.Replace] and not Limiter.SetRules.
//
// The attacks and limits follow the OWASP Authentication Cheat Sheet and NIST SP 800-63B, section
// 3.2.2, which asks for at most 100 failures in a row on one account.
package login
