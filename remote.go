package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const defaultStoreTimeout = 50 * time.Millisecond

// ErrStoreDown is wrapped by the error of a decision for which the [Store] was not even
// asked, because it has failed several times in a row. It is tried again, by one call at
// a time, after a fraction of a second. Config.OnError is told when that begins and
// when it ends, and not of each such decision.
var ErrStoreDown = errors.New("not asked, since it has failed several times in a row")

// remote asks a store that may be slow, dead or wrong.
type remote struct {
	store   Store
	timeout time.Duration
	start   time.Time
	breaker breaker
	refused *refusals
}

func newRemote(store Store, timeout time.Duration) *remote {
	return &remote{store: store, timeout: timeout, start: time.Now(), refused: newRefusals(defaultRefusals)}
}

// apply has the store decide ops, unless it is known that it would refuse them or that it
// is down. It also returns what the outcome changed.
func (s *remote) apply(ctx context.Context, ops []Op) (transition, error) {
	now := int64(time.Since(s.start))
	since, refused := s.refused.answer(now, ops)
	if refused {
		return unchanged, nil
	}
	ticket, ok := s.breaker.allow(now)
	if !ok {
		return unchanged, ErrStoreDown
	}
	err := s.ask(ctx, ops)
	now = int64(time.Since(s.start))
	s.refused.learn(now, since, ops, err != nil)
	if errors.Is(err, ErrInvalidOp) {
		return unchanged, err // which says nothing of the store; a probe is given up after a while
	}
	return s.breaker.done(now, ticket, err != nil), err
}

// ask asks the store. The client's going away must not spare it the charge.
func (s *remote) ask(ctx context.Context, ops []Op) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
	defer cancel()
	return s.store.Apply(ctx, ops)
}

// event returns what Config.OnError is told of a change.
func (t transition) event() error {
	switch t {
	case becameOpen:
		return errors.New("ratelimit: store: down: it is not asked but for a probe now and then")
	case becameRecovering:
		return errors.New("ratelimit: store: recovering: it is asked for a growing share of decisions")
	}
	return errors.New("ratelimit: store: up: it is asked for all decisions")
}
