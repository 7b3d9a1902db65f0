package rpclimit

import (
	"cmp"
	"fmt"
	"time"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/guard"
	"github.com/ratelimit-go/ratelimit/internal/inflight"
	"github.com/ratelimit-go/ratelimit/internal/respond"
)

// flight is an [InFlight].
type flight struct {
	target
	max   int
	meter inflight.Meter // which knows of no call, so a denied call is told to wait for a second
}

func (g *Guard) compileFlights(m *mistakes) (flights []*flight) {
	names := map[string]bool{}
	for i := range g.cfg.InFlight {
		field := fmt.Sprintf("InFlight[%d]", i)
		in := &g.cfg.InFlight[i]
		f := &flight{max: in.Max}
		f.target = m.target(field, in.Name, in.Methods, in.Key, in.OnMissingKey)
		f.hidden = in.Hidden
		switch {
		case !respond.ValidName(in.Name):
			m.add(field+".Name", fmt.Errorf("%s: want 1 to 64 printable ASCII characters "+
				"without quotes and backslashes", quote(in.Name)))
		case names[in.Name]:
			m.add(field+".Name", fmt.Errorf("%s is there twice: want another name", quote(in.Name)))
		}
		names[in.Name] = true
		if in.Max < 1 || in.Max > 1_000_000 {
			m.add(field+".Max", fmt.Errorf("%d: want from 1 to 1,000,000", in.Max))
		}
		flights = append(flights, f)
	}
	return flights
}

// compileStore has the calls in flight counted in the Store of the Config, if it has one.
func (g *Guard) compileStore(m *mistakes) {
	m.add("StoreTimeout", guard.CheckTimeout(g.cfg.StoreTimeout))
	m.add("LeaseTTL", inflight.CheckTTL(g.cfg.LeaseTTL))
	if g.cfg.Store == nil {
		return
	}
	calls := guard.New(g.cfg.Store, guard.Config{Timeout: g.cfg.StoreTimeout})
	if !calls.CanLease() {
		m.add("Store", fmt.Errorf("%T: want a store.Leaser, such as a store of redisstore or "+
			"postgresstore", g.cfg.Store))
		return
	}
	ttl := cmp.Or(g.cfg.LeaseTTL, inflight.DefaultTTL)
	g.leases = &inflight.Leases{Store: calls, TTL: ttl, Report: g.reporter.Report}
}

// enter takes the permits of a call, and leases if a store counts for all instances.
func (g *Guard) enter(s *Session) *Denial {
	want := s.fewPermits[:0]
	for _, f := range s.plan.flights {
		k, ok := g.keyOf(s.Context, &s.call, &f.target)
		switch {
		case ok:
			want = append(want, inflight.Permit{
				Rule: f.name, Key: k, Max: f.max, Alone: f.max, Meter: &f.meter,
			})
		case f.missing == ratelimit.DenyRequest:
			return noKey(&f.target)
		}
	}
	if g.leases == nil { // a Stay would take three more allocations, and twice the time of a call
		missing, wait := g.flights.Take(want)
		if missing == nil {
			s.permits = want
			return nil
		}
		return s.full(missing, wait)
	}
	stay, denied := g.flights.Enter(s.Context, want)
	if denied == nil {
		denied = stay.Lease(g.leases)
	}
	if denied == nil {
		s.stay = stay
		return nil
	}
	stay.Leave()
	return s.full(denied.Permit, denied.Wait) // a store that fails denies nothing by itself
}

// leave releases what enter has taken. It may be called again.
func (s *Session) leave() {
	s.stay.Leave()
	if len(s.permits) > 0 {
		s.guard.flights.Release(s.permits, false)
		s.permits = nil
	}
}

// full returns the denial of a call that has not got a permit.
func (s *Session) full(missing *inflight.Permit, wait time.Duration) *Denial {
	d := &Denial{Decision: ratelimit.Decision{
		Reason: ratelimit.ReasonInFlight, Mode: ratelimit.Enforce,
		Rule: missing.Rule, Key: missing.Key, RetryAfter: wait,
	}}
	for _, f := range s.plan.flights {
		d.hidden = d.hidden || f.name == missing.Rule && f.hidden
	}
	return d
}
