// Package dashboard is a live page about a limiter: its rules and their rates, the clients that it
// denies most, blocks, and the state of the store.
//
//	page, err := dashboard.New(limiter, dashboard.Config{
//		Authorize: func(r *http.Request) bool { return session(r).Admin },
//	})
//	...
//	mux.Handle("/debug/limits/", page)
//	server.RegisterOnShutdown(page.Close)
//
// THE PAGE AUTHENTICATES NO USER. It shows keys of clients, so [Config].Authorize must say who may
// see it, and New returns an error without it. A handler around the page that signs users in is
// better still. A request that is not authorized gets an empty 403.
//
// The page works under any path that ends with a slash, with or without [http.StripPrefix], because
// all its links are relative. It loads nothing from elsewhere, has no inline script or style, and
// sends a Content-Security-Policy that forbids both. Without JavaScript it is a snapshot.
//
// It shows one instance: the process that serves it. Behind a balancer, ask each instance.
//
// The page is read-only unless [Config].MayAct allows actions: unblock, reset or block a key, set
// the mode of a rule, and unlock an account. Each action takes two steps. The second step needs a
// token that is valid for 10 minutes, for this user and this action. Requests of other origins are
// denied. [Config].Audit is told of each action and who did it.
//
// A support desk finds a client by its user, address, API key or any key, and shows what it has
// left under each rule. It also shows what a login knows of an account.
//
// The page starts no goroutine. While the limiter decides, a hook counts keys in sketches of a
// fixed size, and takes a sample of the counters every 5 seconds. All open pages share one
// rendering per second, and one more when something begins to rise under a rule: clients near a
// limit, denials, or would-be denials.
package dashboard
