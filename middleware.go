package ratelimit

import (
	"net/http"
	"strconv"
)

// Handler returns a handler that asks the rules for everything and those of the matching
// route, in one decision, before it passes a request on to next. A refused request is
// answered with status 429 and costs nothing. The status is 503 if the store failed and
// OnStoreFailure is FailClosed, or if all have too many requests in flight together, and 403
// if a rule refuses requests without identity or the client is on the list Config.Deny.
//
// The ResponseWriter is passed on as it is, but for requests to which a rule applies that goes by the
// response (Charge, or the Offence of a Penalty): these are given one that counts what is written,
// and that has the abilities which those of net/http have, but for [http.CloseNotifier]. An
// [http.MaxBytesReader] that is given it cannot close the connection: put [http.MaxBytesHandler] around
// the limiter there.
func (l *Limiter) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t := l.table.Load()
		if l.unruled(w, r, next, t) {
			return
		}
		rules, exempt := t.routed(r)
		if exempt {
			next.ServeHTTP(w, r)
			return
		}
		l.serve(w, r, next, t.rules, rules)
	})
}

// Limit returns a decorator that enforces the limits in text, as [Parse] reads them, on
// the handlers it is applied to: each call of Limit is one budget, shared by the
// handlers that one decorator is given. Its name is the text, with a number if the
// same text is used again: so where instances share a Store and their code may differ, in a
// rolling deployment, give rules names by [Limiter.With]. Limit panics if text or key is not
// valid, as [http.ServeMux.Handle] does for a bad pattern.
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
// one took, unless that has Config.NoContext; the header fields of the outer one, which are
// written by then, do not show it. A handler that goes on after a decorator within it has refused a part
// of its work, as for a batch, has been given back the whole: let it pass on requests without the
// context of its own. With panics if there is no rule, or one is not valid or its name
// is taken. It is for start-up, not for use while requests are served.
func (l *Limiter) With(rules ...Rule) func(http.Handler) http.Handler {
	compiled, err := l.decorate(rules)
	if err != nil {
		panic(err.Error())
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if l.unruled(w, r, next, l.table.Load()) {
				return
			}
			l.serve(w, r, next, compiled, nil)
		})
	}
}

func (l *Limiter) serve(w http.ResponseWriter, r *http.Request, next http.Handler, rules, routed []*rule) {
	if len(rules) == 0 {
		rules, routed = routed, nil
	}
	if len(rules) == 1 && len(routed) == 0 && l.memory != nil && rules[0].isPlain() {
		l.servePlain(w, r, next, rules[0])
		return
	}
	c := l.getCheck()
	if c.collect(l, rules, r, OpTake) && c.collect(l, routed, r, OpTake) {
		if c.controlled() {
			l.serveControlled(w, r, next, c)
			return
		}
		_ = l.apply(r.Context(), c) // reported there; the decision says what was chosen
	} else {
		l.unasked(c)
	}
	l.finish(w, r, next, c)
}

// finish is the end of serve: it answers or passes on a request that c has decided, and puts c back.
func (l *Limiter) finish(w http.ResponseWriter, r *http.Request, next http.Handler, c *check) {
	given, ok := l.conclude(w, r, &c.verdict)
	l.putCheck(c)
	if ok {
		pass(w, r, given, next)
	}
}

