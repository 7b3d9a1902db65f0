package ratelimit

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// table is the rules of a Limiter and the requests they apply to. It is immutable.
type table struct {
	rules    []*rule
	routes   *http.ServeMux // nil if there are none
	patterns map[string]*route
	exempt   func(*http.Request) bool
}

// route is what a pattern of Routes or ExemptRoutes means.
type route struct {
	rules  []*rule
	exempt bool
}

// matched is the handler of every pattern. A request for which a ServeMux finds another one does not
// match: its path is not clean, or lacks a slash at its end.
type matched struct{}

func (matched) ServeHTTP(http.ResponseWriter, *http.Request) {}

// names is rules by their names. It is immutable.
type names struct {
	few []*rule // all of them, if there are so few that looking at each is faster than a map
	all map[string]*rule
}

func newNames(all map[string]*rule) *names {
	n := &names{all: all}
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

// compileTable compiles what cfg says of rules, and adds them to names.
func compileTable(m *mistakes, cfg Config, names map[string]*rule) *table {
	t := &table{patterns: map[string]*route{}, exempt: cfg.Exempt, rules: compileRules(m, "Rules", cfg.Rules, &cfg, names)}
	if len(cfg.Routes)+len(cfg.ExemptRoutes) == 0 {
		return t
	}
	t.routes = http.NewServeMux()
	for _, pattern := range slices.Sorted(maps.Keys(cfg.Routes)) {
		field := fmt.Sprintf("Routes[%q]", pattern)
		t.add(m, field, pattern, &route{rules: compileRules(m, field, cfg.Routes[pattern], &cfg, names)})
	}
	for i, pattern := range cfg.ExemptRoutes {
		t.add(m, fmt.Sprintf("ExemptRoutes[%d]", i), pattern, &route{exempt: true})
	}
	return t
}

// compileRules compiles rules that have no mistakes, for a Limiter of cfg, and adds them to names.
func compileRules(m *mistakes, field string, rules []Rule, cfg *Config, names map[string]*rule) []*rule {
	var compiled []*rule
	for i, r := range rules {
		at, before := fmt.Sprintf("%s[%d]", field, i), len(*m)
		r.check(m, at)
		if names[r.Name] != nil && validName(r.Name) {
			m.addf(at+".Name", "%q is the name of another rule: want another one (a decorator can wrap several handlers)", r.Name)
		}
		if len(*m) > before {
			names[r.Name] = new(rule) // which nobody uses, since there are mistakes
			continue
		}
		c := compileRule(r, cfg)
		names[r.Name] = c
		compiled = append(compiled, c)
	}
	return compiled
}

// withoutPlaces returns what http.ServeMux says of a pattern, without the lines of this package.
func withoutPlaces(text string) string {
	for {
		before, place, found := strings.Cut(text, " (registered at ")
		_, after, closed := strings.Cut(place, ")")
		if !found || !closed {
			return text
		}
		text = before + after
	}
}

func (t *table) add(m *mistakes, field, pattern string, rt *route) {
	defer func() {
		if p := recover(); p != nil {
			m.addf(field, "%s", withoutPlaces(fmt.Sprint(p)))
		}
	}()
	if method := pattern[:max(strings.IndexAny(pattern, " \t"), 0)]; wrongCase(method) {
		m.addf(field, "method %q matches no request: want %s", method, strings.ToUpper(method))
	}
	t.routes.Handle(pattern, matched{})
	t.patterns[pattern] = rt
}

// routed returns the rules of the route that r matches, and whether it is exempt.
func (t *table) routed(r *http.Request) (rules []*rule, exempt bool) {
	if t.routes == nil {
		return nil, false
	}
	h, pattern := t.routes.Handler(r)
	if rt := t.patterns[pattern]; rt != nil {
		if _, exact := h.(matched); rt.exempt && !exact {
			return nil, false // a ServeMux would redirect there, but what is around it may not be one
		}
		return rt.rules, rt.exempt
	}
	return nil, false
}

// decorate adds the rules of a decorator.
func (l *Limiter) decorate(rules []Rule) ([]*rule, error) {
	l.changing.Lock()
	defer l.changing.Unlock()
	var m mistakes
	if len(rules) == 0 {
		m.add("With", errors.New("no rules: want at least one"))
	}
	names := maps.Clone(l.byName.Load().all)
	compiled := compileRules(&m, "With", rules, &l.cfg, names)
	if len(m) > 0 {
		return nil, errors.Join(m...)
	}
	for _, r := range compiled {
		l.decorated[r.Name] = r
	}
	l.byName.Store(newNames(names))
	return compiled, nil
}

// Replace puts the Rules, Routes, ExemptRoutes and Exempt of cfg in the place of those that l
// has, from the next request on. What each key has spent under a rule of the same name
// stays spent. The rules of decorators stay as they are. All other fields of cfg must be zero.
//
// The error joins a [*ConfigError] for every mistake there is; then nothing is replaced.
func (l *Limiter) Replace(cfg Config) error {
	var m mistakes
	cfg.checkReplacement(&m)
	cfg.OnStoreFailure, cfg.Instances = l.cfg.OnStoreFailure, l.cfg.Instances
	l.changing.Lock()
	defer l.changing.Unlock()
	names := maps.Clone(l.decorated)
	t := compileTable(&m, cfg, names)
	if len(m) > 0 {
		return errors.Join(m...)
	}
	l.table.Store(t)
	l.byName.Store(newNames(names))
	return nil
}
