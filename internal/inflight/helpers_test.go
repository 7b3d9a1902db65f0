package inflight

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/internal/key"
	"github.com/ratelimit-go/ratelimit/store"
)

func user(name string) key.Key { return key.Text(key.User, name) }

// permit returns a permit of a rule that has most of them for each key, also if the store fails.
func permit(rule, name string, most int) Permit {
	return Permit{Rule: rule, Key: user(name), Max: most, Alone: most, Meter: new(Meter)}
}

// requireNoneHeld also checks that c has forgotten who held permits.
func requireNoneHeld(t testing.TB, c *Counter) {
	t.Helper()
	permits, holders := c.Held()
	require.Zero(t, permits)
	require.Zero(t, holders)
}

// server is a store of leases that several instances share, and that can fail.
type server struct {
	mu     sync.Mutex // of all fields
	ends   map[holder]map[[16]byte]time.Time
	calls  []store.LeaseKind
	before func(kind store.LeaseKind) *store.Error // nil: it works
	after  func(kind store.LeaseKind) *store.Error // likewise
}

func newServer() *server { return &server{ends: map[holder]map[[16]byte]time.Time{}} }

// Lease is the method of [Leases.Store].
func (s *server) Lease(_ context.Context, kind store.LeaseKind, leases []store.Lease) *store.Error {
	if err := store.CheckLeases(kind, leases); err != nil {
		return &store.Error{Reason: store.ReasonInvalid, Err: err}
	}
	s.mu.Lock()
	s.calls = append(s.calls, kind)
	before, after := s.before, s.after
	s.mu.Unlock()
	if before != nil {
		if err := before(kind); err != nil {
			return err
		}
	}
	s.apply(kind, leases)
	if after != nil {
		return after(kind)
	}
	return nil
}

func (s *server) apply(kind store.LeaseKind, leases []store.Lease) {
	s.mu.Lock()
	defer s.mu.Unlock()
	room := true
	for i := range leases {
		e := &leases[i]
		held := s.held(e)
		_, e.Granted = held[e.ID]
		if kind == store.Acquire {
			e.Granted = e.Granted || len(held) < e.Max
			room = room && e.Granted
		}
	}
	for i := range leases {
		switch e := &leases[i]; {
		case kind == store.Release:
			delete(s.held(e), e.ID)
		case room:
			s.held(e)[e.ID] = time.Now().Add(e.TTL)
		}
	}
}

// held returns the leases that e is counted with, except ended leases.
func (s *server) held(e *store.Lease) map[[16]byte]time.Time {
	who := holder{e.Rule, e.Key}
	if s.ends[who] == nil {
		s.ends[who] = map[[16]byte]time.Time{}
	}
	for id, end := range s.ends[who] {
		if !time.Now().Before(end) {
			delete(s.ends[who], id)
		}
	}
	return s.ends[who]
}

// len returns how many leases have not ended.
func (s *server) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for who := range s.ends {
		n += len(s.held(&store.Lease{Rule: who.rule, Key: who.key}))
	}
	return n
}

// asked returns the calls since it was called before.
func (s *server) asked() []store.LeaseKind {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := s.calls
	s.calls = nil
	return calls
}

// fails makes the next calls fail by before, or work if it is nil.
func (s *server) fails(before func(store.LeaseKind) *store.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = before
}

// away is for fails.
func away(store.LeaseKind) *store.Error {
	return &store.Error{Reason: store.ReasonConnect, Err: errors.New("away")}
}

// hangs is for fails. It takes as long as a call of the store may take.
func hangs(store.LeaseKind) *store.Error {
	time.Sleep(50 * time.Millisecond)
	return &store.Error{Reason: store.ReasonTimeout, Err: context.DeadlineExceeded}
}

// down is for fails. The store was not called.
func down(store.LeaseKind) *store.Error {
	return &store.Error{Reason: store.ReasonDown, Err: store.ErrDown}
}

// loses is for server.after. The lease is acquired, and the answer is lost.
func loses(kind store.LeaseKind) *store.Error {
	if kind == store.Acquire {
		return &store.Error{Reason: store.ReasonConnect, Err: errors.New("lost")}
	}
	return nil
}

// An instance serves requests as a limiter does.
type instance struct {
	*Counter
	leases *Leases // nil for none
}

func local() *instance { return &instance{Counter: NewCounter()} }

// instance returns an instance that shares s. What it reports is an error of the test, unless
// report is given.
func (s *server) instance(t testing.TB, report func(error)) *instance {
	if report == nil {
		report = func(err error) { t.Error(err) }
	}
	return &instance{
		Counter: NewCounter(),
		leases:  &Leases{Store: s, TTL: DefaultTTL, Report: func(_ context.Context, err error) { report(err) }},
	}
}

// serve serves a request that needs permits. It returns why the request is denied.
func (n *instance) serve(ctx context.Context, handler func(context.Context), want ...Permit) *Denial {
	stay, denial := n.Enter(ctx, want)
	defer stay.Leave()
	if denial == nil {
		denial = stay.Lease(n.leases)
	}
	if denial != nil {
		stay.Leave()
		return denial
	}
	stay.Allow()
	if stay != nil {
		ctx = stay
	}
	handler(ctx)
	return nil
}

// allows serves a request that takes no time, and reports whether it was allowed.
func (n *instance) allows(t testing.TB, want ...Permit) bool {
	return n.serve(t.Context(), func(context.Context) {}, want...) == nil
}

// background serves a request that takes d, in a bubble of synctest. It returns when the request is
// in flight.
func (n *instance) background(t testing.TB, d time.Duration, want ...Permit) {
	go n.serve(t.Context(), func(context.Context) { time.Sleep(d) }, want...)
	synctest.Wait()
}

// pass lets time pass in a bubble of synctest, and lets happen what happens at its end.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// kinds returns kinds of leases by their names.
func kinds(names string) []store.LeaseKind {
	var all []store.LeaseKind
	for _, name := range strings.Fields(names) {
		all = append(all, map[string]store.LeaseKind{"acquire": store.Acquire, "renew": store.Renew, "release": store.Release}[name])
	}
	return all
}
