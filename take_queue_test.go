package ratelimit_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/store"
)

// Changes of a bucket that held requests have emptied are made once, and only as far as tokens are
// there.
func TestChangesWhileRequestsAreHeld(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change ratelimit.Change
		want   time.Duration // for which the next request is held
	}{
		{"a refund of nothing", refunds("r", 0), 4 * time.Second},
		{"a refund", refunds("r", 1), 3 * time.Second},
		{"a larger refund", refunds("r", 2), 2 * time.Second},
		{"a refund of all", refunds("r", 9), 0},
		{"a reset", resets("r"), 0},
		{"a peek", peeks("r", 1), 4 * time.Second},
		{"a take of nothing", takes("r", 0), 4 * time.Second},
		{"a take", takes("r", 1), 4 * time.Second},
	} {
		for _, beside := range []bool{false, true} {
			if kind := tc.change.Kind; beside && (kind == store.Take || kind == store.Peek) {
				continue // with MaxWait, it must be the only change
			}
			t.Run(tc.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					rules := []ratelimit.Rule{patient("r", "1 per second", 10*time.Second), rule("other", "5 per hour")}
					l := newLimiter(t, ratelimit.Config{Rules: rules})
					require.True(t, take(t, l, "other", client(), 3).Allowed)
					h := l.Handler(ok)
					var all sync.WaitGroup
					for range 4 {
						all.Go(func() { assert.NoError(t, l.Wait(t.Context(), "r", client(), 1)) })
						synctest.Wait()
					}
					changes := []ratelimit.Change{tc.change}
					if beside {
						changes = append(changes, takes("other", 1))
					}
					ds := applyAll(t, l, changes...)
					assert.Equal(t, tc.change.Kind > store.Peek || tc.change.Cost == 0, ds[0].Allowed)
					if beside {
						assert.True(t, ds[1].Allowed)
						assert.Equal(t, int64(1), remaining(t, l, "other"))
					}
					begin := time.Now()
					assert.Equal(t, 200, serve(h, with()).Code)
					assert.InDelta(t, tc.want.Seconds(), time.Since(begin).Seconds(), 3e-9)
					all.Wait()
				})
			})
		}
	}
}
