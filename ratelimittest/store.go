package ratelimittest

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/ratelimit-go/ratelimit/store"
)

// A Store passes calls on to another Store, until it is told to fail. It is safe for concurrent
// use. Give it to a limiter as Config.Store, to see what the service does when its store is away.
//
// It is no [store.Leaser], so each limiter counts requests in flight for itself. If the other Store
// is one, use a [LeaserStore].
type Store struct {
	inner store.Store
	err   atomic.Pointer[error]
	delay atomic.Int64
}

var _ store.Checker = (*Store)(nil)

// NewStore returns a Store that passes calls on to inner, such as a MemoryStore.
func NewStore(inner store.Store) *Store { return &Store{inner: inner} }

// Fail makes each call return err from now on. If err is nil, calls are passed on again. A limiter
// stops calling a store that has failed five times in a row. Two seconds after Fail(nil), the next
// request calls the store again as a probe. Half a second after the probe all requests do.
func (s *Store) Fail(err error) { s.err.Store(&err) }

// Delay makes each call wait for d first, or until its context ends. A limiter gives up a call
// after Config.StoreTimeout.
func (s *Store) Delay(d time.Duration) { s.delay.Store(int64(d)) }

// Apply implements [store.Store].
func (s *Store) Apply(ctx context.Context, ops []store.Op) error {
	if err := s.fault(ctx); err != nil {
		return err
	}
	return s.inner.Apply(ctx, ops)
}

// Check implements [store.Checker] as the other Store does. It neither fails nor waits, because a
// Checker calls no server.
func (s *Store) Check(limits []*store.Limit) error {
	if c, ok := s.inner.(store.Checker); ok {
		return c.Check(limits)
	}
	return nil
}

// fault waits as Delay says, and returns the error of Fail.
func (s *Store) fault(ctx context.Context) error {
	if d := time.Duration(s.delay.Load()); d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := s.err.Load(); err != nil {
		return *err
	}
	return nil
}

// A LeaserStore is a [Store] whose other Store is a [store.Leaser], such as a store of redisstore
// or postgresstore. Fail and Delay apply to leases too. It is safe for concurrent use.
type LeaserStore struct {
	*Store
	leaser store.Leaser
}

var _ store.Leaser = (*LeaserStore)(nil)

// NewLeaserStore returns a LeaserStore that passes calls on to inner.
func NewLeaserStore(inner interface {
	store.Store
	store.Leaser
},
) *LeaserStore {
	return &LeaserStore{NewStore(inner), inner}
}

// Lease implements [store.Leaser].
func (s *LeaserStore) Lease(ctx context.Context, kind store.LeaseKind, leases []store.Lease) error {
	if err := s.fault(ctx); err != nil {
		return err
	}
	return s.leaser.Lease(ctx, kind, leases)
}
