package ratelimit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// Block is a key that is blocked under a rule with a [Penalty].
type Block struct {
	// Rule is the name of the rule.
	Rule string
	// Key is who is blocked.
	Key Key
	// Until is when the block ends.
	Until time.Time
	// Repeats is how often the key was blocked, this time included and what is forgotten
	// not. It is 0 if the key was blocked by hand, or by another process.
	Repeats int
}

// A suspect is a key of a rule with a penalty, as it applies to one request.
type suspect struct {
	rule *rule
	key  Key
	ask  bool // it was blocked of late
}

func (r *rule) offender(key Key) offender { return offender{r.penalty.block.id, key} }

// blocked reports whether key is known to be blocked under r, which has a penalty, and if so refuses
// c. If not, c asks the store.
func (c *check) blocked(l *Limiter, r *rule, key Key) bool {
	wait, ask := l.blocks.find(r.offender(key))
	if wait > 0 {
		c.refused = refusedBy{rule: r, key: key, reason: ReasonBlocked, wait: wait}
		return true
	}
	c.suspects = append(c.suspects, suspect{r, key, ask})
	return false
}

// unasked says that c is refused before the store is asked about its suspects.
func (l *Limiter) unasked(c *check) {
	for _, s := range c.suspects {
		if s.ask {
			l.blocks.unclaim(s.rule.offender(s.key))
		}
	}
}

// applyBlocks is apply, which also asks whether the suspects are blocked, and counts their offences.
// If one is blocked, c is refused.
func (l *Limiter) applyBlocks(ctx context.Context, c *check) error {
	if len(c.suspects) == 0 {
		return l.apply(ctx, c)
	}
	err := l.applyAsking(ctx, c)
	if errors.Is(err, ErrInvalidOp) {
		return err
	}
	if c.refused.reason == ReasonNone && c.decided() {
		for _, s := range c.suspects {
			if c.refuses(s) {
				c.block(s, l.offend(ctx, s.rule, s.key))
			}
		}
		return err
	}
	if c.refused.reason == ReasonBlocked && c.took() {
		l.credit(ctx, c.appendTaken(nil))
	}
	return err
}

// applyAsking is apply, which also asks whether the suspects are blocked, unless all blocks are known.
func (l *Limiter) applyAsking(ctx context.Context, c *check) error {
	if l.blocks.complete() && !slices.ContainsFunc(c.suspects, func(s suspect) bool { return s.ask }) {
		return l.apply(ctx, c)
	}
	n, then := len(c.ops), l.blocks.asking()
	for _, s := range c.suspects {
		c.ops = append(c.ops, s.rule.penalty.asks(s.key))
	}
	err := l.apply(ctx, c)
	answers := c.ops[n:]
	c.ops = c.ops[:n] // of which everything else is made: fields, decisions, what is given back
	if !errors.Is(err, ErrInvalidOp) {
		for i, s := range c.suspects {
			c.block(s, l.stillBlocked(c, s, &answers[i].Result, then))
		}
	}
	return err
}

// decided reports whether the results of c are those of a store.
func (c *check) decided() bool { return c.failed == 0 || c.failed == UseMemory }

// took reports whether c has taken what it asked for.
func (c *check) took() bool {
	return c.decided() && len(c.ops) > 0 && c.ops[0].Kind == OpTake && strictest(c.ops).Result.Allowed
}

// refuses reports whether the limits of the suspect's rule have refused c.
func (c *check) refuses(s suspect) bool {
	return slices.ContainsFunc(c.ops, func(op Op) bool {
		return op.Kind == OpTake && !op.Result.Allowed && op.Limit.rule == s.rule.Name && op.Key == s.key
	})
}

// block refuses c because s is blocked for so long, unless that is 0.
func (c *check) block(s suspect, wait time.Duration) {
	if wait <= c.refused.wait {
		return
	}
	if worst := c.worst(); worst != nil && !worst.Result.Allowed {
		wait = max(wait, worst.Result.RetryAfter) // it was asked, so it is told
	}
	c.refused = refusedBy{rule: s.rule, key: s.key, reason: ReasonBlocked, wait: wait}
}

// stillBlocked returns for how long s is blocked, as a store has answered or, if it failed, as far as
// it is known.
func (l *Limiter) stillBlocked(c *check, s suspect, answer *Result, then since) time.Duration {
	who := s.rule.offender(s.key)
	if c.failed != 0 {
		wait, _ := l.blocks.find(who)
		if c.failed == UseMemory && !answer.Allowed {
			wait = max(wait, answer.RetryAfter)
		}
		return wait
	}
	switch {
	case !answer.Allowed:
		l.blocks.learn(who, s.rule.Name, then, answer.RetryAfter, 0)
		return answer.RetryAfter
	case s.ask:
		l.blocks.forget(who)
	}
	return 0
}

