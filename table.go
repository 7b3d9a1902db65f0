package ratelimit

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/ratelimit-go/ratelimit/clientip"
	"github.com/ratelimit-go/ratelimit/internal/copied"
	"github.com/ratelimit-go/ratelimit/internal/keyer"
	"github.com/ratelimit-go/ratelimit/internal/labels"
	"github.com/ratelimit-go/ratelimit/internal/named"
	"github.com/ratelimit-go/ratelimit/internal/respond"
	"github.com/ratelimit-go/ratelimit/internal/routes"
	"github.com/ratelimit-go/ratelimit/internal/verdict"
	"github.com/ratelimit-go/ratelimit/store"
)

// table is the compiled policy of a Limiter. It is immutable.
type table struct {
	every   *ruleSet // of requests that match no route
	routes  routes.Table[*ruleSet]
	exempt  func(*http.Request) bool
	byName  named.Set[*rule]
	sources []clientip.Source // how rules and lists find addresses
	off     bool              // SetEnabled(false)
	shows   bool              // functions that are not of rules or hooks see every request
}

// ErrNoRule means that a limiter has no rule or budget of that name.
var ErrNoRule = errors.New("no such rule")

func noRule(name string) error { return fmt.Errorf("ratelimit: %w: %q", ErrNoRule, name) }

// A ruleSet is the rules of one route or decorator, in one decision. It is immutable.
type ruleSet struct {
	rules   []*rule
	exempt  bool
	plain   bool            // all rules only take tokens, and few enough for servePlain
	use     copied.Use      // of all rules; in table.every, of all routes too
	outcome verdict.Outcome // of servePlain: RateLimit-Policy if all rules apply with their own Limits
}

func newRuleSet(rules []*rule) *ruleSet {
	s := &ruleSet{rules: rules, plain: len(rules) > 0}
	limits := 0
	var fields []string
	for _, r := range rules {
		s.plain, s.use = s.plain && r.plain, s.use.Or(r.use)
		limits += len(r.plan.Policies)
		if r.plan.Field != "" {
			fields = append(fields, r.plan.Field)
		}
	}
	s.plain = s.plain && limits <= maxPlain
	s.outcome.Field = strings.Join(fields, ", ")
	return s
}

// route returns the rules for r: own, if it is not nil, or of every route that r can be read to
// match. It is exempt only if every reading is, and nothing about its path and host is doubtful.
func (t *table) route(own *ruleSet, r *http.Request) *ruleSet {
	if own != nil {
		return own
	}
	m := t.routes.Find(r)
	set := m.Value
	limited := slices.ContainsFunc(m.Others, func(s *ruleSet) bool { return !s.exempt })
	if !m.Found || set.exempt && (!m.Exact || m.Missed || limited) {
		set = t.every
	}
	if !limited {
		return set
	}
	rules := slices.Clone(set.rules)
	for _, other := range m.Others {
		for _, r := range other.rules {
			if !slices.Contains(rules, r) {
				rules = append(rules, r)
			}
		}
	}
	return newRuleSet(rules)
}

// source is what the rules of a Limiter are compiled from. Limiter.change edits a copy.
type source struct {
	policy     Policy
	decorators []*decorator
	rules      [][]Rule // of decorators
	modes      map[string]Mode
	off        bool
}

// replace replaces rules by rules of the same names. A name that no rule has is a mistake.
func (s *source) replace(rules []Rule) (m mistakes) {
	all := append([][]Rule{s.policy.Rules}, slices.Collect(maps.Values(s.policy.Routes))...)
	for i := range s.rules {
		s.rules[i] = slices.Clone(s.rules[i])
	}
	all = append(all, s.rules...)
	for _, r := range cloneRules(rules) {
		same := func(old Rule) bool { return old.Name == r.Name }
		i := slices.IndexFunc(all, func(in []Rule) bool { return slices.ContainsFunc(in, same) })
		if i < 0 {
			m = append(m, noRule(r.Name))
			continue
		}
		all[i][slices.IndexFunc(all[i], same)] = r
	}
	return m
}

// A decorator is the rules that Limiter.With was given.
type decorator struct{ set atomic.Pointer[ruleSet] }

