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

// attempts are what a server has seen, in order.
type attempts struct {
	mu  sync.Mutex
	all []attempt
}

// watch is a server's outermost interceptor.
func (a *attempts) watch(
	ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
) (any, error) {
	began := time.Now()
	resp, err := handler(ctx, req)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, attempt{began, time.Now(), err})
	return resp, err
}

// pause returns the time between an attempt and the next one.
func (a *attempts) pause(i int) time.Duration { return a.all[i+1].began.Sub(a.all[i].ended) }

// TestRetryPolicyWaitsAsLongAsRetryInfoSays has a client of grpc-go call a server that denies every
// second attempt. Its retry policy must wait exactly the RetryInfo, and then be allowed. Beside it
// a client without a limit sleeps between its calls: so late is any client on this machine.
func TestRetryPolicyWaitsAsLongAsRetryInfoSays(t *testing.T) {
	var limited, free attempts
	g := guard(t, rpclimit.Config{
		Limiter: budget(t, "10 per second burst 1"), Rules: []rpclimit.Rule{{Name: "calls"}},
	})
	c := client(t, start(t, &service{}, append(
		[]grpc.ServerOption{grpc.ChainUnaryInterceptor(limited.watch)}, grpclimit.ServerOptions(g)...)...), retrying)
	sleeper := client(t, start(t, &service{}, grpc.ChainUnaryInterceptor(free.watch)))

	const calls, sleep = 15, 90 * time.Millisecond
	var beside sync.WaitGroup
	beside.Go(func() {
		for range calls {
			assert.NoError(t, call(t, sleeper))
			time.Sleep(sleep)
		}
	})
	for range calls {
		require.NoError(t, call(t, c))
	}
	beside.Wait()
	var late, usual []time.Duration
	for i, a := range limited.all[:len(limited.all)-1] {
		if a.err == nil {
			continue
		}
		require.Equal(t, codes.ResourceExhausted, status.Code(a.err))
		wait := retryInfo(a.err).GetRetryDelay().AsDuration()
		require.Positive(t, wait)
		assert.GreaterOrEqual(t, limited.pause(i), wait, "attempt %d came early", i+1)
		assert.NoError(t, limited.all[i+1].err, "the wait was too short")
		late = append(late, limited.pause(i)-wait)
	}
	for i := range calls - 1 {
		usual = append(usual, free.pause(i)-sleep)
	}
	require.GreaterOrEqual(t, len(late), calls/2, "denials")
	slices.Sort(late)
	slices.Sort(usual)
	quick, most := late[len(late)/4], late[len(late)-1]
	t.Logf("%d denials; waited longer than RetryInfo: quartiles %v and %v, most %v; a client that sleeps: %v, %v, %v",
		len(late), quick, late[len(late)/2], most, usual[len(usual)/4], usual[len(usual)/2], usual[len(usual)-1])
	// A busy machine can run any client late, but hardly three waits of four.
	assert.Less(t, quick, 5*time.Millisecond+usual[len(usual)/4])
	// No wait is the 20 seconds of the policy itself.
	assert.Less(t, most, 5*time.Second)
}
