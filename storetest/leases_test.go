package storetest_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/ratelimit-go/ratelimit/store"
	"github.com/ratelimit-go/ratelimit/storetest"
)

// A leasingStore is a Store that is a Leaser too.
type leasingStore struct {
	store.Store
	store.Leaser
}

func leaseHarness(leaser func(*storetest.Leases, *manual) store.Leaser) storetest.Harness {
	return harness(func(m *manual) store.Store {
		return leasingStore{storetest.NewExact(m.Now), leaser(storetest.NewLeases(m.Now), m)}
	})
}

func TestLeases(t *testing.T) {
	storetest.RunLeases(t, leaseHarness(func(s *storetest.Leases, _ *manual) store.Leaser { return s }))
	storetest.RunLeases(t, storetest.Harness{
		New: func(testing.TB) store.Store {
			return leasingStore{storetest.NewExact(nil), storetest.NewLeases(nil)}
		},
		Around: synctest.Test,
	})
}

type leaseFunc func(context.Context, store.LeaseKind, []store.Lease) error

func (f leaseFunc) Lease(ctx context.Context, kind store.LeaseKind, leases []store.Lease) error {
	return f(ctx, kind, leases)
}

// A leaser with a bug fails the cases that should find it.
func TestLeaseCasesFindMutants(t *testing.T) {
	each := func(s *storetest.Leases, change func(kind *store.LeaseKind, e *store.Lease)) leaseFunc {
		return func(ctx context.Context, kind store.LeaseKind, leases []store.Lease) error {
			given := slices.Clone(leases)
			for i := range given {
				change(&kind, &given[i])
			}
			err := s.Lease(ctx, kind, given)
			for i := range given {
				leases[i].Granted = given[i].Granted
			}
			return err
		}
	}
	for name, tc := range map[string]struct {
		mutant func(s *storetest.Leases) leaseFunc
		found  []string
	}{
		"one too many": {func(s *storetest.Leases) leaseFunc {
			return each(s, func(_ *store.LeaseKind, e *store.Lease) { e.Max++ })
		}, []string{"leases stop at Max"}},
		"rules together": {func(s *storetest.Leases) leaseFunc {
			return each(s, func(_ *store.LeaseKind, e *store.Lease) { e.Rule = "" })
		}, []string{"leases stop at Max"}},
		"no end": {func(s *storetest.Leases) leaseFunc {
			return each(s, func(_ *store.LeaseKind, e *store.Lease) { e.TTL *= 1000 })
		}, []string{"the leases of a dead instance end", "a lease lasts as long as it is renewed"}},
		"renewal acquires": {func(s *storetest.Leases) leaseFunc {
			return each(s, func(kind *store.LeaseKind, e *store.Lease) {
				if *kind == store.Renew {
					*kind, e.Max = store.Acquire, 1
				}
			})
		}, []string{"a renewal takes an ended lease again"}},
		"one after another": {func(s *storetest.Leases) leaseFunc {
			return func(ctx context.Context, kind store.LeaseKind, leases []store.Lease) error {
				for i := range leases {
					if err := s.Lease(ctx, kind, leases[i:i+1]); err != nil {
						return err
					}
				}
				return ctx.Err()
			}
		}, []string{"leases are acquired all or none", "invalid leases are errors"}},
		"no release": {func(s *storetest.Leases) leaseFunc {
			return func(ctx context.Context, kind store.LeaseKind, leases []store.Lease) error {
				if kind == store.Release {
					return nil
				}
				return s.Lease(ctx, kind, leases)
			}
		}, []string{"leases stop at Max", "goroutines that acquire and release"}},
		"ignores its context": {func(s *storetest.Leases) leaseFunc {
			return func(_ context.Context, kind store.LeaseKind, leases []store.Lease) error {
				return s.Lease(context.Background(), kind, leases)
			}
		}, []string{"a done context takes no lease"}},
	} {
		t.Run(name, func(t *testing.T) {
			failed := storetest.FailedLeaseCases(t, leaseHarness(func(s *storetest.Leases, _ *manual) store.Leaser { return tc.mutant(s) }))
			assert.Subset(t, failed, tc.found)
		})
	}
}

func TestLeasesForgetsEndedLeases(t *testing.T) {
	m := newManual()
	s := storetest.NewLeases(m.Now)
	leases := []store.Lease{{Rule: "r", Key: user("a"), Max: 1, TTL: time.Second}}
	assert.NoError(t, s.Lease(t.Context(), store.Acquire, leases))
	assert.Equal(t, 1, s.Len())
	m.Advance(time.Second)
	assert.Zero(t, s.Len())
}
