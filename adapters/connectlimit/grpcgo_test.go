package connectlimit_test

import (
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/adapters/connectlimit"
	"github.com/ratelimit-go/ratelimit/rpclimit"
)

// grpcClient returns a client of grpc-go with a retry policy that waits 20 s without a pushback.
func grpcClient(t *testing.T, addr string) testgrpc.TestServiceClient {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(`{"methodConfig": [{
			"name": [{"service": "grpc.testing.TestService"}],
			"retryPolicy": {
				"maxAttempts": 4, "initialBackoff": "20s", "maxBackoff": "20s", "backoffMultiplier": 1,
				"retryableStatusCodes": ["RESOURCE_EXHAUSTED"]
			}
		}]}`))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	return testgrpc.NewTestServiceClient(conn)
}

// TestRetryPolicyOfGRPCWaits has a client of grpc-go call a server of Connect behind the Handler of
// a limiter that denies every second attempt.
func TestRetryPolicyOfGRPCWaits(t *testing.T) {
	type attempt struct {
		began, ended time.Time
		wait         time.Duration // of the denial
	}
	var mu sync.Mutex
	var attempts []attempt
	l := limiter(t, ratelimit.Config{
		Rules:       []ratelimit.Rule{{Name: "calls", Limits: ratelimit.MustParse("10 per second burst 1")}},
		DenyHandler: connectlimit.DenyHandler(),
	})
	inner := l.Handler((&service{}).handler())
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		inner.ServeHTTP(w, r)
		a := attempt{began: began, ended: time.Now()}
		if pushback := w.Header().Get("Grpc-Retry-Pushback-Ms"); pushback != "" {
			a.wait, _ = time.ParseDuration(pushback + "ms")
		}
		mu.Lock()
		defer mu.Unlock()
		attempts = append(attempts, a)
	}))
	c := grpcClient(t, addr)
	for range 12 {
		_, err := c.EmptyCall(t.Context(), &testgrpc.Empty{})
		require.NoError(t, err)
	}
	mu.Lock()
	defer mu.Unlock()
	var late []time.Duration
	for i, a := range attempts[:len(attempts)-1] {
		if a.wait == 0 {
			continue
		}
		next := attempts[i+1]
		pause := next.began.Sub(a.ended)
		assert.GreaterOrEqual(t, pause, a.wait, "attempt %d came early", i+1)
		assert.Zero(t, next.wait, "the wait was too short")
		late = append(late, pause-a.wait)
	}
	require.GreaterOrEqual(t, len(late), 6, "denials")
	slices.Sort(late)
	quick := late[len(late)/4]
	t.Logf("%d denials; waited longer than RetryInfo: quartiles %v and %v, most %v",
		len(late), quick, late[len(late)/2], late[len(late)-1])
	// A busy machine can run any client late, but hardly three waits of four.
	assert.Less(t, quick, 5*time.Millisecond)
	// No wait is the 20 seconds of the policy itself.
	assert.Less(t, late[len(late)-1], 5*time.Second)
}

// TestInterceptorAnswersGRPC has a client of grpc-go understand a denial of the interceptor.
func TestInterceptorAnswersGRPC(t *testing.T) {
	g := guard(t, rpclimit.Config{Limiter: budget(t, "1 per minute"), Rules: []rpclimit.Rule{{Name: "calls"}}})
	addr := serve(t, (&service{}).handler(connect.WithInterceptors(connectlimit.NewInterceptor(g))))
	c := grpcClient(t, addr)
	_, err := c.EmptyCall(t.Context(), &testgrpc.Empty{})
	require.NoError(t, err)

	var trailer metadata.MD
	_, err = c.EmptyCall(t.Context(), &testgrpc.Empty{}, grpc.Trailer(&trailer))
	require.Equal(t, codes.ResourceExhausted, status.Code(err))
	var retry *errdetails.RetryInfo
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok {
			retry = info
		}
	}
	assert.InDelta(t, 60, retry.GetRetryDelay().AsDuration().Seconds(), 10)
	assert.Len(t, trailer["grpc-retry-pushback-ms"], 1)
}

// TestMessagesOfGRPC has a client of grpc-go send messages on a stream until one is denied.
func TestMessagesOfGRPC(t *testing.T) {
	g := guard(t, rpclimit.Config{
		Limiter: budget(t, "3 per minute"), Rules: []rpclimit.Rule{{Name: "calls", PerMessage: true}},
	})
	addr := serve(t, (&service{}).handler(connect.WithInterceptors(connectlimit.NewInterceptor(g))))
	stream, err := grpcClient(t, addr).FullDuplexCall(t.Context())
	require.NoError(t, err)
	for range 3 {
		require.NoError(t, stream.Send(&request{}))
		_, err = stream.Recv()
		require.NoError(t, err)
	}
	require.NoError(t, stream.Send(&request{}))
	_, err = stream.Recv()
	assert.Equal(t, codes.ResourceExhausted, status.Code(err), "%v", err)
	assert.Len(t, status.Convert(err).Details(), 2)
	assert.Len(t, stream.Trailer()["grpc-retry-pushback-ms"], 1)
}
