package ratelimit

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/ratelimit-go/ratelimit/internal/respond"
	"github.com/ratelimit-go/ratelimit/internal/routes"
)

// table is the compiled policy of a Limiter. It is immutable.
type table struct {
	every  *ruleSet // of requests that match no route
	routes routes.Table[*ruleSet]
	exempt func(*http.Request) bool
	byName names
	off    bool // SetEnabled(false)
}

// maxPlain is how many limits the fast ways decide: servePlain, one and wideAdmission.
const maxPlain = 3 // at most memory.MaxKnown

// A ruleSet is the rules of one route or decorator, in one decision. It is immutable.
type ruleSet struct {
	rules   []*rule
	exempt  bool
	plain   bool // all rules only take tokens, and few enough for servePlain
	outcome      // of servePlain: RateLimit-Policy if all rules apply with their own Limits
}

func newRuleSet(rules []*rule) *ruleSet {
	s := &ruleSet{rules: rules, plain: len(rules) > 0}
	limits := 0
	var fields []string
	for _, r := range rules {
		s.plain = s.plain && r.plain
		limits += len(r.plan.policies)
		if r.plan.field != "" {
			fields = append(fields, r.plan.field)
		}
	}
	s.plain = s.plain && limits <= maxPlain
	s.field = strings.Join(fields, ", ")
	return s
}

// names finds rules by their names. It is immutable.
type names struct {
	few []*rule // all rules, if they are so few that looking at each is faster than a map
	all map[string]*rule
}

func newNames(all map[string]*rule) names {
	n := names{all: all}
	if len(all) <= 8 {
		n.few = slices.Collect(maps.Values(all))
	}
	return n
}

// find returns the rule of that name, or nil.
func (n *names) find(name string) *rule {
	for _, r := range n.few {
		if r.Name == name {
			return r
		}
	}
	return n.all[name]
}

// route returns the rules for r. A path that a ServeMux would redirect to an exempt path is not
// exempt, because another router may not redirect it.
func (t *table) route(r *http.Request) *ruleSet {
	set, exact, found := t.routes.Find(r)
	if !found || set.exempt && !exact {
		return t.every
	}
	return set
}

// source is what the rules of a Limiter are compiled from. Limiter.change edits a copy.
type source struct {
	policy     Policy
	decorators []*decorator
	rules      [][]Rule // of decorators
	modes      map[string]Mode
	off        bool
}

// replace replaces the rule of r's name, and reports whether there is one.
func (s *source) replace(r Rule) bool {
	in := func(rules []Rule) bool {
		i := slices.IndexFunc(rules, func(old Rule) bool { return old.Name == r.Name })
		if i >= 0 {
			rules[i] = r
		}
		return i >= 0
	}
	if in(s.policy.Rules) {
		return true
	}
	for _, rules := range s.policy.Routes {
		if in(rules) {
			return true
		}
	}
	for i := range s.rules {
		if rules := slices.Clone(s.rules[i]); in(rules) {
			s.rules[i] = rules
			return true
		}
	}
	return false
}

// A decorator is the rules that Limiter.With was given.
type decorator struct{ set atomic.Pointer[ruleSet] }

// A compiler compiles the rules of a Limiter. Every rule must have a name of its own.
type compiler struct {
	mistakes
	cfg    *Config
	source *source
	names  map[string]*rule
	shared map[string]*counters // by name of rule, of the table before and of this one
}

// table compiles everything except decorators.
func (c *compiler) table() *table {
	p := &c.source.policy
	every := c.rules("Rules", p.Rules)
	t := &table{every: newRuleSet(every), exempt: p.Exempt, off: c.source.off}
	for i := range p.Budgets {
		c.rule(fmt.Sprintf("Budgets[%d]", i), p.Budgets[i].rule())
	}
	add := func(field, pattern string, set *ruleSet) {
		if err := t.routes.Add(pattern, set); err != nil {
			c.mistakes.add(field, err)
		}
	}
	for _, pattern := range slices.Sorted(maps.Keys(p.Routes)) {
		field := fmt.Sprintf("Routes[%q]", pattern)
		rules := c.rules(field, p.Routes[pattern])
		add(field, pattern, newRuleSet(slices.Concat(every, rules)))
	}
	for i, pattern := range p.ExemptRoutes {
		add(fmt.Sprintf("ExemptRoutes[%d]", i), pattern, &ruleSet{exempt: true})
	}
	return t
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
	compiled := compileRule(r, c.cfg, shared)
	compiled.simple = compiled.simple && !c.source.off
	c.names[r.Name] = compiled
	return compiled
}
