package redisstore_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/redisstore"
	"github.com/ratelimit-go/ratelimit/redisstore/internal/redistest"
	"github.com/ratelimit-go/ratelimit/rpclimit"
)

// The guards of two instances never have more than Max streams open together.
func TestStreamsOfTwoInstances(t *testing.T) {
	const most = 3
	server := redistest.Start(t)
	limiter, err := ratelimit.New(ratelimit.Config{})
	require.NoError(t, err)
	var now, highest, served atomic.Int64
	var load sync.WaitGroup
	for range 2 {
		g, err := rpclimit.New(rpclimit.Config{
			Limiter: limiter, Store: newStore(t, server.Client(), redisstore.Config{}),
			StoreTimeout: 5 * time.Second,
			InFlight:     []rpclimit.InFlight{{Name: "streams", Max: most, Key: rpclimit.Global("all")}},
		})
		require.NoError(t, err)
		for range 8 {
			load.Go(func() {
				for i := range 100 {
					s, denied := g.Begin(t.Context(), rpclimit.Call{Method: "/a/b"}, nil, true)
					if denied != nil {
						continue
					}
					n := now.Add(1)
					for old := highest.Load(); n > old && !highest.CompareAndSwap(old, n); old = highest.Load() {
					}
					time.Sleep(time.Millisecond)
					served.Add(1)
					now.Add(-1)
					s.End(0, i%5 > 0)
				}
			})
		}
	}
	load.Wait()
	t.Logf("%d served, at most %d at once", served.Load(), highest.Load())
	assert.LessOrEqual(t, highest.Load(), int64(most))
	assert.Greater(t, served.Load(), int64(most))
	assert.Empty(t, keysOf(t, server.Client()), "all were released")
}
