package guard

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/store"
)

// leasing is a store that can lease, and fails by a function.
type leasing struct {
	store.Store
	calls []store.LeaseKind
	fail  func(ctx context.Context) error
}

func (s *leasing) Lease(ctx context.Context, kind store.LeaseKind, leases []store.Lease) error {
	s.calls = append(s.calls, kind)
	for i := range leases {
		leases[i].Granted = true
	}
	if s.fail != nil {
		return s.fail(ctx)
	}
	return nil
}

func TestCanLease(t *testing.T) {
	assert.False(t, New(newMemory(nil), Config{}).CanLease())
	assert.True(t, New(&leasing{}, Config{}).CanLease())
}

func TestLease(t *testing.T) {
	s := &leasing{}
	g := New(s, Config{})
	leases := []store.Lease{{Rule: "r", Key: user("a"), Max: 1, TTL: time.Second}}
	kinds := []store.LeaseKind{store.Acquire, store.Renew, store.Release}
	for _, kind := range kinds {
		leases[0].Granted = false
		require.Nil(t, g.Lease(t.Context(), kind, leases))
		assert.True(t, leases[0].Granted)
	}
	assert.Equal(t, kinds, s.calls)
	assert.EqualValues(t, 3, g.Stats().Answered)
}

func TestLeaseThatFails(t *testing.T) {
	for name, tc := range map[string]struct {
		fail func(context.Context) error
		want store.Reason
	}{
		"error": {func(context.Context) error { return told("readonly") }, store.ReasonReadOnly},
		"panic": {func(context.Context) error { panic("away") }, store.ReasonPanic},
		"hangs": {func(ctx context.Context) error { return stalling(ctx, nil) }, store.ReasonTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &leasing{fail: tc.fail}
				g := New(s, Config{})
				for n := range 100 {
					err := g.Lease(t.Context(), store.Acquire, nil)
					require.NotNil(t, err)
					want := tc.want
					if n >= 5 {
						want = store.ReasonDown
					}
					require.Equal(t, want, err.Reason, "call %d", n)
				}
				assert.Len(t, s.calls, 5, "a dead store is not called")
				want := map[store.Reason]int64{tc.want: 5, store.ReasonDown: 95}
				assert.Equal(t, want, g.Stats().Failures)
			})
		})
	}
}

// While the store recovers it receives a share of acquisitions, and every release.
func TestLeasesAreReleasedInTheRamp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &leasing{fail: func(context.Context) error { return told("connect") }}
		recovering := false
		g := New(s, Config{OnState: func(_ context.Context, s store.State) { recovering = s == store.Recovering }})
		for range 10 {
			_ = g.Lease(t.Context(), store.Acquire, nil)
		}
		s.fail = nil
		for !recovering {
			time.Sleep(ms)
			_ = g.Lease(t.Context(), store.Acquire, nil)
		}
		s.calls = nil
		acquired := 0
		for range 100 {
			time.Sleep(ms)
			if g.Lease(t.Context(), store.Acquire, nil) == nil {
				acquired++
				require.Nil(t, g.Lease(t.Context(), store.Release, nil))
			}
		}
		assert.Positive(t, acquired)
		assert.Less(t, acquired, 50)
		assert.Len(t, s.calls, 2*acquired)
		assert.Equal(t, slices.Repeat([]store.LeaseKind{store.Acquire, store.Release}, acquired), s.calls)
	})
}
