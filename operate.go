package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/ratelimit-go/ratelimit/internal/deploy"
	"github.com/ratelimit-go/ratelimit/internal/keyer"
	"github.com/ratelimit-go/ratelimit/internal/named"
	"github.com/ratelimit-go/ratelimit/internal/report"
	"github.com/ratelimit-go/ratelimit/internal/respond"
	"github.com/ratelimit-go/ratelimit/internal/verdict"
	"github.com/ratelimit-go/ratelimit/store"
)

// Limit returns a decorator that enforces the limits in text, as [Parse] reads them, by key.
// Without a key it counts by [ByClientIP]. Each call of Limit makes one rule, which all handlers of
// the decorator share. Its name is the text, with a number if the text is used again. Limiters with
// one Store share the buckets of rules of one name: name the rules by [Limiter.With] if they must
// not, or if the code of instances can differ, such as in a rolling deployment. Limit panics if
// text or key is not valid, as [http.ServeMux.Handle] does for patterns.
//
// Call Limit at start-up. A call for each request shares the rule of the first, and is reported.
func (l *Limiter) Limit(text string, keys ...Keyer) func(http.Handler) http.Handler {
	limits := MustParse(text)
	by := slices.Concat(keys, []Keyer{ByClientIP()})[0]
	if len(keys) > 1 || by == nil {
		panic(fmt.Sprintf("ratelimit: Limit: %d keys: want one that is not nil: "+
			"see AllOf and FirstOf", len(keys)))
	}
	name := limits.String()
	if len(name) > 56 {
		name = name[:56]
	}
	base, site := name, deploy.Caller()
	for n := 2; ; n++ {
		old := l.table.Load().byName.Find(name)
		if old == nil {
			_ = l.watch.Again(name, site)
			return l.With(Rule{Name: name, Limits: limits, Key: by})
		}
		if slices.Equal(old.Limits, limits) && l.watch.Again(name, site) {
			decorate, _ := l.late(Rule{Name: name, Limits: limits, Key: by}) // valid as old is
			return decorate
		}
		name = base + " #" + strconv.Itoa(n)
	}
}

// With returns a decorator that enforces rules on the handlers it is applied to. If it denies a
// request behind [Limiter.Handler] or another decorator, the outer limiter refunds what it took.
// Header fields that the outer limiter wrote do not show that. With panics if there is no rule, if
// a rule is not valid, or if its name is taken. Call it during start-up only.
func (l *Limiter) With(rules ...Rule) func(http.Handler) http.Handler {
	decorate, err := l.Decorator(rules...)
	if err != nil {
		panic(err.Error())
	}
	return decorate
}

// Decorator is like [Limiter.With] but returns an error instead of panicking. The error joins a
// [*ConfigError] for every mistake.
func (l *Limiter) Decorator(rules ...Rule) (func(http.Handler) http.Handler, error) {
	if len(rules) == 0 {
		return nil, &ConfigError{"With", report.Text(errors.New("no rules: want at least one"))}
	}
	if l.watch.Begun() && len(l.table.Load().byName.All()) >= maxLateRules {
		return l.late(rules...)
	}
	d := new(decorator)
	m := l.change(func(s *source) mistakes {
		s.decorators, s.rules = append(s.decorators, d), append(s.rules, cloneRules(rules))
		return nil
	})
	if len(m) > 0 {
		return nil, m.err()
	}
	return l.decorate(d), nil
}

func (l *Limiter) decorate(d *decorator) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		respond.CheckHandler("ratelimit", next)
		late := respond.Late(next, l.cfg.MergeHeaders, l.cfg.SharedCache, l.now, l.reporter.Once)
		return &handler{l, late, next, d}
	}
}

// maxLateRules is from how many rules on a Limiter does not keep late decorators.
const maxLateRules = 1000

// late returns a decorator that was made while requests are served, usually one for each request.
// It is not kept. It shares the buckets of rules that have the same names.
func (l *Limiter) late(rules ...Rule) (func(http.Handler) http.Handler, error) {
	l.reporter.Once(context.Background(), "late", fmt.Errorf("ratelimit: rule %q: a decorator is made "+
		"while requests are served: make it once, at start-up", rules[0].Name))
	l.changing.Lock()
	defer l.changing.Unlock()
	c := l.compiler(&l.source)
	c.shared = maps.Clone(l.shared)
	var d decorator
	d.set.Store(newRuleSet(c.rules("With", cloneRules(rules))))
	return l.decorate(&d), c.mistakes.err()
}