// A compiler compiles the rules of a Limiter. Every rule must have a name of its own.
type compiler struct {
	mistakes
	cfg     *Config
	source  *source
	names   map[string]*rule
	labels  *labels.Table
	shown   respond.Names
	sources keyer.Sources        // see table
	shared  map[string]*counters // by name of rule, of the table before and of this one
}

// table compiles everything except decorators.
func (c *compiler) table() *table {
	p := &c.source.policy
	every := c.rules("Rules", p.Rules)
	t := &table{every: c.set("Rules", every), exempt: p.Exempt, shows: p.Exempt != nil, off: c.source.off}
	for _, list := range []*List{c.cfg.Allow, c.cfg.Deny} {
		if list != nil {
			c.sources[cmp.Or(list.ClientIP, c.cfg.ClientIP)] = true
			t.shows = t.shows || list.Key != nil && keyer.Shows(list.Key)
		}
	}
	for i := range p.Budgets {
		field := fmt.Sprintf("Budgets[%d]", i)
		if r := c.rule(field, p.Budgets[i].rule()); r != nil {
			c.set(field, []*rule{r})
		}
	}
	for _, pattern := range slices.Sorted(maps.Keys(p.Routes)) {
		field := fmt.Sprintf("Routes[%q]", pattern)
		rules := slices.Clone(p.Routes[pattern])
		for i := range rules {
			rules[i].Key = keyer.BindPattern(rules[i].Key, pattern)
		}
		if len(rules) == 0 {
			c.addf(field, "no rules: want at least one, or the pattern in ExemptRoutes")
		}
		set := c.set(field, slices.Concat(every, c.rules(field, rules)))
		t.every.use = t.every.use.Or(set.use)
		c.mistakes.add(field, t.routes.Add(pattern, set))
	}
	for i, pattern := range p.ExemptRoutes {
		field, err := fmt.Sprintf("ExemptRoutes[%d]", i), t.routes.Add(pattern, &ruleSet{exempt: true})
		c.mistakes.add(field, cmp.Or(err, routes.CheckExempt(pattern, len(p.Rules))))
	}
	return t
}

// set returns the ruleSet of rules, all of which a request can meet.
func (c *compiler) set(field string, rules []*rule) *ruleSet {
	checker, ok := c.cfg.Store.(store.Checker)
	var limits []*store.Limit
	for _, r := range rules {
		for i := range r.plan.Policies {
			limits = append(limits, r.plan.Policies[i].Limit)
		}
		if r.block != nil {
			limits = append(limits, r.block.Asks(Key{}).Limit)
		}
	}
	if ok && len(limits) > 0 && !keyer.IsNil(checker) {
		c.mistakes.add(field, checker.Check(limits))
	}
	return newRuleSet(rules)
}

// rules compiles rules, leaving out those with mistakes.
func (c *compiler) rules(field string, rules []Rule) []*rule {
	var compiled []*rule
	for i, r := range rules {
		if rl := c.rule(fmt.Sprintf("%s[%d]", field, i), r); rl != nil {
			compiled = append(compiled, rl)
		}
	}
	return compiled
}

// rule compiles one rule. It returns nil if the rule has mistakes.
func (c *compiler) rule(field string, r Rule) *rule {
	before := len(c.mistakes)
	r.check(&c.mistakes, field)
	if c.names[r.Name] != nil && respond.ValidName(r.Name) {
		c.addf(field+".Name", "%q is the name of another rule: "+
			"want another one (a decorator can wrap several handlers)", r.Name)
	}
	if len(c.mistakes) > before {
		c.names[r.Name] = new(rule) // unused, because there are mistakes
		return nil
	}
	if mode, ok := c.source.modes[r.Name]; ok {
		r.Mode = mode
	}
	shared := c.shared[r.Name]
	if shared == nil {
		shared = new(counters)
		c.shared[r.Name] = shared
	}
	compiled := compileRule(r, c.cfg, shared, c.labels)
	c.mistakes.add(field+".Name", compiled.show(c.shown))
	compiled.simple = compiled.simple && !c.source.off
	c.names[r.Name] = compiled
	if src, ok := keyer.SourceOf(compiled.Key); ok {
		c.sources[src] = true
	}
	return compiled
}
