package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const defaultStoreTimeout = 50 * time.Millisecond

// minStoreTimeout is less than any Store takes that can fail, and more than a number without a unit.
const minStoreTimeout = 10 * time.Microsecond

// ErrStoreDown is wrapped by the error of a decision for which the [Store] was not even
// asked, because it has failed several times in a row. It is tried again, by one call at
// a time, after a fraction of a second. Config.OnError is told when that begins and
// when it ends, and not of each such decision.
var ErrStoreDown = errors.New("not asked, since it has failed several times in a row")

// remote asks a store that may be slow, dead or wrong.
type remote struct {
	store   Store
	leaser  Leaser // the store, if it is one
	timeout time.Duration
	start   time.Time
	breaker breaker
	refused *refusals
	counters
}

func newRemote(store Store, timeout time.Duration) *remote {
	leaser, _ := store.(Leaser)
	return &remote{store: store, leaser: leaser, timeout: timeout, start: time.Now(), refused: newRefusals(defaultRefusals)}
}

// apply has the store decide ops, which are valid, unless it is known that it would refuse them or
// that it is down. It also returns what the outcome changed.
func (s *remote) apply(ctx context.Context, ops []Op) (transition, *StoreError) {
	now := int64(time.Since(s.start))
	since, refused := s.refused.answer(now, ops)
	if refused {
		s.remembered.Add(1)
		return unchanged, nil
	}
	ticket, ok := s.breaker.allow(now)
	if !ok {
		return unchanged, s.count(unchanged, &StoreError{FailureDown, ErrStoreDown})
	}
	err := s.ask(ctx, func(ctx context.Context) error { return s.store.Apply(ctx, ops) })
	now = int64(time.Since(s.start))
	s.refused.learn(now, since, ops, err != nil)
	if err != nil && err.Reason == FailureInvalid {
		s.breaker.spare(now, ticket) // it says nothing of the store
		return unchanged, s.count(unchanged, err)
	}
	change := unchanged
	if err != nil && repeats(err.Err) {
		change = s.breaker.doneAgain(now, ticket)
	} else {
		change = s.breaker.done(now, ticket, err != nil)
	}
	return change, s.count(change, err)
}

// count counts an outcome of the store, and returns err.
func (s *remote) count(change transition, err *StoreError) *StoreError {
	if change != unchanged {
		s.changes[change].Add(1)
	}
	if err == nil {
		s.answered.Add(1)
	} else {
		s.failures[err.Reason.index()].Add(1)
	}
	return err
}

// lease has the store acquire, renew or release leases, unless it is known to be down. It also returns
// what the outcome changed.
func (s *remote) lease(ctx context.Context, kind LeaseKind, leases []Lease) (transition, *StoreError) {
	allow := s.breaker.allow
	if kind != LeaseAcquire {
		allow = s.breaker.allowMore
	}
	ticket, ok := allow(int64(time.Since(s.start)))
	if !ok {
		return unchanged, s.count(unchanged, &StoreError{FailureDown, ErrStoreDown})
	}
	err := s.ask(ctx, func(ctx context.Context) error { return s.leaser.Lease(ctx, kind, leases) })
	change := s.breaker.done(int64(time.Since(s.start)), ticket, err != nil)
	return change, s.count(change, err)
}

// ask asks the store by f. The client's going away must not spare it the charge.
func (s *remote) ask(ctx context.Context, f func(context.Context) error) (failed *StoreError) {
	defer func() {
		if p := recover(); p != nil {
			failed = &StoreError{FailurePanic, fmt.Errorf("panic: %v", p)}
		}
	}()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
	defer cancel()
	if err := f(ctx); err != nil {
		return newStoreError(err)
	}
	return nil
}
