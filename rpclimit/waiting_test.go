package rpclimit_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/rpclimit"
)

// A thousand calls of a key may wait under one rule. They take no place from another rule.
func TestCallsThatWaitAreBounded(t *testing.T) {
	const first, second = "/pkg.Service/First", "/pkg.Service/Second"
	synctest.Test(t, func(t *testing.T) {
		g := guard(t, rpclimit.Config{
			Limiter: budgets(t, "1 per minute", "1 per minute"),
			Rules: []rpclimit.Rule{
				{Name: "a", Methods: []string{first}, Key: all, MaxWait: time.Hour},
				{Name: "b", Methods: []string{second}, Key: all, MaxWait: time.Hour},
			},
		})
		ctx, cancel := context.WithCancel(t.Context())
		require.Nil(t, begin(ctx, g, first))
		require.Nil(t, begin(ctx, g, second))
		var ended atomic.Int64
		wait := func(method string) {
			go func() {
				_ = begin(ctx, g, method)
				ended.Add(1)
			}()
		}
		for range 1000 {
			wait(first)
		}
		synctest.Wait()
		require.Zero(t, ended.Load())
		assert.NotNil(t, begin(ctx, g, first), "the call is denied at once")
		wait(second)
		synctest.Wait()
		assert.Zero(t, ended.Load(), "the call waits")
		cancel()
		synctest.Wait()
		assert.EqualValues(t, 1001, ended.Load())
		require.Nil(t, begin(t.Context(), g, first), "all places are free again")
	})
}
