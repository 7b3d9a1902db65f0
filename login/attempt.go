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
// find it. They read the request and call the store only if they need to: a request that no rule
// applies to is left alone.
type attempt struct {
	guard                  *Guard
	cfg                    *Config
	account, address, pair ratelimit.Key
	named                  bool  // the request names an account
	err                    error // of reading the request
	known                  bool  // the pair is known
	wasRead, wasAsked      bool
	succeeded              bool
}

type attemptKey struct{}

// attemptOf returns the attempt of r. If a handler has replaced the context of its request, the
// attempt is lost, and an empty one takes its place.
func attemptOf(r *http.Request) *attempt {
	a, _ := r.Context().Value(attemptKey{}).(*attempt)
	if a == nil {
		return &attempt{wasRead: true, wasAsked: true}
	}
	return a
}

// keyOf returns a Keyer that reads the request and returns one of its keys.
func keyOf(key func(*attempt) ratelimit.Key) ratelimit.Keyer {
	return ratelimit.KeyFunc(func(r *http.Request) (ratelimit.Key, error) {
		return key(attemptOf(r).read(r)), nil
	})
}

// readingError is the Keyer of a rule that applies to no request. The limiter reports its error.
func readingError(r *http.Request) (ratelimit.Key, error) {
	return ratelimit.Key{}, attemptOf(r).read(r).err
}

// isKnown reports whether the pair of r is known, so that only its own limit applies to it.
func isKnown(r *http.Request) bool {
	return attemptOf(r).read(r).ask(r.Context())
}

// failedOf returns a function that counts failures, and notes a success in the attempt. If the
// client has left, there is no success: a handler that notices may return without an answer, which
// looks like status 200.
func failedOf(cfg *Config) func(ratelimit.Response) bool {
	return func(res ratelimit.Response) bool {
		if cfg.Failed(res) {
			return true
		}
		attemptOf(res.Request).succeeded = res.Request.Context().Err() == nil && cfg.Succeeded(res)
		return false
	}
}

// read finds the keys of the attempt in r and returns a. Only the first call reads anything.
func (a *attempt) read(r *http.Request) *attempt {
	if a.wasRead {
		return a
	}
	a.wasRead = true
	a.account = ratelimit.ValueKey("account", "none")
	account := call("Account", func() error {
		if key := accountKey(a.cfg.Account(r)); !key.IsZero() {
			a.account, a.named = key, true
		}
		return nil
	})
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

// call calls f and returns its error or its panic as an error in the named field of [Config].
func call(field string, f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("login.%s: panic: %v", field, v)
		}
	}()
	if err := f(); err != nil {
		return fmt.Errorf("login.%s: %w", field, err)
	}
	return nil
}

// ask asks the store whether the pair is known. Only the first call does.
func (a *attempt) ask(ctx context.Context) bool {
	if !a.wasAsked && a.named && !a.pair.IsZero() {
		d, err := a.guard.limiter.Peek(ctx, a.cfg.known(), a.pair)
		a.known = err == nil && saysKnown(d)
	}
	a.wasAsked = true
	return a.known
}

// saysKnown reports whether a Peek under NAME-known says that the pair is known: its bucket has no
// token. If the store has no room for the bucket, other pairs share it, so it says nothing.
func saysKnown(d ratelimit.Decision) bool {
	return d.StoreErr == nil && !d.Allowed && !d.Overflow
}

// done remembers a success, and clears the failures of its account and its pair. If the request
// names no account, done clears nothing: clients with an account of their own could hide its name,
// and so clear the failures of their guesses at other accounts.
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
