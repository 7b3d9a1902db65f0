package rpclimit

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/store"
)

// refunds are what the rules with a CountOnly have taken for a call.
type refunds struct {
	begun   time.Time
	rules   []*rule
	changes []ratelimit.Change // of rules
	broken  atomic.Bool        // a message was not received or not sent
	ended   atomic.Bool        // the call
}

// mayRefund notes what the rule of a decision has taken, if its CountOnly may refund it.
func (s *Session) mayRefund(i int, taken *ratelimit.Change) {
	r, d := s.rules[i], &s.decisions[i]
	if r.CountOnly == nil || d.Reason != "" || d.Limit.Count == 0 {
		return // nothing was taken
	}
	if s.refunds == nil {
		s.refunds = &refunds{begun: time.Now()}
	}
	refund := *taken
	refund.Kind = store.Refund
	s.refunds.rules = append(s.refunds.rules, r)
	s.refunds.changes = append(s.refunds.changes, refund)
}

// CutShort reports whether the client of a call with this context may be the reason why it has
// ended with this code, for adapters: the client has left or let the deadline pass, or a message
// was not received or not sent (broken). Then it is not known how the call would have ended, so it
// has to count. Otherwise a client that leaves just before each answer would never be charged.
func CutShort(ctx context.Context, code uint32, broken bool) bool {
	_, limited := ctx.Deadline() // a handler may give up a little before it
	ended := broken || ctx.Err() != nil || code == codeCanceled || limited && code == codeDeadlineExceeded
	return code != 0 && ended
}

// settle refunds the tokens of the rules for which a call with this code does not count.
func (f *refunds) settle(s *Session, code uint32) {
	if CutShort(s.Context, code, f.broken.Load() || s.Denied() != nil) {
		return
	}
	o := Outcome{s.call.Method, code, time.Since(f.begun)}
	changes := f.changes[:0]
	for i, r := range f.rules {
		counts := true
		s.guard.reporter.Call(s, "CountOnly", func() error { counts = r.CountOnly(o); return nil })
		if !counts {
			changes = append(changes, f.changes[i])
		}
	}
	if len(changes) == 0 {
		return
	}
	ctx := context.WithoutCancel(s.Context) // the client may have gone
	if _, err := s.guard.limiter.Apply(ctx, changes...); err != nil {
		s.guard.reporter.Report(ctx, err)
	}
}
