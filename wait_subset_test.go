package ratelimit_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// A client that leaves a queue is refunded each limit once, though its limits are refunded apart.
func TestClientThatLeavesAQueueOfTwoLimits(t *testing.T) {
	for _, text := range []string{"1 per second; 100 per hour", "1 per second; 5 per 3 seconds; 1000 per hour"} {
		synctest.Test(t, func(t *testing.T) {
			l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{{
				Name: "r", Limits: ratelimit.MustParse(text), MaxWait: 3 * time.Second,
			}}})
			wait := func(patience time.Duration) error {
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(patience, cancel)
				return l.Wait(ctx, "r", ratelimit.UserKey("a"), 1)
			}
			require.NoError(t, wait(time.Hour))
			for range 5 {
				begin := time.Now()
				require.Error(t, wait(time.Millisecond))
				assert.Equal(t, time.Millisecond, time.Since(begin))
			}
			d, err := l.Peek(t.Context(), "r", ratelimit.UserKey("a"))
			require.NoError(t, err)
			assert.False(t, d.Allowed, text)
			begin := time.Now()
			require.NoError(t, wait(time.Hour))
			assert.Equal(t, 995*time.Millisecond, time.Since(begin), text)
		})
	}
}
