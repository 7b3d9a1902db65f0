package rpclimit

import (
	"context"
	"sync/atomic"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/inflight"
)

// Begin decides on a call before its handler runs, for adapters. The msg is the request of a unary
// call, which is one message too. It is nil for a stream.
//
// If a Denial is returned, the call must not go on. Otherwise pass the Session to the handler as
// its context, and call [Session.End] afterwards. If both are nil, nothing applies to the call. A
// nil Guard has no rules.
func (g *Guard) Begin(ctx context.Context, c Call, msg any, stream bool) (*Session, *Denial) {
	if g == nil {
		return nil, nil
	}
	if c.Method == "" || c.Method[0] != '/' {
		c.Method = "/" + c.Method
	}
	c.source = g.source
	p := g.plans.find(c.Method)
	if p.empty() {
		return nil, nil
	}
	s := &Session{Context: ctx, guard: g, plan: p, call: c}
	rules := p.unary
	if stream {
		rules = p.calls
	}
	if len(p.flights) > 0 {
		if d := g.enter(s); d != nil {
			return nil, g.deny(ctx, &s.call, d)
		}
	}
	if d := s.begin(ctx, rules, msg); d != nil {
		s.leave()
		return nil, g.deny(ctx, &s.call, d)
	}
	return s, nil
}

func noKey(t *target) *Denial {
	return &Denial{
		Decision: ratelimit.Decision{Reason: ratelimit.ReasonNoKey, Rule: t.name, Mode: ratelimit.Enforce},
		hidden:   t.hidden,
	}
}

// deny reports a denial.
func (g *Guard) deny(ctx context.Context, c *Call, d *Denial) *Denial {
	if g.cfg.Denied != nil && d.Err == nil {
		g.reporter.Call(ctx, "Denied", func() error { g.cfg.Denied(ctx, *c, d.Decision); return nil })
	}
	return d
}

// A Session is a call that may go on, for adapters. It is the context of its handler. Message is
// safe for concurrent use.
type Session struct {
	context.Context // of the call

	guard *Guard
	plan  *plan
	call  Call

	one        [1]ratelimit.Decision // saves an allocation
	decisions  []ratelimit.Decision
	rules      []*rule // of the decisions
	permits    []inflight.Permit
	fewPermits [1]inflight.Permit
	stay       *inflight.Stay // with leases, instead of permits
	refunds    *refunds       // what CountOnly may refund, or nil
	denied     atomic.Pointer[Denial]
}

type sessionKey struct{}

// Value implements [context.Context].
func (s *Session) Value(key any) any {
	if key == (sessionKey{}) {
		return s
	}
	return s.Context.Value(key)
}

// begin takes the tokens of a call.
func (s *Session) begin(ctx context.Context, rules []*rule, msg any) *Denial {
	switch len(rules) {
	case 0:
	case 1:
		var ch ratelimit.Change
		d := s.guard.takeOne(ctx, &s.call, rules, msg, &s.one[0], &ch)
		if d != nil || ch.Key.IsZero() {
			return d
		}
		s.decisions, s.rules = s.one[:], rules
		s.mayRefund(0, &ch)
	default:
		var room [few]ratelimit.Change
		t := taking{guard: s.guard, call: &s.call}
		changes, d := t.take(ctx, rules, msg, room[:0])
		if d != nil {
			return d
		}
		s.decisions, s.rules = t.ds, t.rules
		for i := range changes {
			s.mayRefund(i, &changes[i])
		}
	}
	return nil
}

// Message decides on a message that a stream has received. After a Denial the stream must end with
// it. Every later call returns the same Denial.
func (s *Session) Message(msg any) *Denial {
	if s == nil || len(s.plan.messages) == 0 {
		return nil
	}
	if d := s.denied.Load(); d != nil {
		return d
	}
	d := s.takeMessage(msg)
	if d == nil || !s.denied.CompareAndSwap(nil, d) {
		return s.denied.Load()
	}
	return s.guard.deny(s, &s.call, d)
}

func (s *Session) takeMessage(msg any) *Denial {
	rules := s.plan.messages
	if len(rules) == 1 {
		var d ratelimit.Decision
		var ch ratelimit.Change
		return s.guard.takeOne(s, &s.call, rules, msg, &d, &ch)
	}
	var room [few]ratelimit.Change
	t := taking{guard: s.guard, call: &s.call}
	_, d := t.take(s, rules, msg, room[:0])
	return d
}

// Denied returns what Message has returned first, or nil. A handler that ignores a denial must not
// send anything more, and must not end its stream with success.
func (s *Session) Denied() *Denial {
	if s == nil {
		return nil
	}
	return s.denied.Load()
}

// Broken notes that a message of a stream could not be received or sent, for another reason than
// the end of the client's messages. If the call ends with an error, it then has no outcome. Broken
// is safe for concurrent use.
func (s *Session) Broken() {
	if s != nil && s.refunds != nil {
		s.refunds.broken.Store(true)
	}
}

// End ends the call with a status code, as gRPC and Connect number them. If its handler panicked or
// exited, returned is false. End refunds what does not count, and releases what was in flight.
// After the first call it does nothing.
func (s *Session) End(code uint32, returned bool) {
	if s == nil {
		return
	}
	s.leave()
	if s.refunds != nil && !s.refunds.ended.Swap(true) && returned {
		s.refunds.settle(s, code)
	}
}
