package rpclimit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/inflight"
	"github.com/ratelimit-go/ratelimit/internal/report"
	"github.com/ratelimit-go/ratelimit/store"
)

// Guard applies the rules of a [Config] to calls. It is safe for concurrent use, and leaves no
// goroutine behind. Make it with [New]. Several servers may share it.
type Guard struct {
	cfg      Config
	limiter  *ratelimit.Limiter
	source   *source
	plans    plans
	flights  *inflight.Counter // calls in flight
	leases   *inflight.Leases  // of flights; nil without a Store
	waiting  *inflight.Counter // calls that wait for tokens
	reporter *report.Reporter
}

// target is what rules and bounds have in common: whom they apply to.
type target struct {
	name     string
	methods  []pattern
	key      Keyer
	missing  ratelimit.MissingKey
	shareKey ratelimit.Key // of calls without a key
	hidden   bool
}

type rule struct {
	target
	Rule
	alone bool // the budget has a Block, so [ratelimit.Limiter.Apply] takes no other change with it
}

// New returns a Guard for cfg. If cfg is not valid, the error joins a [*ratelimit.ConfigError] for
// every mistake.
func New(cfg Config) (*Guard, error) {
	g := &Guard{cfg: cfg, limiter: cfg.Limiter}
	g.reporter = report.New("rpclimit", "rpclimit: a function or a budget failed", cfg.Error)
	g.flights, g.waiting = inflight.NewCounter(), inflight.NewCounter()
	m := &mistakes{}
	if cfg.Limiter == nil {
		m.add("Limiter", errors.New("nil: want the limiter that has the budgets"))
	} else {
		g.source = newSource(cfg.Limiter.ClientIP())
	}
	exempt, err := parsePatterns(cfg.Exempt)
	m.add("Exempt", err)
	if len(cfg.Exempt) == 0 {
		exempt = nil
	}
	if len(cfg.Rules)+len(cfg.InFlight) == 0 {
		m.add("Rules", errors.New("none, and no InFlight, so that no call is limited: want at least one "+
			"(Rules of a ratelimit.Config limit no calls by themselves)"))
	}
	rules, flights := g.compileRules(m), g.compileFlights(m)
	g.compileStore(m)
	if m.err == nil {
		g.makePlans(rules, flights, exempt)
		g.checkAlone(m, rules)
	}
	if m.err != nil {
		return nil, m.err
	}
	return g, nil
}

type mistakes struct{ err error }

func (m *mistakes) add(field string, err error) {
	if err != nil {
		m.err = report.Join(m.err, &ratelimit.ConfigError{Field: field, Err: report.Text(err)})
	}
}

func (m *mistakes) target(
	field, name string, methods []string, key Keyer, missing ratelimit.MissingKey,
) target {
	t := target{name: name, key: key, missing: missing}
	var err error
	t.methods, err = parsePatterns(methods)
	m.add(field+".Methods", err)
	if t.key == nil {
		t.key = ByClientIP()
	}
	switch missing {
	case "", ratelimit.ShareKey, ratelimit.DenyRequest, ratelimit.SkipRule:
	default:
		m.add(field+".OnMissingKey", fmt.Errorf("%s: want share, deny or skip", quote(string(missing))))
	}
	t.shareKey = ratelimit.ValueKey("rpclimit", "no key")
	return t
}

func (g *Guard) compileRules(m *mistakes) (rules []*rule) {
	for i := range g.cfg.Rules {
		field := fmt.Sprintf("Rules[%d]", i)
		r := &rule{Rule: g.cfg.Rules[i]}
		r.target = m.target(field, r.Name, r.Methods, r.Key, r.OnMissingKey)
		r.hidden = r.Hidden
		if r.MaxWait != 0 && (r.MaxWait < time.Millisecond || r.MaxWait > time.Hour) {
			m.add(field+".MaxWait", fmt.Errorf("%v: want 0, or from 1ms to 1h", r.MaxWait))
		}
		if r.PerMessage && r.CountOnly != nil {
			m.add(field+".CountOnly", errors.New("beside PerMessage: want a rule without PerMessage, "+
				"because the outcome of a stream says nothing about a message"))
		}
		if g.limiter != nil {
			var err error
			r.alone, err = standsAlone(g.limiter, r.Name)
			m.add(field+".Name", err)
		}
		rules = append(rules, r)
	}
	return rules
}

// standsAlone reports whether the budget of this name has a Block or a MaxWait, which its limiter
// changes only alone. It does not call the store: the second change names no rule, and the limiter
// finds that out when the first one has passed.
func standsAlone(l *ratelimit.Limiter, name string) (bool, error) {
	ctx, k := context.Background(), ratelimit.ValueKey("rpclimit", "probe")
	_, err := l.Take(ctx, name, ratelimit.Key{}, 1)
	if errors.Is(err, ratelimit.ErrNoRule) {
		return false, fmt.Errorf("%s: the Limiter has no such budget: want the name of one",
			quote(name))
	}
	_, err = l.Apply(ctx,
		ratelimit.Change{Kind: store.Take, Rule: name, Key: k, Cost: 1},
		ratelimit.Change{Kind: store.Take, Rule: "\x00", Key: k, Cost: 1})
	return errors.Is(err, store.ErrInvalidOp), nil
}

// makePlans computes what applies to each pattern of the Config.
func (g *Guard) makePlans(rules []*rule, flights []*flight, exempt []pattern) {
	planFor := func(q pattern) *plan {
		p := &plan{}
		if anyCovers(exempt, q) {
			return p
		}
		for _, r := range rules {
			switch {
			case !anyCovers(r.methods, q):
				continue
			case r.PerMessage:
				p.messages = append(p.messages, r)
			default:
				p.calls = append(p.calls, r)
			}
			p.unary = append(p.unary, r)
		}
		for _, f := range flights {
			if anyCovers(f.methods, q) {
				p.flights = append(p.flights, f)
			}
		}
		return p
	}
	g.plans = plans{exact: map[string]*plan{}, services: map[string]*plan{}, others: planFor(everything)}
	for _, r := range rules {
		for _, q := range r.methods {
			g.plans.add(q, planFor)
		}
	}
	for _, f := range flights {
		for _, q := range f.methods {
			g.plans.add(q, planFor)
		}
	}
	for _, q := range exempt {
		g.plans.add(q, planFor)
	}
}

// checkAlone reports rules that stand alone but meet other rules.
func (g *Guard) checkAlone(m *mistakes, rules []*rule) {
	all := []*plan{g.plans.others}
	for _, p := range g.plans.exact {
		all = append(all, p)
	}
	for _, p := range g.plans.services {
		all = append(all, p)
	}
	for i, r := range rules {
		if !r.alone {
			continue
		}
		for _, p := range all {
			if len(p.unary) > 1 && slices.Contains(p.unary, r) {
				m.add(fmt.Sprintf("Rules[%d].Name", i), fmt.Errorf("%s has a Block or MaxWait, "+
					"and another rule applies to the same methods: want a budget without them, "+
					"or other Methods", quote(r.Name)))
				break
			}
		}
	}
}

// quote returns text in quotes, cut to 80 bytes.
func quote(text string) string { return strconv.Quote(text[:min(len(text), 80)]) }
