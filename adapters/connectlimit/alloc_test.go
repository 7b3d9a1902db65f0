package connectlimit_test

import (
	"context"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/ratelimit-go/ratelimit/adapters/connectlimit"
	"github.com/ratelimit-go/ratelimit/rpclimit"
)

// TestUnaryAllocatesTwice holds the interceptor to the handler's context, and to what a Keyer sees.
func TestUnaryAllocatesTwice(t *testing.T) {
	req := &serverRequest{
		connect.NewRequest(&testgrpc.Empty{}),
		connect.Spec{Procedure: empty},
		connect.Peer{Addr: "192.0.2.1:1"},
	}
	res := connect.NewResponse(&testgrpc.Empty{})
	g := guard(t, rpclimit.Config{
		Limiter: budget(t, "1000000000 per second"), Rules: []rpclimit.Rule{{Name: "calls"}},
		InFlight: []rpclimit.InFlight{{Name: "calls", Max: 9}},
	})
	interceptor := connectlimit.NewInterceptor(g).WrapUnary(
		func(context.Context, connect.AnyRequest) (connect.AnyResponse, error) { return res, nil })
	ctx := t.Context()
	require.LessOrEqual(t, testing.AllocsPerRun(1000, func() { _, _ = interceptor(ctx, req) }), 2.0)
}
