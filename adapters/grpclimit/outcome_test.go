package grpclimit_test

import (
	"context"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/adapters/grpclimit"
	"github.com/ratelimit-go/ratelimit/rpclimit"
)

func netipAddr(text string) netip.Addr { return netip.MustParseAddr(text) }

// TestOnlyFailuresCount lets calls end in every way, under rules that count only some.
func TestOnlyFailuresCount(t *testing.T) {
	unauthenticated := rpclimit.CodeIn(codes.Unauthenticated)
	tests := []struct {
		name      string
		countOnly func(rpclimit.Outcome) bool
		end       func() error
		counts    bool
	}{
		{"failures: success", rpclimit.Failures, func() error { return nil }, false},
		{"failures: status", rpclimit.Failures, func() error { return status.Error(codes.NotFound, "") }, true},
		{"failures: other error", rpclimit.Failures, func() error { return errUser }, true},
		{"failures: context", rpclimit.Failures, func() error { return context.Canceled }, true},
		{"failures: panic", rpclimit.Failures, func() error { panic("a bug") }, true},
		{"code: success", unauthenticated, func() error { return nil }, false},
		{"code: this", unauthenticated, func() error { return status.Error(codes.Unauthenticated, "") }, true},
		{"code: another", unauthenticated, func() error { return status.Error(codes.NotFound, "") }, false},
		{"code: panic", unauthenticated, func() error { panic("a bug") }, true},
		{"a mistake", func(rpclimit.Outcome) bool { panic("a bug") }, func() error { return nil }, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			svc := &service{
				empty:  func(context.Context) error { return tt.end() },
				duplex: func(testgrpc.TestService_FullDuplexCallServer) error { return tt.end() },
			}
			l := budget(t, "10 per hour")
			g := guard(t, rpclimit.Config{
				Limiter: l, Rules: []rpclimit.Rule{
					{Name: "calls", Key: rpclimit.Global("all"), CountOnly: tt.countOnly},
				},
				Error: func(context.Context, error) {},
			})
			c := client(t, start(t, svc, append([]grpc.ServerOption{
				grpc.ChainUnaryInterceptor(recoverUnary), grpc.ChainStreamInterceptor(recoverStream),
			}, grpclimit.ServerOptions(g)...)...))
			_ = call(t, c)
			stream, err := c.FullDuplexCall(t.Context())
			require.NoError(t, err)
			_, err = stream.Recv()
			require.Error(t, err)
			d, err := l.Peek(t.Context(), "calls", ratelimit.ValueKey("global", "all"))
			require.NoError(t, err)
			want := int64(10)
			if tt.counts {
				want = 8
			}
			assert.Equal(t, want, d.Remaining)
		})
	}
}

func TestHandlerSeesTheDecision(t *testing.T) {
	type seen struct {
		d   ratelimit.Decision
		ok  bool
		all int
	}
	got := make(chan seen, 1)
	see := func(ctx context.Context) error {
		d, ok := rpclimit.DecisionFrom(ctx)
		got <- seen{d, ok, len(rpclimit.Decisions(ctx))}
		return nil
	}
	l := limiter(t, ratelimit.Config{Budgets: []ratelimit.Budget{
		{Name: "wide", Limits: ratelimit.MustParse("100 per hour")},
		{Name: "narrow", Limits: ratelimit.MustParse("4 per hour")},
	}})
	c := serve(t, &service{
		empty:  see,
		duplex: func(s testgrpc.TestService_FullDuplexCallServer) error { return see(s.Context()) },
	}, rpclimit.Config{Limiter: l, Rules: []rpclimit.Rule{
		{Name: "wide"}, {Name: "narrow", Methods: []string{empty, duplex}},
	}})
	require.NoError(t, call(t, c))
	first := <-got
	assert.True(t, first.ok)
	assert.Equal(t, "narrow", first.d.Rule, "the strictest of both")
	assert.EqualValues(t, 3, first.d.Remaining)
	assert.Equal(t, 2, first.all)

	stream, err := c.FullDuplexCall(t.Context())
	require.NoError(t, err)
	_, err = stream.Recv()
	require.ErrorContains(t, err, "EOF")
	assert.EqualValues(t, 2, (<-got).d.Remaining)
}

func TestExemptServiceCostsNothing(t *testing.T) {
	g := guard(t, rpclimit.Config{
		Limiter: budget(t, "1 per hour"), Rules: []rpclimit.Rule{{Name: "calls"}},
		Exempt: []string{"/grpc.health.v1.Health/*", unary},
	})
	conn := dial(t, start(t, &service{}, grpclimit.ServerOptions(g)...))
	c, checks := testgrpc.NewTestServiceClient(conn), healthgrpc.NewHealthClient(conn)
	for range 5 {
		_, err := checks.Check(t.Context(), &healthgrpc.HealthCheckRequest{})
		require.NoError(t, err)
		_, err = c.UnaryCall(t.Context(), &testgrpc.SimpleRequest{})
		require.NoError(t, err)
	}
	require.NoError(t, call(t, c))
	assert.Equal(t, codes.ResourceExhausted, status.Code(call(t, c)))
}
