package ratelimit

import (
	"net/http"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/inflight"
	"github.com/ratelimit-go/ratelimit/internal/key"
	"github.com/ratelimit-go/ratelimit/internal/recorder"
	"github.com/ratelimit-go/ratelimit/internal/refund"
	"github.com/ratelimit-go/ratelimit/internal/routes"
	"github.com/ratelimit-go/ratelimit/internal/tally"
	"github.com/ratelimit-go/ratelimit/internal/verdict"
	"github.com/ratelimit-go/ratelimit/store"
)

// serve is the life of a request, a call for each step. A control that is not used costs little.
func (e *engine) serve(w http.ResponseWriter, r *http.Request, next http.Handler, t *table, set *ruleSet) {
	if e.watch.See(r, t.sources) {
		e.tellTwice(r, set)
	}
	switch {
	case t.off:
		next.ServeHTTP(w, r)
		return
	case e.cfg.Deny != nil && e.denyListed(w, r):
		return
	case set.exempt || e.exempt(t, r):
		next.ServeHTTP(w, r)
		return
	case set.plain:
		e.servePlain(w, r, next, set)
		return
	}
	c := e.newCall()
	var s *inflight.Stay
	ok := c.collect(e, set, r, store.Take) // find the keys and the costs
	if ok && len(c.permits) > 0 {
		var denied *inflight.Denial
		c.takeLater()
		s, denied = e.inFlight.Enter(r.Context(), c.permits) // take the permits for requests in flight
		defer s.Leave()                                      // also after a panic
		ok = e.lease(c, set, s, denied)
	}
	if ok {
		_ = e.applyBlocks(r.Context(), c) // call the store once; its error is in c
	} else {
		e.unasked(c)
	}
	if c.waits {
		held := e.hold(r.Context(), c) // until the tokens are there
		e.join(r.Context(), c, set, s, held)
	}
	e.end(w, r, next, c, s)
}

// end answers a request that c denies, or hands it on and settles what it cost. It frees c.
func (e *engine) end(w http.ResponseWriter, r *http.Request, next http.Handler, c *call, s *inflight.Stay) {
	worst := c.Strictest()
	if !c.Allowed(worst) {
		s.Leave()
		e.deny(w, r, &c.Verdict)
		e.free(c)
		return
	}
	ctx := r.Context()
	if s != nil {
		s.Allow()
		ctx = s
	}
	a, text := e.newAdmission(ctx, &c.Verdict, worst)
	dry := e.takeDry(w, r, a, c.dryRuns)
	e.allowed(&c.Verdict, c.applied)
	e.tellDecided(w, r, &c.Verdict, &dry)
	e.setFields(w.Header(), &c.Verdict, text, &a.values)
	settling := append([]settlement(nil), c.settling...)
	e.free(c)
	given := a.carry(r)
	defer refund.HandBack(r, given) // also after a panic
	e.handOn(w, given, next, a, settling)
}

// handOn serves a request that was allowed, and settles what it costs when the handler ends:
// return, panic, or end its goroutine.
func (e *engine) handOn(
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
		answer := rec.Final(r.Context())
		e.settle(r, a, settling, Response{
			Request: r, Status: answer.StatusOf(panicked), Header: rec.Header(), Bytes: answer.Bytes,
			Duration: time.Since(begin), Panicked: panicked, Hijacked: answer.Hijacked,
		}, answer.Seen())
	}()
	next.ServeHTTP(rec.Writer(), r)
	panicked = false
}

// servePlain is serve for rules that only take tokens of a MemoryStore. Nearly every request is
// one. It keeps the decision on the stack instead of in a pooled call, which saves 20 to 30 % of
// the time that a request spends here (BenchmarkAllowed, BenchmarkDenied). TestPlainWayAgrees
// compares both ways.
func (e *engine) servePlain(w http.ResponseWriter, r *http.Request, next http.Handler, set *ruleSet) {
	var ops [maxPlain]store.Op
	var from [maxPlain]*verdict.Policy
	var client Key // found once for all rules
	var first Key
	n, oneKey := 0, true
	for _, rl := range set.rules {
		k := client
		if !rl.byClient || k.IsZero() {
			k, _ = rl.keyOf(e.reporter, r)
			if rl.byClient {
				client = k
			}
		}
		cost := rl.cost(e.reporter, r)
		for i := range rl.plan.Policies {
			p, op := &rl.plan.Policies[i], &ops[n]
			from[n], op.Limit, op.Key, op.Cost = p, p.Limit, k, cost
			if n++; n == 1 {
				first = k
			}
			oneKey = oneKey && k == first
		}
	}
	var v verdict.Verdict // filled in place, because a literal would be copied
	v.Ops, v.From, v.Outcome = ops[:n], from[:n], &set.outcome
	var one *tally.Rule
	if v.Counted = n > 0 && len(set.rules) == 1; v.Counted {
		one = &set.rules[0].tally
	}
	if n > 0 && !(oneKey && e.memory.tables.ApplyKnown(v.Ops, one)) {
		c := e.newCall()
		c.applied = append(c.applied, set.rules...)
		c.Ops, c.From, c.Field = append(c.Ops, v.Ops...), append(c.From, v.From...), set.outcome.Field
		_ = e.apply(r.Context(), &c.Verdict) // it fails only for invalid ops
		e.end(w, r, next, c, nil)
		return
	}
	worst := v.Strictest()
	if !v.Allowed(worst) {
		e.deny(w, r, &v)
		return
	}
	a, text := e.newAdmission(r.Context(), &v, worst)
	e.allowed(&v, set.rules)
	e.tellDecided(w, r, &v, nil)
	e.setFields(w.Header(), &v, text, &a.values)
	given := a.carry(r)
	defer refund.HandBack(r, given)
	next.ServeHTTP(w, given)
}

