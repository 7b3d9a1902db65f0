package ratelimit

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/ratelimit-go/ratelimit/clientip"
	"github.com/ratelimit-go/ratelimit/internal/keyer"
	"github.com/ratelimit-go/ratelimit/internal/named"
	"github.com/ratelimit-go/ratelimit/internal/respond"
	"github.com/ratelimit-go/ratelimit/internal/routes"
)

// table is the compiled policy of a Limiter. It is immutable.
type table struct {
	every  *ruleSet // of requests that match no route
	routes routes.Table[*ruleSet]
	exempt func(*http.Request) bool
	byName named.Set[*rule]
	// sources are how rules and lists find addresses.
	sources []clientip.Source
	off     bool // SetEnabled(false)
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

// route returns the rules for r: of every route that r can be read to match. It is exempt only if
// every reading is, and nothing about its path and host is doubtful.
func (t *table) route(r *http.Request) *ruleSet {
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
	cfg     *Config
	source  *source
	names   map[string]*rule
	shown   map[string]string    // names of rules, by the names of limits in fields of responses
	sources []clientip.Source    // see table
	shared  map[string]*counters // by name of rule, of the table before and of this one
}

// table compiles everything except decorators.
func (c *compiler) table() *table {
	p := &c.source.policy
	every := c.rules("Rules", p.Rules)
	t := &table{every: newRuleSet(every), exempt: p.Exempt, off: c.source.off}
	for _, list := range []*List{c.cfg.Allow, c.cfg.Deny} {
		if list != nil {
			c.watch(list.source(c.cfg.ClientIP))
		}
	}
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
		rules := slices.Clone(p.Routes[pattern])
		for i := range rules {
			rules[i].Key = keyer.BindPattern(rules[i].Key, pattern)
		}
		if len(rules) == 0 {
			c.addf(field, "no rules: want at least one, or the pattern in ExemptRoutes")
		}
		add(field, pattern, newRuleSet(slices.Concat(every, c.rules(field, rules))))
	}
	for i, pattern := range p.ExemptRoutes {
		add(fmt.Sprintf("ExemptRoutes[%d]", i), pattern, &ruleSet{exempt: true})
	}
	return t
}

// watch notes how a rule or a list finds addresses.
func (c *compiler) watch(src clientip.Source) {
	if !slices.Contains(c.sources, src) {
		c.sources = append(c.sources, src)
	}
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
	for _, name := range compiled.shownNames() {
		if other := c.shown[name]; other != "" {
			c.addf(field+".Name", "%q: fields of a response would name a limit %q, as one of rule %q: "+
				"want another name", r.Name, name, other)
		}
		c.shown[name] = r.Name
	}
	compiled.simple = compiled.simple && !c.source.off
	c.names[r.Name] = compiled
	if src, ok := keyer.SourceOf(compiled.Key); ok {
		c.watch(src)
	}
	return compiled
}
