package ratelimit

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ratelimit-go/ratelimit/internal/blocks"
	"github.com/ratelimit-go/ratelimit/internal/key"
	"github.com/ratelimit-go/ratelimit/internal/rank"
	"github.com/ratelimit-go/ratelimit/internal/verdict"
	"github.com/ratelimit-go/ratelimit/store"
)

// addBlock adds ops on the buckets of the Block of r.
func addBlock(v *verdict.Verdict, r *rule, ops ...store.Op) {
	for i := range ops {
		v.Ops = append(v.Ops, ops[i])
		v.From = append(v.From, &verdict.Policy{Limit: ops[i].Limit, Rule: &r.info, Quiet: true})
	}
}

// suspect makes c a denial and returns true if k is known to be blocked. If not, c asks the store.
func (c *call) suspect(e *engine, r *rule, k Key) bool {
	wait, ask := e.known.Find(r.block.ID(k))
	if wait > 0 {
		c.Denied = verdict.Denial{Rule: &r.info, Key: k, Reason: string(ReasonBlocked), Wait: wait}
		return true
	}
	c.suspects = append(c.suspects, suspect{r, k, ask})
	return false
}

// unasked notes that c is denied without a call of the store. Another request then asks the store
// about the suspects of c.
func (e *engine) unasked(c *call) {
	c.Ops, c.From = c.Ops[:0], c.From[:0]
	for _, s := range c.suspects {
		if s.ask {
			e.known.Unclaim(s.rule.block.ID(s.key))
		}
	}
}

// applyBlocks is apply for a call with suspects: it asks whether they are blocked, and counts their
// violations. If a suspect is blocked, it makes c a denial.
func (e *engine) applyBlocks(ctx context.Context, c *call) error {
	if len(c.suspects) == 0 {
		return e.apply(ctx, &c.Verdict)
	}
	if err := e.applyAsking(ctx, c); err != nil {
		return err
	}
	if c.Denied.Reason == "" && c.Decided() {
		for _, s := range c.suspects {
			if !c.again && c.exceeds(s) {
				c.block(s, e.violate(ctx, s.rule, s.key))
			}
		}
		return nil
	}
	if c.Denied.Reason == string(ReasonBlocked) && c.took() {
		e.refund(ctx, c.Taken())
	}
	return nil
}

// applyAsking is apply, and asks whether the suspects are blocked, unless all blocks are known.
func (e *engine) applyAsking(ctx context.Context, c *call) error {
	if e.known.Complete() && !slices.ContainsFunc(c.suspects, func(s suspect) bool { return s.ask }) {
		return e.apply(ctx, &c.Verdict)
	}
	n, then := len(c.Ops), e.known.Asking()
	for _, s := range c.suspects {
		addBlock(&c.Verdict, s.rule, s.rule.block.Asks(s.key))
	}
	err := e.apply(ctx, &c.Verdict)
	answers := c.Ops[n:]
	c.Ops, c.From = c.Ops[:n], c.From[:n] // fields, decisions and refunds are made of these
	if err != nil {
		return err
	}
	for i, s := range c.suspects {
		c.block(s, e.stillBlocked(c, s, &answers[i].Result, then))
	}
	return nil
}

// took reports whether c has taken what it asked for.
func (c *call) took() bool {
	return c.Decided() && len(c.Ops) > 0 && c.Ops[0].Kind == store.Take &&
		c.Ops[rank.Strictest(c.Ops)].Result.Allowed
}

// exceeds reports whether the limits of the suspect's rule have denied c.
func (c *call) exceeds(s suspect) bool {
	return slices.ContainsFunc(c.Ops, func(op store.Op) bool {
		denied := op.Kind == store.Take && !op.Result.Allowed
		return denied && op.Key == s.key && op.Limit.Rule() == s.rule.Name
	})
}

// block makes c a denial because s is blocked for wait, unless that is 0.
func (c *call) block(s suspect, wait time.Duration) {
	if wait <= c.Denied.Wait {
		return
	}
	if worst := c.Strictest(); worst >= 0 && !c.Ops[worst].Result.Allowed {
		wait = max(wait, c.Ops[worst].Result.RetryAfter) // the limits have decided too
	}
	c.Denied = verdict.Denial{Rule: &s.rule.info, Key: s.key, Reason: string(ReasonBlocked), Wait: wait}
}

// stillBlocked returns for how long s is blocked, as the store has answered. If the store failed,
// it returns what this process knows.
func (e *engine) stillBlocked(c *call, s suspect, answer *store.Result, then blocks.Instant) time.Duration {
	who := s.rule.block.ID(s.key)
	if c.Failed != "" {
		wait, _ := e.known.Find(who)
		if c.Failed == verdict.Memory && !answer.Allowed && !answer.Overflow {
			wait = max(wait, answer.RetryAfter)
		}
		return wait
	}
	switch {
	case !answer.Allowed && !answer.Overflow: // a bucket that keys share blocks none of them
		e.known.Learn(who, s.rule.Name, then, answer.RetryAfter, 0)
		return answer.RetryAfter
	case s.ask:
		e.known.Forget(who)
	}
	return 0
}

