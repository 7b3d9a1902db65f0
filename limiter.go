package ratelimit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Limiter is a set of rules and a store. It is made by [New], does not change but for
// the rules that decorators add at start-up, and is safe for concurrent use. It starts no
// goroutine and needs no closing.
type Limiter struct {
	cfg      Config
	memory   *MemoryStore // the store, if it is one: it needs no deadline
	remote   *remote      // the store, if it is another
	local    *MemoryStore // in its place while it fails, with UseMemory
	rules    []*rule
	routes   *http.ServeMux // nil if there are none
	patterns map[string]*route
	byName   atomic.Pointer[map[string]*rule] // replaced when a decorator adds rules
	naming   sync.Mutex
	scratch  sync.Pool
	logged   rate.Sometimes
}

// route is what a pattern of Routes or ExemptRoutes means.
type route struct {
	rules  []*rule
	exempt bool
}

// New compiles cfg. The error joins a [*ConfigError] for every mistake there is.
func New(cfg Config) (*Limiter, error) {
	l := &Limiter{cfg: cfg, patterns: map[string]*route{}, logged: rate.Sometimes{Interval: 10 * time.Second}}
	l.byName.Store(&map[string]*rule{})
	l.scratch.New = func() any { return new(check) }
	switch store := cfg.Store.(type) {
	case nil:
		l.memory = NewMemoryStore(MemoryConfig{})
	case *MemoryStore:
		l.memory = store
	default:
		l.remote = newRemote(store, cmp.Or(cfg.StoreTimeout, defaultStoreTimeout))
	}
	if cfg.OnStoreFailure == UseMemory {
		l.local = NewMemoryStore(MemoryConfig{})
	}
	var m mistakes
	cfg.check(&m)
	l.rules = l.compile(&m, "Rules", cfg.Rules)
	l.compileRoutes(&m)
	if len(m) > 0 {
		return nil, errors.Join(m...)
	}
	return l, nil
}

func (l *Limiter) compile(m *mistakes, field string, rules []Rule) []*rule {
	var compiled []*rule
	for i, r := range rules {
		at, before := fmt.Sprintf("%s[%d]", field, i), len(*m)
		r.check(m, at)
		if len(*m) > before {
			continue
		}
		c := compileRule(r)
		if !l.name(c) {
			m.addf(at+".Name", "%q is the name of another rule", r.Name)
		}
		compiled = append(compiled, c)
	}
	return compiled
}

// rule returns the rule of that name, or nil.
func (l *Limiter) rule(name string) *rule {
	return (*l.byName.Load())[name]
}

// name makes r known by its name, unless there is another of that name.
func (l *Limiter) name(r *rule) bool {
	l.naming.Lock()
	defer l.naming.Unlock()
	old := *l.byName.Load()
	if old[r.Name] != nil {
		return false
	}
	names := maps.Clone(old)
	names[r.Name] = r
	l.byName.Store(&names)
	return true
}

func (l *Limiter) compileRoutes(m *mistakes) {
	if len(l.cfg.Routes)+len(l.cfg.ExemptRoutes) == 0 {
		return
	}
	l.routes = http.NewServeMux()
	patterns := make([]string, 0, len(l.cfg.Routes))
	for pattern := range l.cfg.Routes {
		patterns = append(patterns, pattern)
	}
	slices.Sort(patterns)
	for _, pattern := range patterns {
		field := fmt.Sprintf("Routes[%q]", pattern)
		l.addRoute(m, field, pattern, &route{rules: l.compile(m, field, l.cfg.Routes[pattern])})
	}
	for i, pattern := range l.cfg.ExemptRoutes {
		l.addRoute(m, fmt.Sprintf("ExemptRoutes[%d]", i), pattern, &route{exempt: true})
	}
}

func (l *Limiter) addRoute(m *mistakes, field, pattern string, rt *route) {
	defer func() {
		if p := recover(); p != nil {
			m.addf(field, "%v", p)
		}
	}()
	l.routes.Handle(pattern, http.NotFoundHandler())
	l.patterns[pattern] = rt
}

// Take takes cost tokens from the buckets of key under the named rule, all of them or
// none, and returns the decision. It needs no request, so the rule's Key, Cost, Skip and
// LimitsFor do not count. The error says that there is no such rule, that key or cost is
// not valid, or that the store failed; then the Decision is what OnStoreFailure makes of it.
func (l *Limiter) Take(ctx context.Context, rule string, key Key, cost int64) (d Decision, err error) {
	err = l.one(ctx, OpTake, rule, key, cost, &d)
	return d, err
}

