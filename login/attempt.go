package login

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/clientip"
	"github.com/ratelimit-go/ratelimit/store"
)

// An attempt is one request to a login route. It is in the context of the request, where the rules
// find its keys.
type attempt struct {
	guard                  *Guard
	cfg                    *Config
	ctx                    context.Context
	account, address, pair ratelimit.Key
	begun                  bool // read was called
	named                  bool // the request names an account
	known                  bool // the pair is known
	succeeded              bool
}

type attemptKey struct{}

// attemptOf returns the attempt of r. A request that did not come through a Guard has none, which
// can only be if a program applies the rules of a Guard itself.
func attemptOf(r *http.Request) *attempt {
	a, _ := r.Context().Value(attemptKey{}).(*attempt)
	if a == nil {
		return &attempt{begun: true}
	}
	return a
}

// read finds out who tries to log in, and whether the pair is known. Only the first call does
// anything. A panic of Account is the caller's to recover: it leaves the attempt without a name.
func (a *attempt) read(r *http.Request) error {
	if a.begun {
		return nil
	}
	a.begun = true
	a.account = ratelimit.ValueKey("account", "none")
	address, err := ratelimit.ByIP(a.guard.source(a.cfg)).Key(r)
	if errors.Is(err, ratelimit.ErrNoKey) {
		err = nil
	}
	a.setAddress(address)
	if name := a.cfg.Account(r); accountKey(name) != (ratelimit.Key{}) {
		a.account, a.named = accountKey(name), true
		a.setAddress(address)
	}
	a.known = a.named && !a.pair.IsZero() && a.isKnown()
	return err
}

func (a *attempt) setAddress(address ratelimit.Key) {
	a.address, a.pair = address, ratelimit.JoinKeys(a.account, address)
}

// accountKey returns the key of an account as it was typed.
func accountKey(account string) ratelimit.Key {
	return ratelimit.UserKey(strings.ToLower(strings.TrimSpace(account)))
}

// source returns how the address of a client is found.
func (g *Guard) source(cfg *Config) clientip.Source {
	if cfg.ClientIP.IsZero() {
		return g.limiter.ClientIP()
	}
	return cfg.ClientIP
}

// isKnown asks the store whether the pair is known. It asks nothing about a pair that is blocked,
// because that is denied whether it is known or not.
func (a *attempt) isKnown() bool {
	l := a.guard.limiter
	if _, blocked := l.BlockedUntil(a.cfg.pair(), a.pair); blocked {
		return false
	}
	d, err := l.Peek(a.ctx, a.cfg.known(), a.pair)
	return isKnown(d, err)
}

// isKnown reports whether d, by the rule NAME-known, says that a pair is known.
func isKnown(d ratelimit.Decision, err error) bool {
	return err == nil && d.StoreErr == nil && !d.Allowed && !d.Overflow
}

// countFailure counts failures, and notes a success. At least one of its rules applies to every
// attempt. If the client has left, there is no success: a handler that notices may return without
// an answer, which looks like status 200.
func countFailure(res ratelimit.Response) bool {
	a := attemptOf(res.Request)
	if a.cfg == nil {
		return true
	}
	if a.cfg.Failed(res) {
		return true
	}
	a.succeeded = res.Request.Context().Err() == nil && a.cfg.Succeeded(res)
	return false
}

// done remembers a success, and clears the failures that it makes good. A success without a named
// account makes none good: any client with an account of its own could hide it, and so clear the
// failures of its guesses at other accounts.
func (a *attempt) done() {
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
	_, _ = a.guard.limiter.Apply(a.ctx, changes...) // the limiter reports a store that fails
}
