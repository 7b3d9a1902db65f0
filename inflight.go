package ratelimit

import (
	"cmp"
	"context"
	"errors"

	"github.com/ratelimit-go/ratelimit/internal/inflight"
)

// maxInFlight bounds Rule.InFlight.
const maxInFlight = 1_000_000

var errLease = errors.New("ratelimit: store: no lease")

// permit returns the permit that a request of k needs.
func (r *rule) permit(k Key) inflight.Permit {
	p := inflight.Permit{
		Rule: r.Name, Key: k, Max: r.InFlight, Alone: r.InFlight, ForAll: r.forAll, Meter: &r.meter,
	}
	switch r.onFail {
	case FailClosed:
		p.Alone = 0
	case UseMemory:
		p.Alone = max(r.InFlight/max(r.parts, 1), 1)
	}
	return p
}

// leasesOf returns how the permits of all instances are counted, or nil if the store cannot do it.
func (l *Limiter) leasesOf() *inflight.Leases {
	if l.guard == nil || !l.guard.CanLease() {
		return nil
	}
	ttl := cmp.Or(l.cfg.LeaseTTL, defaultLeaseTTL)
	return &inflight.Leases{Store: l.guard, TTL: ttl, Report: l.reporter.Report}
}

// enter takes the permits that c asks for, here and in the store. If it cannot, c is a denial.
func (l *Limiter) enter(ctx context.Context, c *call) *inflight.Stay {
	if len(c.permits) == 0 {
		return nil
	}
	s, denied := l.inFlight.Enter(ctx, c.permits)
	if denied == nil {
		denied = s.Lease(l.leases)
	}
	switch {
	case denied == nil:
	case denied.Permit == nil:
		c.failed, c.err = FailClosed, errLease
	default:
		p := denied.Permit
		c.denied = denial{l.table.Load().byName.find(p.Rule), p.Key, ReasonInFlight, denied.Wait}
		if p.ForAll {
			c.denied.reason = ReasonCapacity
		}
	}
	return s
}