// denyListed answers a request of a client on the list Deny, and reports whether it is one.
func (e *engine) denyListed(w http.ResponseWriter, r *http.Request) bool {
	k := e.listed(r, e.cfg.Deny)
	if k.IsZero() || !e.listed(r, e.cfg.Allow).IsZero() {
		return false
	}
	denied := verdict.Denial{Key: k, Reason: string(ReasonDenied)}
	e.deny(w, r, &verdict.Verdict{Outcome: &verdict.Outcome{Denied: denied}})
	return true
}

// listed returns the key by which the client of r is on list, which may be nil, or the zero Key.
func (e *engine) listed(r *http.Request, list *List) Key {
	if list == nil {
		return Key{}
	}
	k, err := list.find(r, e.cfg.ClientIP)
	if err != nil {
		e.reporter.Report(r.Context(), err)
	}
	return k
}

// exempt reports whether no rule applies to r on any route.
func (e *engine) exempt(t *table, r *http.Request) bool {
	exempt := e.cfg.Allow != nil && !e.listed(r, e.cfg.Allow).IsZero()
	if !exempt && t.exempt != nil {
		ask := func() error { exempt = routes.Every(r, t.exempt); return nil }
		e.reporter.Call(r.Context(), "Exempt", ask)
	}
	return exempt
}

// collect adds the ops of all rules of set that apply to req, and what else these rules need. It
// returns false if a rule denies the request without a call of the store.
func (c *call) collect(e *engine, set *ruleSet, req *http.Request, kind store.Kind) bool {
	var client Key // found once for all rules
	for _, r := range set.rules {
		if r.mode == Off || !r.applies(e.reporter, req) {
			continue
		}
		k, ok := client, true
		if !r.byClient || client.IsZero() {
			k, ok = r.keyOf(e.reporter, req)
		}
		switch {
		case !ok && r.mode == DryRun: // the rule would deny the request, so it takes nothing
			if kind == store.Take {
				c.applied, c.dryRuns = append(c.applied, r), append(c.dryRuns, dryRun{rule: r})
			}
			continue
		case !ok:
			c.Denied = verdict.Denial{Rule: &r.info, Reason: string(ReasonNoKey)}
			return false
		case k.IsZero():
			continue
		case r.byClient && k != key.Shared(): // without a key, each rule has its own OnMissingKey
			client = k
		}
		if !c.collectOne(e, r, req, k, kind) {
			return false
		}
	}
	return true
}

// collectOne adds what one rule needs for the key k.
func (c *call) collectOne(e *engine, r *rule, req *http.Request, k Key, kind store.Kind) bool {
	dry := kind == store.Take && !r.enforces(k)
	if r.block != nil && kind == store.Take && !dry && c.suspect(e, r, k) {
		return false
	}
	c.applied = append(c.applied, r)
	p, cost := r.limitsOf(e.reporter, req.Context(), k), r.cost(e.reporter, req)
	switch {
	case dry:
		c.dryRuns = append(c.dryRuns, dryRun{r, p, k, cost})
		if r.charges() {
			c.settling = append(c.settling, settlement{r, k, cost, true})
		}
		return true
	case kind == store.Take:
		c.control(r, k, cost)
	}
	c.Add(p, k, cost, kind)
	return true
}

// control notes what r does besides taking tokens.
func (c *call) control(r *rule, k Key, cost int64) {
	if r.settles {
		c.settling = append(c.settling, settlement{r, k, cost, false})
	}
	c.waits = c.waits || r.MaxWait > 0
	if r.InFlight > 0 {
		c.permits = append(c.permits, r.permit(k))
	}
}
