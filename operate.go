package ratelimit

import (
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
)

// Mode says whether a [Rule] denies requests. Try a rule out with [DryRun], roll it out with
// [EnforcePercent], and switch it off in an emergency with [Limiter.SetMode].
type Mode string

const (
	// Enforce is the ordinary mode.
	Enforce Mode = "enforce"
	// DryRun counts as Enforce does but denies no request. Hooks.DryRun is told of requests that the
	// rule would have denied. Responses do not show the rule. Each such rule is one more call of the
	// Store, after the other rules have allowed the request. InFlight, MaxWait and Block do nothing.
	DryRun Mode = "dry-run"
	// Off does not apply the rule at all.
	Off Mode = "off"
)

const enforcePrefix = "enforce "

// EnforcePercent is [Enforce] for percent of all keys, always the same keys, and [DryRun] for the
// others. From 0 down it is DryRun, and from 100 up it is Enforce. A greater percentage includes the
// keys of a smaller one. Each rule selects different keys.
func EnforcePercent(percent int) Mode {
	switch {
	case percent <= 0:
		return DryRun
	case percent >= 100:
		return Enforce
	}
	return Mode(enforcePrefix + strconv.Itoa(percent) + "%")
}

// parse returns Enforce, DryRun or Off, and of which percentage of keys a DryRun is enforced. The
// empty Mode is Enforce.
func (m Mode) parse() (base Mode, percent int, ok bool) {
	switch m {
	case "", Enforce:
		return Enforce, 100, true
	case DryRun, Off:
		return m, 0, true
	}
	digits, found := strings.CutPrefix(string(m), enforcePrefix)
	digits, percents := strings.CutSuffix(digits, "%")
	n, err := strconv.Atoi(digits)
	if !found || !percents || err != nil || m != EnforcePercent(n) {
		return "", 0, false
	}
	return DryRun, n, true
}

// enforces reports whether r, which is not Off, denies requests of k.
func (r *rule) enforces(k Key) bool {
	if r.mode == Enforce || r.percent == 0 {
		return r.mode == Enforce
	}
	h, b := fnv.New32a(), k.Bytes() // the same in every process
	_, _ = h.Write([]byte(r.Name))
	_, _ = h.Write(b[:])
	return h.Sum32()%100 < uint32(r.percent)
}

// An observation is a rule in DryRun, as it applies to one request.
type observation struct {
	rule *rule
	plan *plan
	key  Key
	cost int64
}

// observe counts a request under the rules in DryRun, and adds what they took to a.
func (l *Limiter) observe(r *http.Request, a *admission, observed []observation) {
	for _, o := range observed {
		c := l.newCall()
		c.add(o.plan, o.key, o.cost, 0)
		_ = l.apply(r.Context(), &c.verdict) // reported there
		switch worst := c.strictest(); {
		case worst < 0: // the store failed, or the rule is unlimited
		case c.ops[worst].Result.Allowed:
			taken, all := c.taken(), a.all()
			all.ops, all.from = append(all.ops, taken.ops...), append(all.from, taken.from...)
		case l.cfg.Hooks.DryRun != nil:
			var d Decision
			c.decide(&d)
			l.reporter.Call(r.Context(), "DryRun", func() error { l.cfg.Hooks.DryRun(r, d); return nil })
		}
		l.free(c)
	}
}

// Policy is the part of a [Config] that [Limiter.SetPolicy] can replace.
type Policy struct {
	_ [0]func()

	Rules        []Rule
	Routes       map[string][]Rule
	ExemptRoutes []string
	Exempt       func(r *http.Request) bool
	Budgets      []Budget
}

// source is what the rules of a Limiter are compiled from. It is immutable.
type source struct {
	policy     Policy
	decorators []*decorator
	rules      [][]Rule // of decorators
	modes      map[string]Mode
	off        bool
}

// A decorator is the rules that Limiter.With was given.
type decorator struct {
	set atomic.Pointer[ruleSet]
}

