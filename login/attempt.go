package login

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/clientip"
	"github.com/ratelimit-go/ratelimit/store"
)

// An attempt is one request to a login route. It is in the context of the request, where the rules
// find it. The rules read the request and call the store by it, so a request that no rule applies
// to is not read.
type attempt struct {
	guard                  *Guard
	cfg                    *Config
	account, address, pair ratelimit.Key
	named                  bool  // the request names an account
	err                    error // of reading the request
	known                  bool  // the pair is known
	succeeded              bool
	wasRead, wasAsked      bool
}

type attemptKey struct{}

// attemptOf returns the attempt of r. If the handler has replaced the context of r, the attempt is
// lost, and attemptOf returns another one, which clears and remembers nothing.
func attemptOf(r *http.Request) *attempt {
	if a, ok := r.Context().Value(attemptKey{}).(*attempt); ok {
		return a
	}
	return new(attempt)
}

// read finds the keys of the attempt in r, and returns a. Only the first call reads anything.
func (a *attempt) read(r *http.Request) *attempt {
	if a.wasRead {
		return a
	}
	a.wasRead = true
	account := call("Account", func() error {
		a.account = accountKey(a.cfg.Account(r))
		return nil
	})
	if a.named = !a.account.IsZero(); !a.named {
		a.account = ratelimit.ValueKey("account", "none")
	}
	address := call("ClientIP", func() error {
		prefix, err := a.guard.source(a.cfg).Client(r)
		if errors.Is(err, clientip.ErrNoAddr) {
			return nil
		}
		a.address = ratelimit.PrefixKey(prefix)
		return err
	})
	a.pair = ratelimit.JoinKeys(a.account, a.address)
	a.err = errors.Join(account, address)
	return a
}

// call calls a function of a field of [Config], and returns its error or its panic.
func call(field string, f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("login.%s: panic: %v", field, v)
		}
	}()
	return f()
}

// isKnown asks the store whether the pair is known. Only the first call does.
func (a *attempt) isKnown(ctx context.Context) bool {
	if !a.wasAsked && a.named && !a.pair.IsZero() {
		d, err := a.guard.limiter.Peek(ctx, a.cfg.known(), a.pair)
		a.known = err == nil && saysKnown(d)
	}
	a.wasAsked = true
	return a.known
}

// saysKnown reports whether d, a Peek under the rule NAME-known, says that a pair is known: its
// bucket has no token. If the store has no room for the bucket, pairs share it, and it says
// nothing.
func saysKnown(d ratelimit.Decision) bool {
	return d.StoreErr == nil && !d.Allowed && !d.Overflow
}

// done remembers a success, and clears the failures of its account and of its pair. If the request
// names no account, done does nothing. Otherwise clients with an account of their own could hide
// its name, and so clear the failures of their guesses at other accounts.
func (a *attempt) done(ctx context.Context) {
	if !a.succeeded || !a.named {
		return
	}
	changes := []ratelimit.Change{{Kind: store.Reset, Rule: a.cfg.account(), Key: a.account}}
	if !a.pair.IsZero() {
		changes = append(changes,
			ratelimit.Change{Kind: store.Reset, Rule: a.cfg.pair(), Key: a.pair},
			ratelimit.Change{Kind: store.Reset, Rule: a.cfg.known(), Key: a.pair},
			ratelimit.Change{Kind: store.Take, Rule: a.cfg.known(), Key: a.pair, Cost: 1})
	}
	_, _ = a.guard.limiter.Apply(ctx, changes...) // the limiter reports a store that fails
}
