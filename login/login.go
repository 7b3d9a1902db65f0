package login

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"

	"github.com/ratelimit-go/ratelimit"
)

// A Guard protects a login route. Create one with [New]. It is safe for concurrent use. All handlers
// of a Guard share its limits. It counts in the Store of its limiter, so all instances of a service
// count together.
//
// A failed attempt takes three calls of the Store: to look whether its pair is known, to decide, and
// to count the failure against Block. A successful attempt takes four. A denied attempt takes three,
// and none once its pair is blocked.
type Guard struct {
	limiter *ratelimit.Limiter
	cfg     atomic.Pointer[Config] // with the defaults
	wrap    func(http.Handler) http.Handler
}

// New returns a Guard whose rules are part of limiter. If cfg is invalid, the error joins a
// [*ratelimit.ConfigError] for every mistake. Call it during start-up only.
func New(limiter *ratelimit.Limiter, cfg Config) (*Guard, error) {
	filled, err := cfg.filled()
	if err != nil {
		return nil, err
	}
	g := &Guard{limiter: limiter}
	g.cfg.Store(filled)
	g.wrap, err = limiter.Decorator(g.rules(filled)...)
	if err != nil {
		return nil, err
	}
	return g, nil
}

// Replace replaces the configuration of g, from the next request on. The Name must be the same. What
// was counted stays. The error joins one error for every mistake. Then nothing is replaced.
func (g *Guard) Replace(cfg Config) error {
	filled, err := cfg.filled()
	switch {
	case err != nil:
		return err
	case filled.Name != g.cfg.Load().Name:
		return &ratelimit.ConfigError{Field: "login.Name", Err: errors.New("cannot be replaced: want " + g.cfg.Load().Name)}
	}
	if err := g.limiter.SetRules(g.rules(filled)...); err != nil {
		return err
	}
	g.cfg.Store(filled)
	return nil
}

// Handler returns a handler that protects next, which checks passwords. Use it for the route that
// accepts the form, such as "POST /login", and not for the page that shows the form.
func (g *Guard) Handler(next http.Handler) http.Handler {
	inner := g.wrap(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := &attempt{guard: g, cfg: g.cfg.Load(), ctx: r.Context()}
		// Account may replace the Body of the request. net/http looks at the Body of r.
		given := r.WithContext(context.WithValue(r.Context(), attemptKey{}, a))
		defer a.done()
		inner.ServeHTTP(w, given)
		if r.MultipartForm == nil {
			r.MultipartForm = given.MultipartForm // so that net/http removes its files
		}
		r.Pattern = given.Pattern
	})
}

// rules returns the rules of g. The pair comes first, so that its name is told if several rules deny
// for equally long.
func (g *Guard) rules(cfg *Config) []ratelimit.Rule {
	key := func(of func(*attempt) ratelimit.Key) ratelimit.Keyer {
		return ratelimit.KeyFunc(func(r *http.Request) (ratelimit.Key, error) {
			a := attemptOf(r)
			err := a.read(r)
			return of(a), err
		})
	}
	known := func(r *http.Request) bool {
		a := attemptOf(r)
		_ = a.read(r) // the key of a pair reports the error
		return a.known
	}
	everybody := ratelimit.ValueKey("global", cfg.Name)
	rules := []ratelimit.Rule{
		{
			Name: cfg.pair(), Limits: cfg.PerPair, Key: key(func(a *attempt) ratelimit.Key { return a.pair }),
			OnMissingKey: ratelimit.SkipRule, CountOnly: countFailure, Block: cfg.Block,
		},
		{
			Name: cfg.account(), Limits: cfg.PerAccount, Key: key(func(a *attempt) ratelimit.Key { return a.account }),
			OnMissingKey: ratelimit.SkipRule, CountOnly: cfg.Failed, Skip: known, OmitHeaders: true,
		},
		{
			Name: cfg.address(), Limits: cfg.PerAddress, Key: key(func(a *attempt) ratelimit.Key { return a.address }),
			CountOnly: countFailure, Skip: known,
		},
		{
			Name: cfg.total(), Limits: cfg.Total, Key: key(func(*attempt) ratelimit.Key { return everybody }),
			CountOnly: cfg.Failed, Skip: known, OmitHeaders: true,
		},
		{ // No request meets it: its bucket is not full while a pair is known.
			Name: cfg.known(), Limits: ratelimit.Limits{{Count: 1, Period: cfg.Remember}},
			Skip: func(*http.Request) bool { return true }, OmitHeaders: true,
		},
	}
	for i := range rules {
		rules[i].Mode, rules[i].OnStoreFailure = cfg.Mode, cfg.OnStoreFailure
	}
	rules[4].Mode = ratelimit.Enforce
	return rules
}
