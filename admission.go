package ratelimit

import (
	"context"
	"net/http"
	"sync"
)

// An admission is the context of a request that was admitted, and the copy of the request that
// carries it. It is all that an admitted request allocates: the header values and their
// text are in it too. It takes 512 bytes, which is as much as the runtime allocates cheaply.
type admission struct {
	context.Context
	limiter *Limiter
	op      Op         // the one that decided; without Limit if none did
	charges *charges   // if there are others
	mu      sync.Mutex // of charges and closed: http.TimeoutHandler leaves a handler behind that is still at it
	values  fieldValues
	request http.Request
	text    [54]byte
	failed  FailurePolicy
	closed  bool // whether the charges have been given back, or settled
}

// carry returns a copy of r with a as its context.
func (a *admission) carry(r *http.Request) *http.Request {
	a.request = *r.WithContext(a) // on the stack, since WithContext is inlined
	return &a.request
}

// pass has next serve given, which is r or a copy of it.
func pass(w http.ResponseWriter, r, given *http.Request, next http.Handler) {
	next.ServeHTTP(w, given)
	handBack(r, given)
}

// handBack gives r what is looked for in it when a handler has served a copy: the form, whose files net/http
// removes, and the pattern, which a ServeMux further in has set.
func handBack(r, given *http.Request) {
	if r.MultipartForm == nil {
		r.MultipartForm = given.MultipartForm
	}
	r.Pattern = given.Pattern
}

type admissionKey struct{}

// Value implements [context.Context].
func (a *admission) Value(key any) any {
	if key == (admissionKey{}) {
		return a
	}
	return a.Context.Value(key)
}

// admit returns the admission of a request that v has found to be allowed.
func (l *Limiter) admit(ctx context.Context, v *verdict, worst *Op) *admission {
	a := &admission{Context: ctx, limiter: l, failed: v.failed}
	if worst != nil {
		a.op = *worst
	}
	if len(v.ops) > 1 {
		a.charge(v.appendTaken(nil))
	}
	return a
}

// close says that the request is answered: nothing is given back any more.
func (a *admission) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
}

func admissionOf(ctx context.Context) *admission {
	a, _ := ctx.Value(admissionKey{}).(*admission)
	return a
}

// DecisionFrom returns the decision by which a request with this context was admitted, that of
// the innermost limiter or decorator, but for those with Config.NoContext. It is false if there is none: no
// limiter has seen the request, or it was exempt.
func DecisionFrom(ctx context.Context) (d Decision, ok bool) {
	a := admissionOf(ctx)
	if a == nil {
		return d, false
	}
	v := verdict{failed: a.failed}
	if a.op.Limit != nil {
		v.ops = []Op{a.op}
	}
	v.decide(&d)
	return d, true
}

// giveBack returns what outer limiters took for a request that is refused after all.
func giveBack(ctx context.Context) {
	for a := admissionOf(ctx); a != nil; a = admissionOf(a.Context) {
		a.credit()
	}
}

func (a *admission) credit() {
	a.mu.Lock()
	defer a.mu.Unlock()
	ops := a.charged()
	for i := range ops {
		ops[i].Cost -= a.charges.missed(i)
	}
	a.limiter.credit(a.Context, ops)
	a.closed = true
}

// charged returns the ops by which the request was charged. Their costs are what they took, or
// should have: see charges. It must be called under a.mu once others know of a.
func (a *admission) charged() []Op {
	if a.closed {
		return nil
	}
	if a.charges == nil {
		if a.op.Limit == nil {
			return nil
		}
		a.charge([]Op{a.op})
	}
	return a.charges.ops
}

// charge makes ops, if there are any, what the request was charged by.
func (a *admission) charge(ops []Op) {
	if len(ops) > 0 {
		a.charges = &charges{ops: ops}
	}
}

// credit gives back what ops have taken.
func (l *Limiter) credit(ctx context.Context, ops []Op) {
	c := l.getCheck()
	defer l.putCheck(c)
	for _, op := range ops {
		if op.Cost > 0 {
			op.Kind = OpCredit
			c.ops = append(c.ops, op)
		}
	}
	if len(c.ops) > 0 {
		_ = l.amend(ctx, c.ops) // reported there
	}
}
