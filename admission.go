package ratelimit

import (
	"context"
	"iter"
	"net/http"
	"sync"

	"github.com/ratelimit-go/ratelimit/internal/refund"
	"github.com/ratelimit-go/ratelimit/internal/respond"
	"github.com/ratelimit-go/ratelimit/store"
)

// An admission is the context of a request that was allowed, and the copy of the request that
// carries it. It is all that an allowed request allocates: the header values and their text are in
// it too. It takes 512 bytes, beyond which the runtime allocates more slowly.
type admission struct {
	context.Context
	limiter *Limiter
	op      store.Op     // that decided; without Limit if none did
	from    *policy      // of op
	more    *charges     // if there are other ops, or the store failed
	mu      sync.Mutex   // of more and closed: http.TimeoutHandler leaves a running handler behind
	request http.Request // with the admission as its context
	values  respond.Values
	text    [46]byte // of RateLimit
	closed  bool     // the charges are refunded or settled
}

// charges are the ops by which a request was charged, with what it costs. If SetCost has raised the
// cost, the bucket may have lacked tokens, or the store may have failed. The missing tokens must not
// be refunded, or raising and lowering a cost would make tokens.
type charges struct {
	charged
	short  []int64 // missing tokens by op; nil if none are missing
	failed FailurePolicy
	err    error // of the store
}

// A wideAdmission is an admission with room for the ops of several limits, in one allocation.
type wideAdmission struct {
	admission
	charges charges
	ops     [maxPlain]store.Op
	from    [maxPlain]*policy
	text    [120]byte
}

// admit returns the admission of a request that v allows, and a buffer for the text of its fields.
func (l *Limiter) admit(ctx context.Context, v *verdict, worst int) (*admission, []byte) {
	n := len(v.ops)
	if n > 1 && n <= maxPlain && v.failed == "" {
		w := new(wideAdmission)
		w.charges.ops, w.charges.from = w.ops[:n:n], w.from[:n:n]
		copy(w.charges.ops, v.ops)
		copy(w.charges.from, v.from)
		w.Context, w.limiter, w.more = ctx, l, &w.charges
		w.op, w.admission.from = v.ops[worst], v.from[worst]
		return &w.admission, w.text[:0]
	}
	a := new(admission)
	a.Context, a.limiter = ctx, l
	if worst >= 0 {
		a.op, a.from = v.ops[worst], v.from[worst]
	}
	if n > 1 || v.failed != "" {
		taken := v.taken()
		a.more = &charges{failed: v.failed, err: v.err}
		a.more.ops = append(a.more.ops, taken.ops...)
		a.more.from = append(a.more.from, taken.from...)
	}
	return a, a.text[:0]
}

// carry returns a copy of r with a as its context.
func (a *admission) carry(r *http.Request) *http.Request {
	a.request = *r.WithContext(a) // on the stack, because WithContext is inlined
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
	for i := range all.ops {
		all.ops[i].Cost -= all.missed(i)
	}
	a.limiter.refund(a.Context, all.charged)
	a.closed = true
}

// all returns the charges of the request. Their costs are what they took, or should have taken. It
// must be called under a.mu once the handler has the request.
func (a *admission) all() *charges {
	if a.more == nil {
		a.more = new(charges)
		if a.op.Limit != nil {
			a.more.ops, a.more.from = []store.Op{a.op}, []*policy{a.from}
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
	v := verdict{outcome: new(outcome)}
	if a.more != nil {
		v.failed, v.err = a.more.failed, a.more.err
	}
	if a.op.Limit != nil {
		v.ops, v.from = []store.Op{a.op}, []*policy{a.from}
	}
	v.decide(d)
}

// decisions yields the decision of each rule.
func (a *admission) decisions() iter.Seq[Decision] {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := a.all()
	v := verdict{outcome: &outcome{failed: all.failed, err: all.err}}
	v.ops, v.from = append(v.ops, all.ops...), append(v.from, all.from...)
	return v.decisions()
}

// refund refunds what ops have taken.
func (l *Limiter) refund(ctx context.Context, taken charged) {
	c := l.newCall()
	defer l.free(c)
	for i := range taken.ops {
		if op := &taken.ops[i]; op.Cost > 0 {
			c.addOne(taken.from[i], op.Key, op.Cost, store.Refund)
		}
	}
	if len(c.ops) > 0 {
		_ = l.amend(ctx, c.ops, c.from) // reported there
	}
}

// handBack copies to r what net/http reads from it after the handler has served a copy: the
// multipart form, to remove its files, and the pattern that an inner mux has matched.
func handBack(r, given *http.Request) {
	if r.MultipartForm == nil {
		r.MultipartForm = given.MultipartForm
	}
	r.Pattern = given.Pattern
}
