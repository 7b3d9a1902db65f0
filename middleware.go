package ratelimit

import (
	"errors"
	"net/http"
	"strconv"
)

// Handler returns a handler that asks the rules for everything and those of the matching
// route, in one decision, before it passes a request on to next. A refused request is
// answered with status 429 (503 if the store failed and OnStoreFailure is FailClosed, 403 if
// a rule refuses requests without identity) and costs nothing.
//
// The ResponseWriter is passed on as it is.
func (l *Limiter) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rules, exempt := l.routed(r)
		if exempt {
			next.ServeHTTP(w, r)
			return
		}
		l.serve(w, r, next, l.rules, rules)
	})
}

// routed returns the rules of the route that r matches, and whether it is exempt.
func (l *Limiter) routed(r *http.Request) (rules []*rule, exempt bool) {
	if l.routes == nil {
		return nil, false
	}
	_, pattern := l.routes.Handler(r)
	if rt := l.patterns[pattern]; rt != nil {
		return rt.rules, rt.exempt
	}
	return nil, false
}

// Limit returns a decorator that enforces the limits in text, as [Parse] reads them, on
// the handlers it is applied to: each call of Limit is one budget, shared by the
// handlers that one decorator is given. Its name is the text, with a number if the
// same text is used again. Limit panics if text or key is not valid, as
// [http.ServeMux.Handle] does for a bad pattern.
func (l *Limiter) Limit(text string, key Keyer) func(http.Handler) http.Handler {
	limits := MustParse(text)
	name := limits.String()
	if len(name) > 56 {
		name = name[:56]
	}
	base := name
	for n := 2; ; n++ {
		if l.rule(name) == nil {
			return l.With(Rule{Name: name, Limits: limits, Key: key})
		}
		name = base + " #" + strconv.Itoa(n)
	}
}

// With returns a decorator that enforces rules on the handlers it is applied to. Behind
// [Limiter.Handler], or another decorator, a request it refuses is given back what the outer
// one took; the header fields of the outer one, which are written by then, do not show it.
// With panics if a rule is not valid or its name is taken. It is for start-up, not for use
// while requests are served.
func (l *Limiter) With(rules ...Rule) func(http.Handler) http.Handler {
	var m mistakes
	compiled := l.compile(&m, "With", rules)
	if len(m) > 0 {
		panic(errors.Join(m...).Error())
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			l.serve(w, r, next, compiled, nil)
		})
	}
}

func (l *Limiter) serve(w http.ResponseWriter, r *http.Request, next http.Handler, rules, routed []*rule) {
	if l.exempt(r) {
		next.ServeHTTP(w, r)
		return
	}
	c := l.getCheck()
	if c.collect(l, rules, r, OpTake) && c.collect(l, routed, r, OpTake) {
		_ = l.apply(r.Context(), c) // reported there; the decision says what was chosen
	}
	worst := c.worst()
	if !c.allowed(worst) {
		giveBack(r.Context())
		l.deny(w, r, c)
		l.putCheck(c)
		return
	}
	a := l.admit(r.Context(), c, worst)
	l.setHeaders(w.Header(), c, a.text[:0], &a.values)
	l.putCheck(c)
	next.ServeHTTP(w, r.WithContext(a))
}

func (l *Limiter) exempt(r *http.Request) bool {
	exempt := false
	if l.cfg.Exempt != nil {
		l.guard(r, "Exempt", func() error { exempt = l.cfg.Exempt(r); return nil })
	}
	return exempt
}

// Explanation is where one limit stands for a request.
type Explanation struct {
	Rule   string
	Limit  Limit
	Key    Key
	Result Result // as of a peek
}

// Explain returns the limits that [Limiter.Handler] would ask about r, and what is left of
// each. It takes nothing. Rules of decorators are not among them.
func (l *Limiter) Explain(r *http.Request) ([]Explanation, error) {
	c := l.getCheck()
	defer l.putCheck(c)
	rules, exempt := l.routed(r)
	if exempt || l.exempt(r) || !c.collect(l, l.rules, r, OpPeek) || !c.collect(l, rules, r, OpPeek) {
		return nil, nil
	}
	if err := l.apply(r.Context(), c); err != nil {
		return nil, err
	}
	all := make([]Explanation, len(c.ops))
	for i := range c.ops {
		op := &c.ops[i]
		all[i] = Explanation{op.Limit.rule, op.Limit.limit, op.Key, op.Result}
	}
	return all, nil
}
