package login

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/clientip"
)

// A Guard protects a login route. Create one with [New]. It is safe for concurrent use. All handlers
// of a Guard share its limits. It counts in the Store of its limiter, so all instances of a service
// that share the Store count together.
//
// A failed attempt takes three calls of the Store: to find out whether its pair is known, to decide,
// and to count the failure for Block. A successful attempt takes four. A denied attempt takes three,
// and none once its pair is blocked.
type Guard struct {
	limiter  *ratelimit.Limiter
	wrap     func(http.Handler) http.Handler
	cfg      atomic.Pointer[Config] // with the defaults
	replaces sync.Mutex             // so that the rules and cfg are of the same call of Replace
}

// New returns a Guard whose rules belong to limiter. If cfg is invalid, the error joins a
// [*ratelimit.ConfigError] for every mistake, with fields such as "login.Account". Call New during
// start-up only.
func New(limiter *ratelimit.Limiter, cfg Config) (*Guard, error) {
	g := &Guard{limiter: limiter}
	filled, rules, err := g.compile(cfg)
	if err != nil {
		return nil, err
	}
	g.cfg.Store(filled)
	g.wrap, err = limiter.Decorator(rules...)
	if err != nil {
		return nil, errors.Join(ofFields(err)...)
	}
	return g, nil
}

// Replace replaces the configuration of g, from the next request on. Under every limit the failures
// that were counted stay, and known pairs stay known. The Name must be the same. The errors are
// those of [New]. If there is one, nothing is replaced.
func (g *Guard) Replace(cfg Config) error {
	g.replaces.Lock()
	defer g.replaces.Unlock()
	filled, rules, err := g.compile(cfg)
	if name := g.cfg.Load().Name; filled.Name != name {
		same := mistake("Name", fmt.Errorf("%q: want %q, because a Guard keeps its name", filled.Name, name))
		err = errors.Join(append([]error{same}, unjoin(err)...)...)
	}
	if err != nil {
		return err
	}
	if err := g.limiter.SetRules(rules...); err != nil {
		return errors.Join(ofFields(err)...)
	}
	g.cfg.Store(filled)
	return nil
}

// compile returns cfg with the defaults, and its rules. If cfg has a mistake, compile finds the
// mistakes in the rules too. Otherwise the limiter finds them.
func (g *Guard) compile(cfg Config) (*Config, []ratelimit.Rule, error) {
	filled, mistakes := cfg.filled()
	rules := g.rules(filled)
	if len(mistakes) > 0 {
		_, err := ratelimit.New(ratelimit.Config{Rules: rules})
		mistakes = append(mistakes, ofFields(err)...)
	}
	return filled, rules, errors.Join(mistakes...)
}

// Handler returns a handler that protects next, which checks passwords. Use it for the route that
// accepts the form, such as "POST /login", and not for the page that shows the form.
//
// It passes the body of the request on to next, whole, and is otherwise like Limiter.Handler. The
// limiter does not read requests that are exempt from its rules.
func (g *Guard) Handler(next http.Handler) http.Handler {
	inner := g.wrap(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := &attempt{guard: g, cfg: g.cfg.Load()}
		// Account may replace the Body of the request. net/http needs the Body of r.
		given := r.WithContext(context.WithValue(r.Context(), attemptKey{}, a))
		defer a.done(r.Context())
		inner.ServeHTTP(w, given)
		if r.MultipartForm == nil {
			r.MultipartForm = given.MultipartForm // so that net/http removes its files
		}
		r.Pattern = given.Pattern
	})
}

// rules returns the rules of g. limitsOf has their order. NAME-pair comes before the others that
// deny requests. So clients read its name if several rules deny for equally long, and the store is
// not called about a pair that is blocked.
func (g *Guard) rules(cfg *Config) []ratelimit.Rule {
	failed := failedOf(cfg)
	rules := []ratelimit.Rule{
		{ // It applies to no request, but reports what goes wrong in reading one.
			Name: cfg.known(), Limits: ratelimit.Limits{{Count: 1, Period: cfg.Remember}},
			Key: ratelimit.KeyFunc(readingError), OnMissingKey: ratelimit.SkipRule, OmitHeaders: true,
		},
		{
			Name: cfg.pair(), Limits: cfg.PerPair, Key: keyOf(func(a *attempt) ratelimit.Key { return a.pair }),
			OnMissingKey: ratelimit.SkipRule, CountOnly: failed, Block: cfg.Block,
		},
		{
			Name: cfg.account(), Limits: cfg.PerAccount, Key: keyOf(func(a *attempt) ratelimit.Key { return a.account }),
			OnMissingKey: ratelimit.SkipRule, CountOnly: cfg.Failed, Skip: isKnown, OmitHeaders: true,
		},
		{
			Name: cfg.address(), Limits: cfg.PerAddress, Key: keyOf(func(a *attempt) ratelimit.Key { return a.address }),
			CountOnly: failed, Skip: isKnown,
		},
		{
			Name: cfg.total(), Limits: cfg.Total,
			Key:       ratelimit.KeyFunc(func(*http.Request) (ratelimit.Key, error) { return cfg.everybody(), nil }),
			CountOnly: cfg.Failed, Skip: isKnown, OmitHeaders: true,
		},
	}
	for i := range rules {
		rules[i].Mode, rules[i].OnStoreFailure = cfg.Mode, cfg.OnStoreFailure
	}
	rules[0].Mode = ratelimit.Enforce // pairs are remembered in every mode
	return rules
}

// source returns how the address of a client is found.
func (g *Guard) source(cfg *Config) clientip.Source {
	if cfg.ClientIP.IsZero() {
		return g.limiter.ClientIP()
	}
	return cfg.ClientIP
}
