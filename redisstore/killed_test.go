package redisstore_test

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/redisstore"
	"github.com/ratelimit-go/ratelimit/redisstore/internal/redistest"
)

// While the server is killed and started again under load, every request is answered. Soon
// afterwards the limiter calls the store again.
func TestServerKilledUnderLoad(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	for name, policy := range map[string]ratelimit.FailurePolicy{"open": ratelimit.FailOpen, "memory": ratelimit.UseMemory} {
		t.Run(name, func(t *testing.T) {
			limiter, err := ratelimit.New(ratelimit.Config{
				Store: newStore(t, server.Client(), redisstore.Config{Prefix: name}), OnStoreFailure: policy,
				Hooks: quiet,
				Rules: []ratelimit.Rule{{Name: "r", Limits: ratelimit.MustParse("1_000_000 per second"), Key: ratelimit.ByClientIP()}},
			})
			require.NoError(t, err)
			var failed, viaStore atomic.Int64
			h := limiter.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if d, _ := ratelimit.DecisionFrom(r.Context()); d.StoreErr == nil {
					viaStore.Add(1)
				}
			}))
			stop := make(chan struct{})
			var load sync.WaitGroup
			for range 8 {
				load.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						w := httptest.NewRecorder()
						h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
						if w.Code != http.StatusOK {
							failed.Add(1)
						}
						time.Sleep(time.Millisecond)
					}
				})
			}
			served := func() bool { return viaStore.Swap(0) > 0 }
			require.Eventually(t, served, 10*time.Second, 10*time.Millisecond)
			server.Kill()
			time.Sleep(300 * time.Millisecond)
			viaStore.Store(0)
			server.Restart()
			begin := time.Now()
			require.Eventually(t, served, 10*time.Second, 5*time.Millisecond)
			t.Logf("in use again %v after the restart", time.Since(begin))
			close(stop)
			load.Wait()
			assert.Zero(t, failed.Load())
		})
	}
}
