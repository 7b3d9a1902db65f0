package policyfile

import (
	"crypto/sha256"
	"maps"
	"slices"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/login"
	"github.com/ratelimit-go/ratelimit/shed"
)

// A File is a policy that [Parse] has read and found valid. It is immutable, except that [Watch]
// replaces the lists of the Config by newer ones. It is safe for concurrent use.
type File struct {
	sum        [sha256.Size]byte // of the data
	spec       *file
	options    Options
	config     ratelimit.Config
	logins     map[string]Login
	decorators map[string]Decorator
	shedder    *shed.Config
	unknown    []string
	places     *places
}

// A Login is a login route that a file protects.
type Login struct {
	// Config is for login.New. Its Name is the name in the file.
	Config login.Config
	// Routes are the patterns that the file gives for it. They are for tools that have no program
	// to ask, such as a replay of logs. They do not decide where a program uses the guard.
	Routes []string
}

// A Decorator is the rules of Limiter.With.
type Decorator struct {
	// Rules are at least one rule.
	Rules []ratelimit.Rule
	// Routes are as in Login.
	Routes []string
}

// Config returns the complete Config for ratelimit.New: the Config of the Options with the policy
// of the file. Its Allow and Deny are never nil, so that [Watch] can fill them later. All calls
// return the same lists.
func (f *File) Config() ratelimit.Config {
	cfg, p := f.config, f.Policy()
	cfg.Rules, cfg.Routes, cfg.Budgets = p.Rules, p.Routes, p.Budgets
	cfg.ExemptRoutes, cfg.Exempt = p.ExemptRoutes, p.Exempt
	return cfg
}

// Policy returns the part of the Config that Limiter.SetPolicy can replace.
func (f *File) Policy() ratelimit.Policy {
	routes := maps.Clone(f.config.Routes)
	for pattern := range routes {
		routes[pattern] = slices.Clone(routes[pattern])
	}
	return ratelimit.Policy{
		Rules: slices.Clone(f.config.Rules), Routes: routes, Budgets: slices.Clone(f.config.Budgets),
		ExemptRoutes: slices.Clone(f.config.ExemptRoutes), Exempt: f.config.Exempt,
	}
}

// Logins returns the login routes by name.
func (f *File) Logins() map[string]Login { return maps.Clone(f.logins) }

// Decorators returns the rules of decorators by name, for Limiter.With.
func (f *File) Decorators() map[string]Decorator { return maps.Clone(f.decorators) }

// Shedder returns the configuration for shed.New, and false if the file has none.
func (f *File) Shedder() (cfg shed.Config, ok bool) {
	if f.shedder == nil {
		return shed.Config{}, false
	}
	return *f.shedder, true
}

// Unknown returns the names that the Options did not have, such as "key user", each once. It
// returns none without Options.AnyName.
func (f *File) Unknown() []string { return slices.Clone(f.unknown) }
