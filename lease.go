package ratelimit

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

const (
	defaultLeaseTTL = 30 * time.Second
	minLeaseTTL     = time.Second
	maxLeaseTTL     = time.Hour

	// A lease is renewed so often in its time that one renewal may fail, or be late.
	renewalsPerTTL = 3
)

// A tenure is the leases of one request that is in flight. It renews them until it ends.
type tenure struct {
	limiter *Limiter
	ctx     context.Context // of the request
	leases  []Lease
	known   bool           // the store has them, as far as we have heard
	asked   bool           // the store may have them: it was asked, whatever came of it
	armed   sync.WaitGroup // the timer, until renew has returned

	mu    sync.Mutex
	timer *time.Timer // nil if they are not renewed
	ended bool
}

var errLeaseLost = errors.New("a lease has ended before it was renewed: more requests may be in flight than InFlight says")

// lease acquires what s holds from the store too, if that is a Leaser, and reports whether the
// request may go on. If not, c says why.
func (l *Limiter) lease(s *stay, c *check) bool {
	if s == nil || l.remote == nil || l.remote.leaser == nil {
		return c.refused.reason == ReasonNone
	}
	t := newTenure(l, s)
	s.tenure = t // also if it fails: if only the answer was lost, there is something to release
	switch err := t.ask(LeaseAcquire); {
	case err != nil && !l.holdsAlone(s, c):
		return false
	case err == nil && t.missing() >= 0:
		s.tenure = nil
		p := &s.held[t.missing()]
		c.refuseInFlight(p, p.rule.permitWait(p.rule.InFlight))
		return false
	case err == nil:
		t.known = true
		l.permits.goOn(s.held, func(*rule) int { return math.MaxInt })
		s.going = true
	}
	t.arm()
	return true
}

// holdsAlone reports whether a request may go on with permits of this process alone, as its rules have
// chosen for when the store fails. If not, c says why.
func (l *Limiter) holdsAlone(s *stay, c *check) bool {
	for i := range s.held {
		if s.held[i].rule.OnStoreFailure == FailClosed {
			c.failed = FailClosed
			return false
		}
	}
	missing, n := l.permits.goOn(s.held, func(r *rule) int {
		if r.OnStoreFailure == UseMemory {
			return r.inFlightPart()
		}
		return r.InFlight
	})
	if missing != nil {
		c.refuseInFlight(missing, missing.rule.permitWait(n))
		return false
	}
	s.going = true
	return true
}

// inFlightPart is what each of Config.Instances admits by itself.
func (r *rule) inFlightPart() int { return max(r.InFlight/max(r.parts, 1), 1) }

func newTenure(l *Limiter, s *stay) *tenure {
	t := &tenure{limiter: l, ctx: s.Context, leases: make([]Lease, len(s.held))}
	var id [16]byte
	binary.NativeEndian.PutUint64(id[:8], rand.Uint64())
	binary.NativeEndian.PutUint64(id[8:], rand.Uint64())
	for i := range s.held {
		p := &s.held[i]
		t.leases[i] = Lease{Rule: p.holder.rule, Key: p.key, ID: id, Max: p.rule.InFlight, TTL: l.leaseTTL()}
	}
	return t
}

func (l *Limiter) leaseTTL() time.Duration { return cmp.Or(l.cfg.LeaseTTL, defaultLeaseTTL) }

// ask asks the store about the leases, and reports its error.
func (t *tenure) ask(kind LeaseKind) error {
	l := t.limiter
	change, err := l.remote.lease(t.ctx, kind, t.leases)
	t.asked = t.asked || err == nil || err.Reason != FailureDown
	if change != unchanged {
		l.report(t.ctx, &StoreChange{change.state()})
	}
	if err == nil {
		return nil
	}
	if err.Reason != FailureDown {
		l.report(t.ctx, &StoreError{err.Reason, fmt.Errorf("lease: %w", err.Err)})
	}
	return err
}

// missing returns the index of the first lease that was not granted, or -1.
func (t *tenure) missing() int {
	return slices.IndexFunc(t.leases, func(e Lease) bool { return !e.Granted })
}

// arm has the leases renewed after a while, unless they have ended.
func (t *tenure) arm() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.ended {
		t.armed.Add(1)
		t.timer = time.AfterFunc(t.limiter.leaseTTL()/renewalsPerTTL, t.renew)
	}
}

// renew is what the timer calls. If it fails, the next one may not.
func (t *tenure) renew() {
	defer t.armed.Done()
	defer t.arm()
	if t.ask(LeaseRenew) != nil {
		return
	}
	if t.known && t.missing() >= 0 {
		t.limiter.report(t.ctx, fmt.Errorf("ratelimit: rule %q: %w", t.leases[t.missing()].Rule, errLeaseLost))
	}
	t.known = true
}

// end releases the leases, once a renewal that is under way is done: nothing is left running.
func (t *tenure) end() {
	t.mu.Lock()
	t.ended = true
	stopped := t.timer != nil && t.timer.Stop()
	t.mu.Unlock()
	if stopped {
		t.armed.Done()
	}
	t.armed.Wait()
	if !t.asked {
		return
	}
	_ = t.ask(LeaseRelease) // reported there; if it fails, they end by themselves
}
