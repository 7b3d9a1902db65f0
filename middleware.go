package ratelimit

import (
	"net/http"
	"strconv"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/inflight"
	"github.com/ratelimit-go/ratelimit/internal/recorder"
	"github.com/ratelimit-go/ratelimit/internal/refund"
	"github.com/ratelimit-go/ratelimit/store"
)

// Handler returns a handler that decides on each request by the rules for everything and the rules
// of its route, in one decision, before it calls next. A denied request costs nothing. Its status is
// that of [Decision.Status]: usually 429, or 503 or 403.
//
// The handler passes the ResponseWriter on as it is, unless a rule of the request depends on the
// response (CountOnly, ResponseCost, or the When of a Block). Then next gets a ResponseWriter that
// counts what is written and has the abilities of net/http's own, except [http.CloseNotifier]. An
// [http.MaxBytesReader] cannot close the connection through it: put [http.MaxBytesHandler] around
// the limiter instead.
func (l *Limiter) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t := l.table.Load()
		l.serve(w, r, next, t, t.route(r))
	})
}

// serve is the life of a request. Each step is a call; a control that no rule uses costs one
// comparison.
func (l *Limiter) serve(w http.ResponseWriter, r *http.Request, next http.Handler, t *table, set *ruleSet) {
	switch {
	case t.off:
		next.ServeHTTP(w, r)
		return
	case l.cfg.Deny != nil && l.denyListed(w, r):
		return
	case set.exempt || l.exempt(t, r):
		next.ServeHTTP(w, r)
		return
	case set.plain && l.memory != nil:
		l.servePlain(w, r, next, set)
		return
	}
	c := l.newCall()
	if !c.collect(l, set, r, store.Take) { // find the keys and the costs
		l.unasked(c)
		l.end(w, r, next, c, nil)
		return
	}
	s := l.enter(r.Context(), c) // take the permits for requests in flight
	defer s.Leave()              // whatever happens from here on
	if c.allowed(-1) {
		_ = l.applyBlocks(r.Context(), c) // call the store once; its error is in c
		l.hold(r.Context(), c)            // until the tokens are there
	} else {
		l.unasked(c)
	}
	l.end(w, r, next, c, s)
}

// end answers a request that c denies, or hands it on and settles what it cost. It frees c.
func (l *Limiter) end(w http.ResponseWriter, r *http.Request, next http.Handler, c *call, s *inflight.Stay) {
	worst := c.strictest()
	if !c.allowed(worst) {
		s.Leave()
		l.refuse(w, r, &c.verdict)
		l.free(c)
		return
	}
	ctx := r.Context()
	if s != nil {
		s.Allow()
		ctx = s
	}
	a, text := l.admit(ctx, &c.verdict, worst)
	if len(c.observed) > 0 {
		l.observe(r, a, c.observed)
	}
	l.decided(r, &c.verdict)
	l.setFields(w.Header(), &c.verdict, text, &a.values)
	settling := append([]settlement(nil), c.settling...)
	l.free(c)
	given := a.carry(r)
	l.handOn(w, given, next, a, settling)
	handBack(r, given)
}

// handOn serves a request that was allowed, and settles what it costs whatever the handler does:
// return, panic, or end its goroutine.
func (l *Limiter) handOn(
	w http.ResponseWriter, r *http.Request, next http.Handler, a *admission, settling []settlement,
) {
	if len(settling) == 0 {
		next.ServeHTTP(w, r)
		return
	}
	begin := time.Now()
	rec := recorder.New(w)
	panicked := true
	defer func() {
		l.settle(r, a, settling, responseOf(rec, w.Header(), time.Since(begin), panicked))
	}()
	next.ServeHTTP(rec.Writer(), r)
	panicked = false
}

// maxPlain is how many limits servePlain decides.
const maxPlain = 3

// servePlain is serve for rules that only take tokens of a MemoryStore. Nearly every request is one.
// It keeps the decision on the stack instead of in a pooled call, which saves 15 to 25 % of the time
// that a request spends here (BenchmarkMiddleware). TestPlainWayAgrees compares both ways.
func (l *Limiter) servePlain(w http.ResponseWriter, r *http.Request, next http.Handler, set *ruleSet) {
	var ops [maxPlain]store.Op
	var from [maxPlain]*policy
	var client Key // found once for all rules
	n, oneKey := 0, true
	for _, rl := range set.rules {
		k := client
		if !rl.byClient || k.IsZero() {
			k, _ = rl.keyOf(l, r)
			if rl.byClient {
				client = k
			}
		}
		cost := rl.cost(l, r)
		for i := range rl.plan.policies {
			p, op := &rl.plan.policies[i], &ops[n]
			from[n], op.Limit, op.Key, op.Cost = p, p.Limit, k, cost
			oneKey = oneKey && k == ops[0].Key
			n++
		}
	}
	v := verdict{ops: ops[:n], from: from[:n], outcome: &set.outcome}
	if n > 0 && !(oneKey && l.memory.tables.ApplyKnown(v.ops)) {
		c := l.newCall()
		c.ops, c.from, c.field = append(c.ops, v.ops...), append(c.from, v.from...), set.field
		_ = l.apply(r.Context(), &c.verdict) // it fails only for invalid ops
		l.end(w, r, next, c, nil)
		return
	}
	worst := v.strictest()
	if !v.allowed(worst) {
		l.refuse(w, r, &v)
		return
	}
	a, text := l.admit(r.Context(), &v, worst)
	l.decided(r, &v)
	l.setFields(w.Header(), &v, text, &a.values)
	given := a.carry(r)
	next.ServeHTTP(w, given)
	handBack(r, given)
}

// exempt reports whether no rule applies to r, whatever its route.
func (l *Limiter) exempt(t *table, r *http.Request) bool {
	exempt := l.cfg.Allow != nil && !l.listed(r, l.cfg.Allow).IsZero()
	if !exempt && t.exempt != nil {
		l.reporter.Call(r.Context(), "Exempt", func() error { exempt = t.exempt(r); return nil })
	}
	return exempt
}

// refuse answers a request that v denies, and refunds what outer limiters took for it.
func (l *Limiter) refuse(w http.ResponseWriter, r *http.Request, v *verdict) {
	refund.All(r.Context())
	l.answer(w, r, v)
}

// Limit returns a decorator that enforces the limits in text, as [Parse] reads them, by key. Without
// a key it counts by [ByClientIP]. Each call of Limit is one budget, which all handlers of the
// decorator share. Its name is the text, with a number if the text is used again. So name the rules
// by [Limiter.With] if instances share a Store and their code can differ, such as in a rolling
// deployment. Limit panics if text or key is not valid, as [http.ServeMux.Handle] does for patterns.
func (l *Limiter) Limit(text string, keys ...Keyer) func(http.Handler) http.Handler {
	limits := MustParse(text)
	by := ByClientIP()
	if len(keys) > 1 {
		panic("ratelimit: Limit: " + strconv.Itoa(len(keys)) + " keys: want one, such as AllOf or FirstOf of them")
	} else if len(keys) == 1 {
		by = keys[0]
	}
	name := limits.String()
	if len(name) > 56 {
		name = name[:56]
	}
	base := name
	for n := 2; l.table.Load().byName.find(name) != nil; n++ {
		name = base + " #" + strconv.Itoa(n)
	}
	return l.With(Rule{Name: name, Limits: limits, Key: by})
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
	d, err := l.decorate(rules)
	if err != nil {
		return nil, err
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			l.serve(w, r, next, l.table.Load(), d.set.Load())
		})
	}, nil
}
