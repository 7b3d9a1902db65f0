package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"strconv"
)

// Mode says whether a [Rule] refuses requests. Rules are tried out by [Observe], rolled out by
// [EnforcePercent], and switched off in an emergency by [Limiter.SetMode].
type Mode uint8

const (
	// Enforce is the ordinary mode.
	Enforce Mode = iota
	// Observe counts as Enforce does, but refuses nobody: OnObserved is told what would have
	// been refused, and nothing of it shows in responses. What a request costs is taken after
	// the enforced rules have admitted it, in a step of its own, so each observed rule is
	// one more call of the Store. Its InFlight, MaxWait and Penalty do nothing. What
	// [Limiter.Take] does is written there.
	Observe
	// Off does not apply the rule at all, in Take neither.
	Off

	somePercent // and 1 to 99 percent more
)

// EnforcePercent is [Enforce] for percent of all keys, always the same ones, and [Observe] for the
// others. It is Observe from 0 down, and Enforce from 100 up. A greater percentage
// takes in the keys of a smaller one. Each rule has keys of its own.
func EnforcePercent(percent int) Mode {
	switch {
	case percent <= 0:
		return Observe
	case percent >= 100:
		return Enforce
	}
	return somePercent + Mode(percent)
}

// String returns "enforce", "observe", "off" or, for example, "enforce 25%".
func (m Mode) String() string {
	switch {
	case m == Enforce:
		return "enforce"
	case m == Observe:
		return "observe"
	case m == Off:
		return "off"
	case m.valid():
		return "enforce " + strconv.Itoa(int(m-somePercent)) + "%"
	}
	return "mode " + strconv.Itoa(int(m))
}

func (m Mode) valid() bool { return m <= Off || m > somePercent && m < somePercent+100 }

// SetMode sets the mode of the named rule, from the next request on, until it is set again or the
// rule is replaced. It is for this instance only. The error says that there is no such
// rule or mode.
func (l *Limiter) SetMode(rule string, mode Mode) error {
	r := l.rule(rule)
	switch {
	case r == nil:
		return fmt.Errorf("ratelimit: there is no rule %q", rule)
	case !mode.valid():
		return fmt.Errorf("ratelimit: unknown mode %d: want Enforce, Observe, Off or EnforcePercent", mode)
	}
	r.modeNow.Store(uint32(mode))
	return nil
}

func (r *rule) mode() Mode { return Mode(r.modeNow.Load()) }

// enforces reports whether a rule in mode m refuses this key.
func (r *rule) enforces(m Mode, key Key) bool {
	if m <= Off {
		return m == Enforce
	}
	h, b := fnv.New32a(), key.bytes() // which is the same in every process
	_, _ = h.Write([]byte(r.Name))
	_, _ = h.Write(b[:])
	return h.Sum32()%100 < uint32(m-somePercent)
}

// An observation is a rule that is observed, as it applies to one request.
type observation struct {
	rule *rule
	plan *plan
	key  Key
	cost int64
}

// takeObserved is Limiter.Take for a rule whose mode does not refuse the key.
func (l *Limiter) takeObserved(ctx context.Context, mode Mode, p *plan, key Key, cost int64, d *Decision) error {
	if mode == Off {
		d.Allowed = true
		return nil
	}
	err := l.check(ctx, OpTake, p, key, cost, d)
	d.Allowed = !errors.Is(err, ErrInvalidOp)
	return err
}

// observe has the observed rules of a request counted, and returns what was taken.
func (l *Limiter) observe(r *http.Request, observed []observation) []Op {
	var taken []Op
	for _, o := range observed {
		c := l.getCheck()
		c.add(o.plan, o.key, o.cost, OpTake)
		_ = l.apply(r.Context(), c) // reported there
		worst := c.worst()
		switch {
		case worst == nil: // the store failed, or the rule is unlimited
		case worst.Result.Allowed:
			taken = c.appendTaken(taken)
		case l.cfg.OnObserved != nil:
			var d Decision
			c.decide(&d)
			l.guard(r, "OnObserved", func() error { l.cfg.OnObserved(r, d); return nil })
		}
		l.putCheck(c)
	}
	return taken
}
