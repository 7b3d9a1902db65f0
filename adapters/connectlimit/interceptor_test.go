package connectlimit_test

import (
	"context"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/adapters/connectlimit"
	"github.com/ratelimit-go/ratelimit/clientip"
	"github.com/ratelimit-go/ratelimit/rpclimit"
)

func intercepted(t *testing.T, svc *service, cfg rpclimit.Config) (addr string) {
	t.Helper()
	return serve(t, svc.handler(connect.WithInterceptors(connectlimit.NewInterceptor(guard(t, cfg)))))
}

func TestInterceptorDeniesCalls(t *testing.T) {
	for name, protocol := range protocols {
		t.Run(name, func(t *testing.T) {
			decisions := make(chan ratelimit.Decision, 1)
			svc := &service{empty: func(ctx context.Context) error {
				d, _ := rpclimit.DecisionFrom(ctx)
				decisions <- d
				return nil
			}}
			addr := intercepted(t, svc, rpclimit.Config{
				Limiter: budget(t, "1 per minute"), Rules: []rpclimit.Rule{{Name: "calls"}}, Fields: true,
			})
			res, err := call(t, addr, protocol...)
			require.NoError(t, err)
			assert.Equal(t, `"calls";r=0;t=60`, res.Header().Get("RateLimit"))
			assert.Equal(t, `"calls";q=1;w=60`, res.Header().Get("RateLimit-Policy"))
			d := <-decisions
			assert.Equal(t, "calls", d.Rule)
			assert.Equal(t, "addr:127.0.0.1", d.Key.String())

			_, err = call(t, addr, protocol...)
			requireDenial(t, err)
			requireDenial(t, ping(open(t, addr, protocol...)))
		})
	}
}

func TestMessageOverTheLimitEndsItsStream(t *testing.T) {
	for name, protocol := range protocols {
		t.Run(name, func(t *testing.T) {
			addr := intercepted(t, &service{}, rpclimit.Config{
				Limiter: budget(t, "3 per minute"), Rules: []rpclimit.Rule{{Name: "calls", PerMessage: true}},
			})
			s := open(t, addr, protocol...)
			for range 3 {
				require.NoError(t, ping(s))
			}
			err := ping(s)
			assert.Equal(t, connect.CodeResourceExhausted, connect.CodeOf(err),
				"though the handler took the denial for the end of the stream: %v", err)
			assert.Positive(t, retryInfo(t, err).GetRetryDelay().AsDuration())
			assert.Len(t, detail[*errdetails.QuotaFailure](t, err).GetViolations(), 1)
			_, err = call(t, addr, protocol...)
			assert.Equal(t, connect.CodeResourceExhausted, connect.CodeOf(err), "a request is a message")
		})
	}
}

func TestOpenStreamsAreBounded(t *testing.T) {
	addr := intercepted(t, &service{}, rpclimit.Config{
		Limiter:  budget(t, "1 per minute"),
		InFlight: []rpclimit.InFlight{{Name: "streams", Max: 1}},
	})
	s := open(t, addr)
	require.NoError(t, ping(s))
	_, err := call(t, addr)
	require.Equal(t, connect.CodeResourceExhausted, connect.CodeOf(err), "%v", err)
	require.NoError(t, s.CloseRequest())
	_, err = s.Receive()
	require.ErrorContains(t, err, "EOF")
	_, err = call(t, addr)
	assert.NoError(t, err)
}

func TestKeys(t *testing.T) {
	l := limiter(t, ratelimit.Config{
		ClientIP: clientip.ForwardedFor(clientip.TrustedProxies("127.0.0.1")),
		Budgets:  []ratelimit.Budget{{Name: "calls", Limits: ratelimit.MustParse("1 per hour")}},
	})
	send := func(addr, name, value string) connect.Code {
		req := connect.NewRequest(&testgrpc.Empty{})
		req.Header().Set(name, value)
		c := connect.NewClient[testgrpc.Empty, testgrpc.Empty](httpClient(t), "http://"+addr+empty)
		if _, err := c.CallUnary(t.Context(), req); err != nil {
			return connect.CodeOf(err)
		}
		return 0
	}
	addr := intercepted(t, &service{}, rpclimit.Config{Limiter: l, Rules: []rpclimit.Rule{{Name: "calls"}}})
	assert.Zero(t, send(addr, "X-Forwarded-For", "198.51.100.1"))
	assert.Zero(t, send(addr, "X-Forwarded-For", "198.51.100.2"))
	assert.Equal(t, connect.CodeResourceExhausted, send(addr, "X-Forwarded-For", "198.51.100.2"))

	addr = intercepted(t, &service{}, rpclimit.Config{Limiter: l, Rules: []rpclimit.Rule{
		{Name: "calls", Key: rpclimit.ByMetadata("x-api-key"), OnMissingKey: ratelimit.DenyRequest},
	}})
	assert.Zero(t, send(addr, "X-Api-Key", "a"))
	assert.Zero(t, send(addr, "X-Api-Key", "b"))
	assert.Equal(t, connect.CodeResourceExhausted, send(addr, "X-Api-Key", "b"))
	assert.Equal(t, connect.CodePermissionDenied, send(addr, "X-Other", "b"))
}

// TestClientsPassThrough has the interceptor of a client do nothing.
func TestClientsPassThrough(t *testing.T) {
	g := guard(t, rpclimit.Config{Limiter: budget(t, "1 per hour"), Rules: []rpclimit.Rule{{Name: "calls"}}})
	addr := serve(t, (&service{}).handler())
	for range 3 {
		_, err := call(t, addr, connect.WithInterceptors(connectlimit.NewInterceptor(g)))
		require.NoError(t, err)
	}
}

// TestHandlerSeesBothDecisions has a handler inside a limiter and an interceptor read the decisions
// of both, and change the cost of the first.
func TestHandlerSeesBothDecisions(t *testing.T) {
	l := limiter(t, ratelimit.Config{
		Rules:   []ratelimit.Rule{{Name: "rows", Limits: ratelimit.MustParse("100 per hour"), Key: ratelimit.Global("all")}},
		Budgets: []ratelimit.Budget{{Name: "calls", Limits: ratelimit.MustParse("9 per hour")}},
	})
	g := guard(t, rpclimit.Config{Limiter: l, Rules: []rpclimit.Rule{{Name: "calls"}}})
	see := func(ctx context.Context) error {
		outer, ok := ratelimit.DecisionFrom(ctx)
		assert.True(t, ok)
		assert.Equal(t, "rows", outer.Rule)
		inner, ok := rpclimit.DecisionFrom(ctx)
		assert.True(t, ok)
		assert.Equal(t, "calls", inner.Rule)
		return ratelimit.SetCost(ctx, "rows", 20)
	}
	svc := &service{empty: see, duplex: func(ctx context.Context, _ *stream) error { return see(ctx) }}
	addr := serve(t, l.Handler(svc.handler(connect.WithInterceptors(connectlimit.NewInterceptor(g)))))
	_, err := call(t, addr, connect.WithGRPC())
	require.NoError(t, err)
	require.ErrorContains(t, ping(open(t, addr)), "EOF")
	k, err := ratelimit.Global("all").Key(nil)
	require.NoError(t, err)
	d, err := l.Peek(t.Context(), "rows", k)
	require.NoError(t, err)
	assert.EqualValues(t, 60, d.Remaining)
}
