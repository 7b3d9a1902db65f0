package rpclimit_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
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

// While a call waits for one rule, others take the tokens of a second rule. The call waits for that
// too, but only within the second rule's own MaxWait.
func TestEachRuleHasItsOwnMaxWait(t *testing.T) {
	for maxWait, want := range map[time.Duration]time.Duration{
		0: 2 * time.Second, 5 * time.Second: 2 * time.Second, 6 * time.Second: 6 * time.Second,
	} {
		synctest.Test(t, func(t *testing.T) {
			l := budgets(t, "1 per 2 seconds", "1 per 5 seconds")
			g := guard(t, rpclimit.Config{Limiter: l, Rules: []rpclimit.Rule{
				{Name: "a", Key: all, MaxWait: time.Minute}, {Name: "b", Key: all, MaxWait: maxWait},
			}})
			_, err := l.Take(t.Context(), "a", ratelimit.UserKey("all"), 1)
			require.NoError(t, err)
			time.AfterFunc(time.Second, func() {
				_, err := l.Take(t.Context(), "b", ratelimit.UserKey("all"), 1)
				assert.NoError(t, err)
			})
			began := time.Now()
			d := begin(t.Context(), g, method)
			assert.Equal(t, want, time.Since(began), "MaxWait %v", maxWait)
			assert.Equal(t, maxWait < 6*time.Second, d != nil)
		})
	}
}
