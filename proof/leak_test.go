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
	"github.com/ratelimit-go/ratelimit/internal/storefake"
	"github.com/ratelimit-go/ratelimit/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A limiter leaves no goroutine behind, even if its store fails, panics or hangs.
func TestNoGoroutineOutlivesACall(t *testing.T) {
	for name, s := range map[string]ratelimit.Store{
		"memory": ratelimit.NewMemoryStore(ratelimit.MemoryConfig{}),
		"dead":   storefake.Func(func(context.Context, []store.Op) error { return errors.New("dead") }),
		"panics": storefake.Func(func(context.Context, []store.Op) error { panic("store") }),
		"slow":   storefake.Func(func(ctx context.Context, _ []store.Op) error { <-ctx.Done(); return ctx.Err() }),
	} {
		for _, policy := range []ratelimit.FailurePolicy{ratelimit.FailOpen, ratelimit.FailClosed, ratelimit.UseMemory} {
			limiter, err := ratelimit.New(ratelimit.Config{
				Store: s, OnStoreFailure: policy, StoreTimeout: time.Millisecond,
				Hooks: ratelimit.Hooks{
					Error:      func(context.Context, error) {},
					StoreState: func(context.Context, store.State) {},
				},
				Rules: []ratelimit.Rule{{Name: "r", Limits: ratelimit.MustParse("3 per hour")}},
			})
			require.NoError(t, err)
			nothing := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
			h := limiter.Handler(limiter.Limit("2 per hour")(nothing))
			for range 10 {
				h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
			}
			require.NoError(t, goleak.Find(), name)
		}
	}
}
