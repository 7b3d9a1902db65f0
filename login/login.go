package login

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/clientip"
)

// A Guard protects a login route. Create one with [New]. It is safe for concurrent use. All
// handlers of a Guard share its limits. It counts in the Store of its limiter, so all instances of
// a service that share the Store count together.
//
// A failed attempt takes three calls of the Store: to find out whether its pair is known, to
// decide, and to count the failure for Block. A successful attempt takes four. A denied attempt
// takes three, and none once its pair is blocked.
type Guard struct {
	limiter   *ratelimit.Limiter
	wrap      func(http.Handler) http.Handler
	cfg       atomic.Pointer[settings]
	replacing sync.Mutex // so that cfg and the rules are of the same Replace
	recent    recent
}

// New returns a Guard whose rules belong to limiter. If cfg is invalid, the error joins a
// [*ratelimit.ConfigError] for every mistake, with fields such as "login.Account". Call New during
// start-up only.
func New(limiter *ratelimit.Limiter, cfg Config) (*Guard, error) {
	if limiter == nil {
		return nil, mistakes{errors.New("login: a nil Limiter: want the Limiter of ratelimit.New")}.err()
	}
	g := &Guard{limiter: limiter}
	err := g.change(cfg, func(rules []ratelimit.Rule) (err error) {
		g.wrap, err = limiter.Decorator(rules...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return g, nil
}

// Replace replaces the configuration of g, from the next request on. The failures that were counted
// stay, known pairs stay known, and blocks go on. The Name must be the same. Replace returns the
// same errors as [New]. If it returns an error, nothing is replaced.
func (g *Guard) Replace(cfg Config) error {
	return g.change(cfg, func(rules []ratelimit.Rule) error { return g.limiter.SetRules(rules...) })
}

// change makes cfg the configuration of g. It calls install with the new rules.
func (g *Guard) change(cfg Config, install func([]ratelimit.Rule) error) error {
	rules, done, err := g.Prepare(cfg)
	if err != nil {
		return err
	}
	var m mistakes
	m.addRules(install(rules))
	done(len(m) == 0)
	return m.err()
}

// Prepare is the first half of [Guard.Replace]. It is for a program that replaces several parts of
// a limiter in one step: it returns the rules of cfg, for Limiter.SetPolicy or Limiter.SetRules.
// Call done after that. With true it puts the rest of cfg into force, and cannot fail. With false
// it changes nothing. Until then another Prepare or Replace of g waits. The errors are the errors
// of [New]. With an error there is nothing to call.
func (g *Guard) Prepare(cfg Config) (rules []ratelimit.Rule, done func(use bool), err error) {
	filled, m := cfg.filled()
	if old := g.cfg.Load(); old != nil && old.Name != filled.Name {
		m.add("Name", fmt.Errorf("%q: want %q, because a Guard keeps its name", filled.Name, old.Name))
	}
	rules = g.rules(filled)
	_, err = ratelimit.New(ratelimit.Config{Rules: rules}) // finds the mistakes in them
	if m.addRules(err); len(m) > 0 {
		return nil, nil, m.err()
	}
	g.replacing.Lock()
	return rules, func(use bool) {
		if use {
			g.cfg.Store(filled)
		}
		g.replacing.Unlock()
	}, nil
}

// Handler returns a handler that protects next, which checks passwords. Use it for the route that
// accepts the form, such as "POST /login", and not for the page that shows the form. A GET, HEAD or
// OPTIONS without a query string, a body or an Authorization field is no attempt: no limit applies
// to it. Each other request is an attempt.
//
// It allows and denies requests as Handler of the limiter does. If Config.Account is a [FormField]
// or a [JSONField], next can read the form or the body again. No function of the Config is called
// for requests that are exempt from the rules of the limiter.
func (g *Guard) Handler(next http.Handler) http.Handler {
	inner := g.wrap(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := &attempt{guard: g, cfg: g.cfg.Load(), outer: attemptIn(r.Context())}
		a.none, a.mute, a.before = !isAttempt(r), !mayProve(r), linesOf(w.Header())
		if r.Trailer == nil && len(r.TransferEncoding) > 0 {
			r.Trailer = http.Header{} // which the server fills in, and the copy shares
		}
		given := r.WithContext(context.WithValue(r.Context(), attemptKey{}, a))
		defer handBack(r, given, r.Body) // Account may replace Body: net/http needs its own
		defer a.done(r.Context())
		inner.ServeHTTP(w, given)
	})
}

// handBack copies given, a copy of r that has been served, to r, but not its context and its Body.
// So net/http removes the files of a form, and outer middleware sees what handlers have set.
func handBack(r, given *http.Request, body io.ReadCloser) {
	*r = *given.WithContext(r.Context())
	r.Body = body
}

// source returns how the address of a client is found.
func (g *Guard) source(cfg *settings) clientip.Source {
	if cfg.ClientIP.IsZero() {
		return g.limiter.ClientIP()
	}
	return cfg.ClientIP
}