// offend counts an offence of key under r, and returns for how long it is blocked now.
func (l *Limiter) offend(ctx context.Context, r *rule, key Key) time.Duration {
	p := r.penalty
	if p.offences == nil || key == unidentifiedKey() {
		return 0
	}
	c := l.getCheck()
	defer l.putCheck(c)
	then := l.blocks.asking()
	c.ops = p.offend(c.ops, key)
	_ = l.apply(ctx, c) // reported there
	blocked, offences, repeats := &c.ops[0].Result, &c.ops[2].Result, &c.ops[3].Result
	switch {
	case !c.decided(), blocked.Overflow, offences.Overflow:
		return 0 // there is nobody in particular to blame
	case !blocked.Allowed:
		return l.learn(c, r, key, then, 0)
	case offences.Remaining > 0:
		return 0
	}
	return l.punish(ctx, r, key, p.before(repeats.ResetAfter))
}

// punish blocks a key that was blocked so often before, unless another goroutine or process has
// just done it.
func (l *Limiter) punish(ctx context.Context, r *rule, key Key, before int) time.Duration {
	c := l.getCheck()
	defer l.putCheck(c)
	d, then := r.penalty.length(before), l.blocks.asking()
	c.ops = r.penalty.punish(c.ops, key, d)
	_ = l.apply(ctx, c) // reported there
	switch blocked := &c.ops[0].Result; {
	case !c.decided():
		return 0
	case blocked.Overflow: // the room there was is gone: do not block all who have none
		c.ops = r.penalty.resets(c.ops[:0], key)
		_ = l.apply(ctx, c)
		return 0
	case !blocked.Allowed:
		return l.learn(c, r, key, then, 0)
	}
	l.blocks.learn(r.offender(key), r.Name, then, d, before+1)
	if l.cfg.OnBlocked != nil {
		b := Block{Rule: r.Name, Key: key, Until: time.Now().Add(d), Repeats: before + 1}
		l.safely(ctx, "OnBlocked", func() error { l.cfg.OnBlocked(ctx, b); return nil })
	}
	return d
}

// learn remembers the block that has refused c, and returns what is left of it.
func (l *Limiter) learn(c *check, r *rule, key Key, then since, repeats int) time.Duration {
	wait := c.ops[0].Result.RetryAfter
	if c.failed == 0 {
		l.blocks.learn(r.offender(key), r.Name, then, wait, repeats)
	}
	return wait
}

// judge counts a response that is an offence.
func (l *Limiter) judge(r *http.Request, ctl control, res Response) {
	offence := false
	l.guard(r, ctl.rule.Name+": Offence", func() error { offence = ctl.rule.penalty.Offence(res); return nil })
	if offence {
		l.offend(r.Context(), ctl.rule, ctl.key)
	}
}

// Block blocks key under the named rule, which must have a [Penalty], for d from now, up to
// a year: longer or shorter than it was. It is not counted as a repetition. Other processes with
// the same Store know at once, unless they have it in memory that key is blocked: these
// go on with what they know for up to 10 seconds. The error says that there is no such rule,
// that key or d is not valid, or that the Store failed.
func (l *Limiter) Block(ctx context.Context, rule string, key Key, d time.Duration) error {
	r, err := l.punishing(rule)
	if err != nil {
		return err
	}
	if d < time.Millisecond || d > maxBlock {
		return fmt.Errorf("ratelimit: a block of %v: want a millisecond to %d days", d, maxBlock/day)
	}
	tokens := millis(d)
	d = time.Duration(tokens) * time.Millisecond
	c := l.getCheck()
	defer l.putCheck(c)
	c.ops = append(c.ops, Op{Kind: OpReset, Limit: r.penalty.block, Key: key},
		Op{Kind: OpTake, Limit: r.penalty.block, Key: key, Cost: tokens})
	then := l.blocks.asking()
	if err := l.apply(ctx, c); err != nil {
		return err
	}
	l.blocks.forget(r.offender(key))
	l.blocks.learn(r.offender(key), r.Name, then, d, 0)
	return nil
}

// Unblock ends the block of key under the named rule, which must have a [Penalty], and forgets its
// offences and how often it was blocked. What its limits have counted stays: see
// [Limiter.Reset]. Other processes with the same Store know within 10 seconds. The
// error says that there is no such rule, that key is not valid, or that the Store failed.
func (l *Limiter) Unblock(ctx context.Context, rule string, key Key) error {
	r, err := l.punishing(rule)
	if err != nil {
		return err
	}
	c := l.getCheck()
	defer l.putCheck(c)
	c.ops = r.penalty.resets(c.ops, key)
	err = l.apply(ctx, c)
	l.blocks.lift(r.offender(key))
	return err
}

func (l *Limiter) punishing(name string) (*rule, error) {
	r := l.rule(name)
	switch {
	case r == nil:
		return nil, fmt.Errorf("ratelimit: there is no rule %q", name)
	case r.penalty == nil:
		return nil, fmt.Errorf("ratelimit: rule %q has no Penalty", name)
	}
	return r, nil
}

// Blocked returns the blocks that this process knows of, those that last longest first: all that it
// has made, and those of other processes under which it has refused a request. Of more than
// 65,536 it knows about so many.
func (l *Limiter) Blocked() []Block {
	var all []Block
	now := time.Now()
	l.blocks.each(func(known *blocked, left time.Duration) {
		all = append(all, Block{known.rule, known.key, now.Add(left), known.repeats})
	})
	slices.SortFunc(all, func(a, b Block) int {
		return cmp.Or(b.Until.Compare(a.Until), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Key.String(), b.Key.String()))
	})
	return all
}