// violate counts a violation of k under r, and returns for how long k is now blocked.
func (e *engine) violate(ctx context.Context, r *rule, k Key) time.Duration {
	if !r.block.Counts() || k == key.Shared() {
		return 0
	}
	wait, times := r.block.Count(e.known, r.Name, k, func(ops []store.Op) (decided, shared bool) {
		c := e.newCall()
		defer e.free(c)
		addBlock(&c.Verdict, r, ops...)
		_ = e.apply(ctx, &c.Verdict) // reported there
		copy(ops, c.Ops)
		return c.Decided(), c.Failed == ""
	})
	if times > 0 {
		r.tally.Blocks.Add(1)
		if hook := e.hooks.Load().Blocked; hook != nil {
			b := Blocked{Rule: r.Name, Key: k, Until: e.now().Add(wait), Times: times}
			e.safely(ctx, "Blocked", func() { hook(ctx, b) })
		}
	}
	return wait
}

// judge counts a response that is a violation, or that was not seen.
func (e *engine) judge(r *http.Request, s settlement, res Response, seen bool) {
	violation, when := !seen, s.rule.Block.When
	s.rule.call(e.reporter, r.Context(), "When", func() error {
		violation = when(res) || !seen
		return nil
	})
	if violation {
		e.violate(r.Context(), s.rule, s.key)
	}
}

// Block blocks key under the named rule, which must have a [Block], for d from now, from a
// millisecond to a year. It can lengthen or shorten a block. It does not count as a repetition.
// Until the first end of a shortened block has passed, that block counts as two for the length of
// the next block. Processes that know of an earlier block go on with it for up to 10 seconds. The
// error says that there is no such rule ([ErrNoRule]), that key or d is not valid, that the Store
// failed, or that it has no room for key. In the last case only this limiter blocks key, if it can.
func (l *Limiter) Block(ctx context.Context, rule string, key Key, d time.Duration) error {
	r, err := l.blocking(rule, key)
	if err != nil {
		return err
	}
	if d < time.Millisecond || d > blocks.MaxFor {
		return fmt.Errorf("ratelimit: a block of %v: want a millisecond to a year", d)
	}
	then, ops := l.known.Asking(), r.block.BlockFor(nil, key, d)
	if err := l.applyBlock(ctx, r, ops); err != nil {
		return err
	}
	n, err := l.known.ByHand(r.block.ID(key), r.Name, then, d, &ops[len(ops)-1].Result)
	r.tally.Blocks.Add(n)
	return err
}

// Unblock ends the block of key under the named rule, which must have a [Block], and forgets its
// violations and how often it was blocked. What its limits have counted stays: see [Limiter.Reset].
// Other processes with the same Store learn of it within 10 seconds. The errors are the errors of
// [Limiter.Block].
func (l *Limiter) Unblock(ctx context.Context, rule string, key Key) error {
	r, err := l.blocking(rule, key)
	if err != nil {
		return err
	}
	err = l.applyBlock(ctx, r, r.block.Resets(nil, key))
	l.known.Lift(r.block.ID(key))
	return err
}

// applyBlock applies ops on the buckets of the Block of r.
func (e *engine) applyBlock(ctx context.Context, r *rule, ops []store.Op) error {
	c := e.newCall()
	defer e.free(c)
	addBlock(&c.Verdict, r, ops...)
	if err := e.apply(ctx, &c.Verdict); err != nil {
		return err
	}
	copy(ops, c.Ops)
	return c.Err
}

func (l *Limiter) blocking(name string, k Key) (*rule, error) {
	r := l.table.Load().byName.Find(name)
	switch {
	case r == nil:
		return nil, noRule(name)
	case r.block == nil:
		return nil, fmt.Errorf("ratelimit: rule %q has no Block", name)
	case k.IsZero():
		return nil, fmt.Errorf("ratelimit: rule %q: %w: no key", name, store.ErrInvalidOp)
	}
	return r, nil
}

// Blocked returns the blocks of the given keys that this process knows of, longest first. Without
// keys it returns all: the blocks that this process made, and blocks of other processes under which
// it has denied a request. It knows of about 65,536 at most. It does not call the Store.
func (l *Limiter) Blocked(keys ...Key) []Blocked {
	var all []Blocked
	now, byName := l.now(), l.table.Load().byName
	if len(keys) == 0 {
		l.known.Each(func(b blocks.Block) {
			if r := byName.Find(b.Rule); r != nil && r.block != nil {
				all = append(all, Blocked{b.Rule, b.Key, now.Add(b.Left), b.Times})
			}
		})
	}
	for _, k := range keys {
		for _, r := range byName.All() {
			if r.block == nil {
				continue
			}
			if b, ok := l.known.Get(r.block.ID(k)); ok {
				all = append(all, Blocked{b.Rule, b.Key, now.Add(b.Left), b.Times})
			}
		}
	}
	slices.SortFunc(all, func(a, b Blocked) int {
		byKey := strings.Compare(a.Key.String(), b.Key.String())
		return cmp.Or(b.Until.Compare(a.Until), cmp.Compare(a.Rule, b.Rule), byKey)
	})
	return all
}