// change compiles what edit makes of the source, and puts it into force for all requests from the
// next one on. If there are mistakes, it returns all of them and changes nothing.
func (l *Limiter) change(edit func(s *source) mistakes) mistakes {
	l.changing.Lock()
	defer l.changing.Unlock()
	s := l.source
	s.decorators, s.rules, s.modes = slices.Clone(s.decorators), slices.Clone(s.rules), maps.Clone(s.modes)
	if m := edit(&s); len(m) > 0 {
		return m
	}
	c := l.compiler(&s)
	// Old decorators come first: of two rules with one name, the new rule is the mistake.
	before := len(l.source.rules)
	sets := c.ruleSets(s.rules[:before])
	t := c.table()
	sets = append(sets, c.ruleSets(s.rules[before:])...)
	if len(c.mistakes) > 0 {
		return c.mistakes
	}
	t.byName, t.sources = named.NewSet(c.names), slices.Collect(maps.Keys(c.sources))
	t.shows = t.shows || slices.ContainsFunc(t.sources, keyer.SourceShows)
	for i, d := range s.decorators {
		d.set.Store(sets[i])
	}
	l.table.Store(t)
	l.source = s
	maps.DeleteFunc(l.shared, func(name string, _ *counters) bool { return c.names[name] == nil })
	return nil
}

func (l *Limiter) compiler(s *source) *compiler {
	c := &compiler{cfg: l.cfg, source: s, shared: l.shared, names: map[string]*rule{}, labels: l.labels}
	c.shown, c.sources = respond.Names{}, keyer.Sources{}
	return c
}

// ruleSets compiles the rules of decorators.
func (c *compiler) ruleSets(decorators [][]Rule) []*ruleSet {
	var sets []*ruleSet
	for _, rules := range decorators {
		sets = append(sets, c.set("With", c.rules("With", rules)))
	}
	return sets
}

// SetPolicy replaces the policy of l for all requests from the next one on, and in the same step
// the given rules of decorators and logins, as [Limiter.SetRules] does. Their other rules stay.
// Under a rule of the same name each key keeps what it has spent. Modes that were set by
// [Limiter.SetMode] stay. The error joins a [*ConfigError] for every mistake, and [ErrNoRule]. Then
// nothing is replaced.
func (l *Limiter) SetPolicy(p Policy, rules ...Rule) error {
	if len(p.Rules)+len(p.Routes)+len(p.Budgets) == 0 {
		l.reporter.Once(context.Background(), "empty", errors.New("ratelimit: SetPolicy without any rule"))
	}
	return l.change(func(s *source) mistakes { s.policy = p.clone(); return s.replace(rules) }).err()
}

// SetRules replaces rules by rules of the same names, wherever they are in use: in the policy, in
// decorators and in logins, where the Replace method of a login guard is the better way. The errors
// are the errors of [Limiter.SetPolicy].
func (l *Limiter) SetRules(rules ...Rule) error {
	return l.change(func(s *source) mistakes { s.policy = s.policy.clone(); return s.replace(rules) }).err()
}

// SetMode sets the mode of the named rule, from the next request on. The mode survives SetPolicy
// and SetRules. The empty Mode returns to the mode that the Rule itself has. SetMode is for this
// process only. The error says that there is no such rule ([ErrNoRule]) or mode.
func (l *Limiter) SetMode(rule string, mode Mode) error {
	return l.change(func(s *source) mistakes {
		_, _, ok := mode.parse()
		switch {
		case l.table.Load().byName.Find(rule) == nil:
			return mistakes{noRule(rule)}
		case !ok:
			return mistakes{fmt.Errorf("ratelimit: "+unknownMode, mode)}
		case mode == "":
			delete(s.modes, rule)
		default:
			s.modes[rule] = mode
		}
		return nil
	}).err()
}

// SetEnabled switches the whole limiter off or on in this process, from the next request on. While
// it is off, every request passes unchecked, and Take, Peek and Wait allow everything.
func (l *Limiter) SetEnabled(on bool) {
	l.change(func(s *source) mistakes { s.off = !on; return nil }) // no mistakes are new
}

// Explain returns the decision of each limit that [Limiter.Handler] would apply to r. It takes no
// token. Allowed says whether the limit would allow the cost of r. Explain returns no decision if r
// is exempt or denied for lack of a key. Rules of decorators, deny lists, blocks and InFlight do
// not show.
func (l *Limiter) Explain(r *http.Request) []Decision {
	c := l.newCall()
	defer l.free(c)
	t := l.table.Load()
	set := t.route(nil, r)
	if t.off || set.exempt || l.exempt(t, r) || !c.collect(&l.engine, set, r, store.Peek) {
		return nil
	}
	_ = l.apply(r.Context(), &c.Verdict) // the decisions tell its error
	c.showWaits()
	all := make([]Decision, len(c.Ops))
	for i := range all {
		d := &all[i]
		d.StoreErr = c.Err
		concludeOne(c.From[i], d, &c.Ops[i])
		if !c.Decided() {
			d.Allowed, d.Reason, d.Local = c.Failed == verdict.Open, ReasonStore, false
			d.Remaining, d.RetryAfter, d.ResetAfter = 0, 0, 0
		}
	}
	return all
}
