package policyfile

import (
	"fmt"
	"time"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/login"
)

// A compiler makes what package ratelimit knows of what a file says. After a mistake it goes on
// with a valid value, so that the limiter finds the other mistakes.
type compiler struct {
	*decoder
	options *Options
	unknown map[string]bool
}

func (c *compiler) file(spec *file) *File {
	f := &File{spec: spec, options: *c.options, places: &c.places}
	c.foreign()
	cfg := c.options.Config
	if spec.ClientIP != nil {
		cfg.ClientIP = c.clientIP(spec.ClientIP)
	}
	if s := spec.Store; s != nil {
		override(&cfg.OnStoreFailure, ratelimit.FailurePolicy(s.OnFailure))
		override(&cfg.Instances, s.Instances)
		override(&cfg.StoreTimeout, time.Duration(s.Timeout))
		override(&cfg.LeaseTTL, time.Duration(s.LeaseTTL))
	}
	override(&cfg.Headers, ratelimit.Headers(spec.Headers))
	cfg.MergeHeaders = cfg.MergeHeaders || spec.MergeHeaders
	cfg.SharedCache = cfg.SharedCache || spec.SharedCache
	cfg.Allow, cfg.Deny = c.list("allow", spec.Allow), c.list("deny", spec.Deny)
	cfg.ExemptRoutes = spec.ExemptRoutes
	cfg.Exempt = c.condition("exempt", spec.Exempt)
	cfg.Rules = c.rules("rules", spec.Rules)
	if spec.Routes != nil {
		cfg.Routes = map[string][]ratelimit.Rule{}
	}
	for pattern, rules := range spec.Routes {
		cfg.Routes[pattern] = c.rules(named("routes", pattern), rules)
	}
	for i, b := range spec.Budgets {
		cfg.Budgets = append(cfg.Budgets, c.budget(fmt.Sprintf("budgets[%d]", i), b))
	}
	f.config = cfg
	f.decorators, f.logins = map[string]Decorator{}, map[string]Login{}
	for name, d := range spec.Decorators {
		rules := c.rules(named("decorators", name)+".rules", d.Rules)
		f.decorators[name] = Decorator{Rules: rules, Routes: d.Routes}
		c.patterns(named("decorators", name)+".routes", d.Routes)
	}
	for name, l := range spec.Logins {
		f.logins[name] = Login{Config: c.login(named("logins", name), name, l), Routes: l.Routes}
		c.patterns(named("logins", name)+".routes", l.Routes)
	}
	if spec.Shedder != nil {
		f.shedder = c.shedder(spec.Shedder)
	}
	f.unknown = c.unknownNames()
	return f
}

// override sets old to the value of a file, unless the file has none.
func override[T comparable](old *T, value T) {
	if zero := *new(T); value != zero {
		*old = value
	}
}

func (c *compiler) rules(field string, specs []rule) []ratelimit.Rule {
	var rules []ratelimit.Rule
	for i := range specs {
		rules = append(rules, c.rule(fmt.Sprintf("%s[%d]", field, i), &specs[i]))
	}
	return rules
}

func (c *compiler) rule(field string, r *rule) ratelimit.Rule {
	compiled := ratelimit.Rule{
		Name: r.Name, Limits: ratelimit.Limits(r.Limits),
		LimitsFor:    c.limitsFor(field+".limits_for", r.LimitsFor),
		OnMissingKey: ratelimit.MissingKey(r.OnMissingKey), Methods: r.Methods,
		Skip:      c.condition(field+".skip", r.Skip),
		CountOnly: c.responses(field+".count_only", r.CountOnly),
		MaxWait:   time.Duration(r.MaxWait), MaxWaiting: r.MaxWaiting, InFlight: r.InFlight,
		Block: c.block(field+".block", r.Block), Mode: ratelimit.Mode(r.Mode),
		OnStoreFailure: ratelimit.FailurePolicy(r.OnStoreFailure), OmitHeaders: r.OmitHeaders,
	}
	if r.Key != nil {
		compiled.Key = c.key(field+".key", r.Key)
	}
	if r.Cost != nil {
		compiled.Cost = c.cost(field+".cost", r.Cost)
	}
	if r.ResponseCost != nil {
		compiled.ResponseCost = c.responseCost(field+".response_cost", r.ResponseCost)
	}
	if n := c.values[field+".methods"]; n != nil && len(r.Methods) == 0 && !c.within[field+".methods"] {
		c.addf(n, field+".methods", "no method: want at least one, or no field for all methods")
	}
	return compiled
}

func (c *compiler) budget(field string, b budget) ratelimit.Budget {
	return ratelimit.Budget{
		Name: b.Name, Limits: ratelimit.Limits(b.Limits),
		LimitsFor: c.limitsFor(field+".limits_for", b.LimitsFor),
		MaxWait:   time.Duration(b.MaxWait), OnStoreFailure: ratelimit.FailurePolicy(b.OnStoreFailure),
	}
}

func (c *compiler) block(field string, b *block) *ratelimit.Block {
	if b == nil {
		return nil
	}
	return &ratelimit.Block{
		After: ratelimit.Limit(b.After), For: time.Duration(b.For), Max: time.Duration(b.Max),
		Forget: time.Duration(b.Forget), When: c.responses(field+".when", b.When),
	}
}

func (c *compiler) login(field, name string, l loginRule) login.Config {
	return login.Config{
		Name: name, Account: c.account(field+".account", l.Account),
		Succeeded: c.responses(field+".succeeded", l.Succeeded),
		Failed:    c.responses(field+".failed", l.Failed),
		PerPair:   ratelimit.Limits(l.PerPair), PerAccount: ratelimit.Limits(l.PerAccount),
		PerAddress: ratelimit.Limits(l.PerAddress), PerNetwork: ratelimit.Limits(l.PerNetwork),
		Total: ratelimit.Limits(l.Total), NewPairs: ratelimit.Limits(l.NewPairs),
		Block: c.block(field+".block", l.Block), Remember: time.Duration(l.Remember),
		OnStoreFailure: ratelimit.FailurePolicy(l.OnStoreFailure), Mode: ratelimit.Mode(l.Mode),
	}
}

// maxRules is how many rules and budgets a file has at most, and how many routes each of its lists
// has. Each rule for every request is part of each route, and a ServeMux compares each pattern with
// others, so the number bounds what a limiter makes of a file.
const maxRules = 1000

// count reports whether a file has few enough rules.
func (c *compiler) count(spec *file) bool {
	n := len(spec.Rules) + len(spec.Budgets) + len(spec.Logins)
	for _, rules := range spec.Routes {
		n += len(rules)
	}
	for _, d := range spec.Decorators {
		n += len(d.Rules)
	}
	for field, n := range map[string]int{
		"": n, "exempt_routes": len(spec.ExemptRoutes), "routes": len(spec.Routes),
	} {
		if !c.few(field, n) {
			return false
		}
	}
	return true
}

// few reports whether a field has few enough rules or routes.
func (c *compiler) few(field string, n int) bool {
	if n > maxRules {
		c.addf(c.nearest(field), field, "%d: want at most %d rules or routes", n, maxRules)
	}
	return n <= maxRules
}
