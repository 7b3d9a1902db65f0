package proof

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ratelimit-go/ratelimit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type storeFunc func(context.Context, []ratelimit.Op) error

func (f storeFunc) Apply(ctx context.Context, ops []ratelimit.Op) error { return f(ctx, ops) }

// A limiter leaves nothing behind, whatever its store does.
func TestNoGoroutineOutlivesACall(t *testing.T) {
	for name, store := range map[string]ratelimit.Store{
		"memory": ratelimit.NewMemoryStore(ratelimit.MemoryConfig{}),
		"dead":   storeFunc(func(context.Context, []ratelimit.Op) error { return errors.New("dead") }),
		"panics": storeFunc(func(context.Context, []ratelimit.Op) error { panic("store") }),
		"slow":   storeFunc(func(ctx context.Context, _ []ratelimit.Op) error { <-ctx.Done(); return ctx.Err() }),
	} {
		for _, policy := range []ratelimit.FailurePolicy{ratelimit.FailOpen, ratelimit.FailClosed, ratelimit.UseMemory} {
			limiter, err := ratelimit.New(ratelimit.Config{
				Store: store, OnStoreFailure: policy, StoreTimeout: time.Millisecond,
				OnError: func(context.Context, error) {},
				Rules:   []ratelimit.Rule{{Name: "r", Limits: ratelimit.MustParse("3 per hour"), Key: ratelimit.ByRemoteIP()}},
			})
			require.NoError(t, err)
			h := limiter.Handler(limiter.Limit("2 per hour", ratelimit.ByRemoteIP())(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
			for range 10 {
				h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
			}
			require.NoError(t, goleak.Find(), name)
		}
	}
}
