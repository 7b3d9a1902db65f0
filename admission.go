package ratelimit

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"sync"

	"github.com/ratelimit-go/ratelimit/internal/refund"
	"github.com/ratelimit-go/ratelimit/internal/respond"
	"github.com/ratelimit-go/ratelimit/internal/verdict"
	"github.com/ratelimit-go/ratelimit/store"
)

// An admission is the context of a request that was allowed, and the copy of the request that
// carries it. It is all that an allowed request allocates: the header values and their text are in
// it too. It takes 512 bytes, beyond which the runtime allocates more slowly.
type admission struct {
	context.Context
	engine  *engine
	op      store.Op        // that decided; without Limit if none did
	from    *verdict.Policy // of op
	more    *charges        // if there are other ops, or the store failed
	mu      sync.Mutex      // of more and closed: http.TimeoutHandler leaves a running handler behind
	request http.Request    // with the admission as its context
	values  respond.Values
	text    [46]byte // of RateLimit
	closed  bool     // the charges are refunded or settled
}

// charges are the ops by which a request was charged, with what it costs. If SetCost has raised the
// cost, the bucket may have lacked tokens, or the store may have failed.
type charges struct {
	verdict.Charged
	missing refund.Missing // by op
	failed  verdict.Fallback
	err     error // of the store
}

// A wideAdmission is an admission with room for the ops of several limits, in one allocation.
type wideAdmission struct {
	admission
	charges charges
	ops     [maxPlain]store.Op
	from    [maxPlain]*verdict.Policy
	text    [120]byte
}

// newAdmission returns the admission of a request that v allows, and a buffer for its fields.
func (e *engine) newAdmission(ctx context.Context, v *verdict.Verdict, worst int) (*admission, []byte) {
	n := len(v.Ops)
	if n > 1 && n <= maxPlain && v.Failed == "" {
		w := new(wideAdmission)
		w.charges.Ops, w.charges.From = w.ops[:n:n], w.from[:n:n]
		copy(w.charges.Ops, v.Ops)
		copy(w.charges.From, v.From)
		w.Context, w.engine, w.more = ctx, e, &w.charges
		w.op, w.admission.from = v.Ops[worst], v.From[worst]
		return &w.admission, w.text[:0]
	}
	a := new(admission)
	a.Context, a.engine = ctx, e
	if worst >= 0 {
		a.op, a.from = v.Ops[worst], v.From[worst]
	}
	if n > 1 || v.Failed != "" {
		taken := v.Taken()
		a.more = &charges{failed: v.Failed, err: v.Err}
		a.more.Ops = append(a.more.Ops, taken.Ops...)
		a.more.From = append(a.more.From, taken.From...)
	}
	return a, a.text[:0]
}

// carry returns a copy of r with a as its context.
func (a *admission) carry(r *http.Request) *http.Request {
	a.request = *refund.Shared(r).WithContext(a) // on the stack, because WithContext is inlined
	return &a.request
}

// Value implements [context.Context].
func (a *admission) Value(key any) any {
	if key == (refund.Key{}) {
		return a
	}
	return a.Context.Value(key)
}

func admissionOf(ctx context.Context) *admission {
	a, _ := ctx.Value(refund.Key{}).(*admission)
	return a
}

// DecisionFrom returns the decision by which the request with this context was allowed. Of several
// limiters and decorators it is the innermost. It returns false if no limiter has seen the request,
// or the request was exempt.
func DecisionFrom(ctx context.Context) (d Decision, ok bool) {
	a := admissionOf(ctx)
	if a == nil {
		return d, false
	}
	a.decide(&d)
	return d, true
}

// Decisions returns the decisions by which the request with this context was allowed, one for each
// rule that applied: the rules of the innermost limiter or decorator first.
func Decisions(ctx context.Context) iter.Seq[Decision] {
	return func(yield func(Decision) bool) {
		for a := admissionOf(ctx); a != nil; a = admissionOf(a.Context) {
			for d := range a.decisions() {
				if !yield(d) {
					return
				}
			}
		}
	}
}

// By reports whether l has allowed the request. It is for package dashboard.
func (a *admission) By(l *Limiter) bool { return a.engine == &l.engine }

// tellTwice reports a rule of set that has charged r before, because a handler is wrapped twice.
// The requests that a handler makes of r, as for a batch, have a URL of their own.
func (e *engine) tellTwice(r *http.Request, set *ruleSet) {
	for a := admissionOf(r.Context()); a != nil; a = admissionOf(a.Context) {
		for d := range a.decisions() {
			named := func(r *rule) bool { return r.Name == d.Rule }
			if a.engine == e && a.request.URL == r.URL && slices.ContainsFunc(set.rules, named) {
				e.reporter.Once(r.Context(), "twice", fmt.Errorf("ratelimit: rule %q: a request passes it "+
					"twice, and costs twice as much: wrap a handler, or the mux, but not both", d.Rule))
			}
		}
	}
}

// Outer implements [refund.Charge].
func (a *admission) Outer() context.Context { return a.Context }

// Refund implements [refund.Charge].
func (a *admission) Refund() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	all := a.all()
	for i := range all.Ops {
		all.Ops[i].Cost -= all.missing.Of(i)
	}
	a.engine.refund(a.Context, all.Charged)
	a.closed = true
	for i, p := range all.From {
		if i == 0 || all.From[i-1].Rule != p.Rule {
			p.Rule.Tally.Refunded.Add(1)
		}
	}
}

// all returns the charges of the request. Their costs are what they took, or should have taken. It
// must be called under a.mu once the handler has the request.
func (a *admission) all() *charges {
	if a.more == nil {
		a.more = new(charges)
		if a.op.Limit != nil {
			a.more.Ops, a.more.From = []store.Op{a.op}, []*verdict.Policy{a.from}
		}
	}
	return a.more
}

// close ends the charges: nothing is refunded any more.
func (a *admission) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
}

// decide sets d, which must be zero, to the decision by which the request was allowed.
func (a *admission) decide(d *Decision) {
	v := verdict.Verdict{Outcome: new(verdict.Outcome)}
	if a.more != nil {
		v.Failed, v.Err = a.more.failed, a.more.err
	}
	if a.op.Limit != nil {
		v.Ops, v.From = []store.Op{a.op}, []*verdict.Policy{a.from}
	}
	conclude(&v, d)
}

// decisions yields the decision of each rule.
func (a *admission) decisions() iter.Seq[Decision] {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := a.all()
	v := verdict.Verdict{Outcome: &verdict.Outcome{Failed: all.failed, Err: all.err}}
	v.Ops, v.From = append(v.Ops, all.Ops...), append(v.From, all.From...)
	return decisions(&v)
}