// change compiles what edit makes of the source, and puts it into force for all requests from the
// next one on. If there are mistakes, it returns all of them and changes nothing.
func (l *Limiter) change(edit func(s *source) error) error {
	l.changing.Lock()
	defer l.changing.Unlock()
	s := l.source
	s.decorators, s.rules, s.modes = slices.Clone(s.decorators), slices.Clone(s.rules), maps.Clone(s.modes)
	if s.modes == nil {
		s.modes = map[string]Mode{}
	}
	if err := edit(&s); err != nil {
		return err
	}
	c := compiler{cfg: &l.cfg, source: &s, names: map[string]*rule{}, shared: l.shared}
	t := c.table()
	sets := make([]*ruleSet, len(s.rules))
	for i, rules := range s.rules {
		sets[i] = newRuleSet(c.rules("With", rules))
	}
	if len(c.mistakes) > 0 {
		return c.err()
	}
	t.byName = newNames(c.names)
	for i, d := range s.decorators {
		d.set.Store(sets[i])
	}
	l.table.Store(t)
	l.source = s
	maps.DeleteFunc(l.shared, func(name string, _ *counters) bool { return c.names[name] == nil })
	return nil
}

// decorate adds a decorator with these rules.
func (l *Limiter) decorate(rules []Rule) (*decorator, error) {
	if len(rules) == 0 {
		return nil, &ConfigError{"With", errors.New("no rules: want at least one")}
	}
	d := new(decorator)
	return d, l.change(func(s *source) error {
		s.decorators, s.rules = append(s.decorators, d), append(s.rules, slices.Clone(rules))
		return nil
	})
}

// SetPolicy replaces the policy of l for all requests from the next one on. Under a rule of the same
// name each key keeps what it has spent. The rules of decorators and logins stay: see
// [Limiter.SetRules]. Modes that were set by [Limiter.SetMode] stay. The error joins a
// [*ConfigError] for every mistake. Then nothing is replaced.
func (l *Limiter) SetPolicy(p Policy) error {
	return l.change(func(s *source) error { s.policy = p.clone(); return nil })
}

// SetRules replaces rules by rules of the same names, wherever they are in use: in the policy, in
// decorators and in logins. The errors are those of [Limiter.SetPolicy], and [ErrNoRule].
func (l *Limiter) SetRules(rules ...Rule) error {
	return l.change(func(s *source) error {
		var errs []error
		s.policy = s.policy.clone()
		for _, r := range rules {
			if !s.replace(r) {
				errs = append(errs, noRule(r.Name))
			}
		}
		return errors.Join(errs...)
	})
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

// clone returns a copy of p that shares no slice or map of rules with it.
func (p *Policy) clone() Policy {
	c := Policy{
		Rules: slices.Clone(p.Rules), ExemptRoutes: slices.Clone(p.ExemptRoutes), Exempt: p.Exempt,
		Budgets: slices.Clone(p.Budgets), Routes: make(map[string][]Rule, len(p.Routes)),
	}
	for pattern, rules := range p.Routes {
		c.Routes[pattern] = slices.Clone(rules)
	}
	return c
}

// AddBudgets adds budgets while the limiter is in use. The errors are those of [Limiter.SetPolicy].
func (l *Limiter) AddBudgets(budgets ...Budget) error {
	return l.change(func(s *source) error {
		s.policy = s.policy.clone()
		s.policy.Budgets = append(s.policy.Budgets, budgets...)
		return nil
	})
}

// SetMode sets the mode of the named rule, from the next request on. The mode survives SetPolicy and
// SetRules. The empty Mode returns to the mode that the Rule itself has. SetMode is for this process
// only. The error says that there is no such rule ([ErrNoRule]) or mode.
func (l *Limiter) SetMode(rule string, mode Mode) error {
	return l.change(func(s *source) error {
		_, _, ok := mode.parse()
		switch {
		case l.table.Load().byName.find(rule) == nil:
			return noRule(rule)
		case !ok:
			return fmt.Errorf("ratelimit: unknown mode %q: want Enforce, DryRun, Off or EnforcePercent", mode)
		case mode == "":
			delete(s.modes, rule)
		default:
			s.modes[rule] = mode
		}
		return nil
	})
}

// SetEnabled switches the whole limiter off or on, from the next request on. While it is off, every
// request goes on untouched, and Take, Peek and Wait allow everything. It is for this process only.
func (l *Limiter) SetEnabled(on bool) {
	_ = l.change(func(s *source) error { s.off = !on; return nil }) // what was compiled before has no mistakes
}
