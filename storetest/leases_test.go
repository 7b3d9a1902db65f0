package storetest_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/storetest"
)

// fleet is a Store that can lease.
type fleet struct {
	ratelimit.Store
	ratelimit.Leaser
}

func leaseHarness(leaser func(*storetest.Leases, *manual) ratelimit.Leaser) storetest.Harness {
	return harness(func(m *manual) ratelimit.Store {
		return fleet{storetest.NewExact(m.Now), leaser(storetest.NewLeases(m.Now), m)}
	})
}

func TestLeases(t *testing.T) {
	storetest.RunLeases(t, leaseHarness(func(s *storetest.Leases, _ *manual) ratelimit.Leaser { return s }))
	storetest.RunLeases(t, storetest.Harness{
		New: func(testing.TB) ratelimit.Store {
			return fleet{storetest.NewExact(nil), storetest.NewLeases(nil)}
		},
		Around: synctest.Test,
	})
}

type leaseFunc func(context.Context, ratelimit.LeaseKind, []ratelimit.Lease) error

func (f leaseFunc) Lease(ctx context.Context, kind ratelimit.LeaseKind, leases []ratelimit.Lease) error {
	return f(ctx, kind, leases)
}

// Leasers with a bug each are found out.
func TestLeaseMutants(t *testing.T) {
	each := func(s *storetest.Leases, change func(kind *ratelimit.LeaseKind, e *ratelimit.Lease)) leaseFunc {
		return func(ctx context.Context, kind ratelimit.LeaseKind, leases []ratelimit.Lease) error {
			given := append([]ratelimit.Lease(nil), leases...)
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
			return each(s, func(_ *ratelimit.LeaseKind, e *ratelimit.Lease) { e.Max++ })
		}, []string{"leases up to the most"}},
		"rules together": {func(s *storetest.Leases) leaseFunc {
			return each(s, func(_ *ratelimit.LeaseKind, e *ratelimit.Lease) { e.Rule = "" })
		}, []string{"leases up to the most"}},
		"no end": {func(s *storetest.Leases) leaseFunc {
			return each(s, func(_ *ratelimit.LeaseKind, e *ratelimit.Lease) { e.TTL *= 1000 })
		}, []string{"a lease of a dead instance", "a lease that is renewed"}},
		"renewal acquires": {func(s *storetest.Leases) leaseFunc {
			return each(s, func(kind *ratelimit.LeaseKind, e *ratelimit.Lease) {
				if *kind == ratelimit.LeaseRenew {
					*kind, e.Max = ratelimit.LeaseAcquire, 1
				}
			})
		}, []string{"a lease that has ended"}},
		"one after another": {func(s *storetest.Leases) leaseFunc {
			return func(ctx context.Context, kind ratelimit.LeaseKind, leases []ratelimit.Lease) error {
				for i := range leases {
					if err := s.Lease(ctx, kind, leases[i:i+1]); err != nil {
						return err
					}
				}
				return ctx.Err()
			}
		}, []string{"leases of all or none", "invalid leases"}},
		"no release": {func(s *storetest.Leases) leaseFunc {
			return func(ctx context.Context, kind ratelimit.LeaseKind, leases []ratelimit.Lease) error {
				if kind == ratelimit.LeaseRelease {
					return nil
				}
				return s.Lease(ctx, kind, leases)
			}
		}, []string{"leases up to the most", "leases at once"}},
		"a deaf one": {func(s *storetest.Leases) leaseFunc {
			return func(_ context.Context, kind ratelimit.LeaseKind, leases []ratelimit.Lease) error {
				return s.Lease(context.Background(), kind, leases)
			}
		}, []string{"leases and a context that is done"}},
	} {
		t.Run(name, func(t *testing.T) {
			failed := storetest.FailedLeaseCases(t, leaseHarness(func(s *storetest.Leases, _ *manual) ratelimit.Leaser { return tc.mutant(s) }))
			assert.Subset(t, failed, tc.found)
		})
	}
}

func TestLeasesAreForgotten(t *testing.T) {
	m := newManual()
	s := storetest.NewLeases(m.Now)
	leases := []ratelimit.Lease{{Rule: "r", Key: ratelimit.UserKey("a"), Max: 1, TTL: time.Second}}
	assert.NoError(t, s.Lease(t.Context(), ratelimit.LeaseAcquire, leases))
	assert.Equal(t, 1, s.Len())
	m.Advance(time.Second)
	assert.Zero(t, s.Len())
}
