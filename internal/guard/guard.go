// Package guard calls a store.Store under a deadline, behind a breaker and a memory of denials.
package guard

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/ratelimit-go/ratelimit/store"
)

const (
	// DefaultTimeout is the Timeout of a [Guard] that is not told another.
	DefaultTimeout = 50 * time.Millisecond

	// MinTimeout is less than any store takes that can fail. It is more than any number that was
	// meant to have a unit.
	MinTimeout = 10 * time.Microsecond
)

// Config says how a [Guard] calls its store.
type Config struct {
	// Timeout is the longest time that a call may take. Zero means DefaultTimeout. The time is real
	// time even if Clock is set.
	Timeout time.Duration
	// Clock returns the time since any beginning. The breaker and the memory of denials use it. Its
	// readings may arrive a little out of order. Nil means the monotonic clock.
	Clock func() time.Duration
	// OnState is called once for each change of the store's state, with the context of the call
	// that changed it. It must not panic. It may be nil.
	OnState func(ctx context.Context, s store.State)
}

// A Guard calls a store that may be slow, dead or wrong. It calls the store at most once for each
// of its own calls. Make it with [New]. It is safe for concurrent use.
type Guard struct {
	store   store.Store
	leaser  store.Leaser // the store, if it is one
	timeout time.Duration
	clock   func() time.Duration // nil: the time since origin
	origin  time.Time
	onState func(ctx context.Context, s store.State) // may be nil
	shards  shards
	denials *denials
	outage  outage
	counters
}

// New returns a Guard of s.
func New(s store.Store, cfg Config) *Guard {
	leaser, _ := s.(store.Leaser)
	g := &Guard{
		store:    s,
		leaser:   leaser,
		timeout:  cmp.Or(cfg.Timeout, DefaultTimeout),
		clock:    cfg.Clock,
		origin:   time.Now(),
		onState:  cfg.OnState,
		denials:  newDenials(maxDenials),
		counters: newCounters(),
	}
	if sharder, ok := s.(store.Sharder); ok {
		g.shards.of = sharder.Shard
	}
	return g
}

// Apply lets the store decide ops, which must be valid. If the memory of denials knows that the
// store would deny them, Apply fills in their Results without a call. If the store is down, the
// error has [store.ReasonDown] and wraps [store.ErrDown].
//
// The result is a pointer and no interface. Compare it to nil before you assign it to an error.
func (g *Guard) Apply(ctx context.Context, ops []store.Op) *store.Error {
	began, denied := g.denials.answer(g.now(), ops)
	if denied {
		g.remembered.Add(1)
		return nil
	}
	t, ok := g.shards.allow(began.at, false, len(ops), func(i int) store.Key { return ops[i].Key })
	if !ok {
		return g.notCalled()
	}
	failure := g.call(ctx, func(ctx context.Context) error { return g.store.Apply(ctx, ops) })
	now := g.now()
	g.denials.learn(now, began, ops, failure != nil)
	return g.finish(ctx, g.shards.done(now, &t, failure), failure)
}

func (g *Guard) now() time.Duration {
	if g.clock != nil {
		return g.clock()
	}
	return time.Since(g.origin)
}

// call calls f under the deadline and turns a panic into an error. It ignores that ctx is canceled:
// a client that disconnects must still be charged.
func (g *Guard) call(ctx context.Context, f func(context.Context) error) (failure *store.Error) {
	defer func() {
		if p := recover(); p != nil {
			failure = &store.Error{Reason: store.ReasonPanic, Err: fmt.Errorf("panic: %v", p)}
		}
	}()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.timeout)
	defer cancel()
	defer func(began time.Time) { g.calls.add(time.Since(began)) }(time.Now())
	if err := f(ctx); err != nil {
		return newError(err)
	}
	return nil
}

// notCalled counts and returns the error of a call that the breaker did not allow.
func (g *Guard) notCalled() *store.Error {
	g.failures.add(store.ReasonDown)
	return &store.Error{Reason: store.ReasonDown, Err: store.ErrDown}
}

// finish counts the outcome of a call, reports a change of state unless it is empty, and returns
// failure.
func (g *Guard) finish(ctx context.Context, change store.State, failure *store.Error) *store.Error {
	if failure == nil {
		g.answered.Add(1)
	} else {
		g.failures.add(failure.Reason)
	}
	g.outage.note(g.now, failure, change)
	if change == "" {
		return failure
	}
	g.changes.add(change)
	if g.onState != nil {
		g.onState(ctx, change)
	}
	return failure
}

// CheckTimeout reports that no call can take timeout, if that is so. Zero means [DefaultTimeout].
func CheckTimeout(timeout time.Duration) error {
	if timeout == 0 || timeout >= MinTimeout {
		return nil
	}
	return fmt.Errorf("%v: want at least %v, or 0 for %v", timeout, MinTimeout, DefaultTimeout)
}
