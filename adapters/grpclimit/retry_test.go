package grpclimit_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ratelimit-go/ratelimit/adapters/grpclimit"
	"github.com/ratelimit-go/ratelimit/rpclimit"
)

// retrying is the retry policy of grpc-go. Without a pushback it waits about 20 s.
var retrying = grpc.WithDefaultServiceConfig(`{"methodConfig": [{
	"name": [{"service": "grpc.testing.TestService"}],
	"retryPolicy": {
		"maxAttempts": 4, "initialBackoff": "20s", "maxBackoff": "20s", "backoffMultiplier": 1,
		"retryableStatusCodes": ["RESOURCE_EXHAUSTED"]
	}
}]}`)

// attempt is what the server has seen of one attempt.
type attempt struct {
	began, ended time.Time
	err          error
}

// TestRetryPolicyWaitsAsLongAsRetryInfoSays has a client of grpc-go call a server that denies every
// second attempt. Its retry policy must wait exactly the RetryInfo, and then be allowed.
func TestRetryPolicyWaitsAsLongAsRetryInfoSays(t *testing.T) {
	var mu sync.Mutex
	var attempts []attempt
	watch := func(
		ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
	) (any, error) {
		began := time.Now()
		resp, err := handler(ctx, req)
		mu.Lock()
		defer mu.Unlock()
		attempts = append(attempts, attempt{began, time.Now(), err})
		return resp, err
	}
	g := guard(t, rpclimit.Config{
		Limiter: budget(t, "10 per second burst 1"), Rules: []rpclimit.Rule{{Name: "calls"}},
	})
	addr := start(t, &service{}, append(
		[]grpc.ServerOption{grpc.ChainUnaryInterceptor(watch)}, grpclimit.ServerOptions(g)...)...)
	c := client(t, addr, retrying)

	const calls = 15
	for range calls {
		require.NoError(t, call(t, c))
	}
	mu.Lock()
	defer mu.Unlock()
	var late []time.Duration
	for i, a := range attempts[:len(attempts)-1] {
		if a.err == nil {
			continue
		}
		require.Equal(t, codes.ResourceExhausted, status.Code(a.err))
		wait := retryInfo(a.err).GetRetryDelay().AsDuration()
		require.Positive(t, wait)
		next := attempts[i+1]
		pause := next.began.Sub(a.ended)
		assert.GreaterOrEqual(t, pause, wait, "attempt %d came early", i+1)
		assert.NoError(t, next.err, "the wait was too short")
		late = append(late, pause-wait)
	}
	require.GreaterOrEqual(t, len(late), calls/2, "denials")
	slices.Sort(late)
	median := late[len(late)/2]
	t.Logf("%d denials; waited longer than RetryInfo: median %v, most %v", len(late), median, late[len(late)-1])
	assert.Less(t, median, 5*time.Millisecond)
	// A busy machine can run any client late. No wait is the 20 seconds of the policy itself.
	assert.Less(t, late[len(late)-1], time.Second)
}