// servePlain is serve for what nearly every request needs: a single plain rule, and a client whose
// buckets the MemoryStore holds. It does without a check: all that it needs is on the stack.
func (l *Limiter) servePlain(w http.ResponseWriter, r *http.Request, next http.Handler, rl *rule) {
	var ops [onStack]Op
	var policies [onStack]*policy
	var plans [1]*plan
	var v verdict
	switch key, ok := rl.key(l, r); {
	case !ok:
		v.refused = refusedBy{rule: rl, reason: ReasonUnidentified}
	case !key.IsZero():
		p, cost := rl.limits(l, r), rl.cost(l, r)
		n := len(p.policies)
		if n <= onStack {
			for i := range n {
				pol, op := &p.policies[i], &ops[i]
				policies[i], op.Limit, op.Key, op.Cost = pol, pol.NamedLimit, key, cost
			}
			plans[0] = p
			v.ops, v.policies, v.plans = ops[:n], policies[:n], plans[:]
		}
		if n > onStack || n > 0 && !l.memory.applyFew(v.ops) {
			c := l.getCheck()
			c.add(p, key, cost, OpTake)
			_ = l.apply(r.Context(), c) // which fails for ops that are not valid only
			l.finish(w, r, next, c)
			return
		}
	}
	if given, ok := l.conclude(w, r, &v); ok {
		pass(w, r, given, next)
	}
}

// conclude writes the fields for a request that v admits, and returns the request to pass on. One that v
// refuses it answers, and returns false.
func (l *Limiter) conclude(w http.ResponseWriter, r *http.Request, v *verdict) (*http.Request, bool) {
	worst := v.worst()
	if !v.allowed(worst) {
		l.refuse(w, r, v)
		return r, false
	}
	if l.cfg.NoContext {
		l.setHeaders(w.Header(), v, nil, nil)
		return r, true
	}
	a := l.admit(r.Context(), v, worst)
	l.setHeaders(w.Header(), v, a.text[:0], &a.values)
	return a.carry(r), true
}

// refuse answers a request that v refuses.
func (l *Limiter) refuse(w http.ResponseWriter, r *http.Request, v *verdict) {
	giveBack(r.Context())
	l.deny(w, r, v)
}

// unruled serves a request whose client is denied, or that is exempt whatever its route, and
// reports whether it is one.
func (l *Limiter) unruled(w http.ResponseWriter, r *http.Request, next http.Handler, t *table) bool {
	switch {
	case l.cfg.Deny != nil && l.denies(w, r):
		return true
	case l.exempt(t, r):
		next.ServeHTTP(w, r)
		return true
	}
	return false
}

func (l *Limiter) exempt(t *table, r *http.Request) bool {
	exempt := l.cfg.Allow != nil && !l.listed(r, l.cfg.Allow).IsZero()
	if !exempt && t.exempt != nil {
		l.guard(r, "Exempt", func() error { exempt = t.exempt(r); return nil })
	}
	return exempt
}

// Explanation is where one limit stands for a request.
type Explanation struct {
	Rule   string // the name of the rule
	Limit  Limit  // one of its limits
	Key    Key    // whom the rule counts
	Mode   Mode   // whether the rule refuses requests
	Result Result // as of a peek at the cost of the request
}

// Explain returns the limits that [Limiter.Handler] would ask about r, and what is left of
// each. It takes nothing. Rules of decorators are not among them. There are none for a request that
// is exempt, or that is refused for lack of an identity. What else may refuse the request does not
// show: Config.Deny, blocks (see [Limiter.Blocked]) and InFlight. The error is that of the store
// ([*StoreError]).
func (l *Limiter) Explain(r *http.Request) ([]Explanation, error) {
	c := l.getCheck()
	defer l.putCheck(c)
	t := l.table.Load()
	rules, exempt := t.routed(r)
	if exempt || l.exempt(t, r) || !c.collect(l, t.rules, r, OpPeek) || !c.collect(l, rules, r, OpPeek) {
		return nil, nil
	}
	if err := l.apply(r.Context(), c); err != nil {
		return nil, err
	}
	c.showWaits()
	all := make([]Explanation, len(c.ops))
	for i := range c.ops {
		op := &c.ops[i]
		all[i] = Explanation{op.Limit.rule, op.Limit.shown(), op.Key, Enforce, op.Result}
		if rl := l.rule(op.Limit.rule); rl != nil {
			all[i].Mode = rl.mode()
		}
	}
	return all, nil
}