// Peek returns the decision that Take would return for one token, and takes none.
func (l *Limiter) Peek(ctx context.Context, rule string, key Key) (d Decision, err error) {
	err = l.one(ctx, OpPeek, rule, key, 1, &d)
	return d, err
}

// Credit gives cost tokens back to the buckets of key under the named rule.
func (l *Limiter) Credit(ctx context.Context, rule string, key Key, cost int64) error {
	return l.one(ctx, OpCredit, rule, key, cost, new(Decision))
}

// Reset makes the buckets of key under the named rule full, those of limits that LimitsFor
// has chosen among them, to unblock a user.
func (l *Limiter) Reset(ctx context.Context, rule string, key Key) error {
	return l.one(ctx, OpReset, rule, key, 0, new(Decision))
}

// one puts the decision on a single key into d, which is where the caller returns it
// from: it is large, and each copy of it costs as much as a lock.
func (l *Limiter) one(ctx context.Context, kind OpKind, name string, key Key, cost int64, d *Decision) error {
	r := l.rule(name)
	if r == nil {
		return fmt.Errorf("ratelimit: there is no rule %q", name)
	}
	p := r.plan
	if kind == OpReset && r.LimitsFor != nil {
		p = r.everyLimit()
	}
	if l.memory != nil && l.memory.decideKnown(p.policies, kind, key, cost, d) {
		return nil
	}
	c := l.getCheck()
	defer l.putCheck(c)
	c.add(p, key, cost, kind)
	err := l.apply(ctx, c)
	if !errors.Is(err, ErrInvalidOp) {
		c.decide(d)
	}
	return err
}

// decideKnown is one for a key whose buckets s holds, without a check. Otherwise it changes
// nothing and returns false.
func (s *MemoryStore) decideKnown(p []policy, kind OpKind, key Key, cost int64, d *Decision) bool {
	if len(p) == 1 {
		ops := [1]Op{{Kind: kind, Limit: p[0].NamedLimit, Key: key, Cost: cost}}
		if !s.applyKnown(ops[:]) {
			return false
		}
		ops[0].decide(d)
		return true
	}
	var few [maxKnown]Op
	if len(p) == 0 || len(p) > len(few) {
		return false
	}
	ops := few[:len(p)]
	for i := range ops {
		op := &ops[i]
		op.Kind, op.Limit, op.Key, op.Cost = kind, p[i].NamedLimit, key, cost
	}
	if !s.applyKnown(ops) {
		return false
	}
	strictest(ops).decide(d)
	return true
}

// apply has the store decide c, and does what was chosen if the store fails.
func (l *Limiter) apply(ctx context.Context, c *check) error {
	if len(c.ops) == 0 {
		return nil
	}
	if l.memory != nil {
		return l.memory.Apply(ctx, c.ops)
	}
	change, err := l.remote.apply(ctx, c.ops)
	if change != unchanged {
		l.report(ctx, change.event())
	}
	if err == nil || errors.Is(err, ErrInvalidOp) {
		return err
	}
	c.failed = l.cfg.OnStoreFailure
	err = fmt.Errorf("ratelimit: store: %w", err)
	if !errors.Is(err, ErrStoreDown) {
		l.report(ctx, err)
	}
	if l.local != nil {
		return errors.Join(err, l.local.Apply(ctx, c.ops))
	}
	return err
}

// guard calls a function of the user's, and reports its error or panic.
func (l *Limiter) guard(req *http.Request, what string, f func() error) {
	defer func() {
		if p := recover(); p != nil {
			l.report(req.Context(), fmt.Errorf("ratelimit: %s: panic: %v", what, p))
		}
	}()
	if err := f(); err != nil {
		l.report(req.Context(), fmt.Errorf("ratelimit: %s: %w", what, err))
	}
}

func (l *Limiter) report(ctx context.Context, err error) {
	if l.cfg.OnError == nil {
		l.logged.Do(func() { slog.ErrorContext(ctx, "rate limiter", "error", err) })
		return
	}
	defer func() { _ = recover() }() // the request must not suffer from the reporting
	l.cfg.OnError(ctx, err)
}
