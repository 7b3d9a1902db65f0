package grpclimit_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/ratelimit-go/ratelimit/adapters/grpclimit"
	"github.com/ratelimit-go/ratelimit/rpclimit"
)

func TestOpenStreamsAreBounded(t *testing.T) {
	l := budget(t, "1000 per hour")
	c := serve(t, &service{}, rpclimit.Config{
		Limiter: l, Rules: []rpclimit.Rule{{Name: "calls", Key: rpclimit.Global("all")}},
		InFlight: []rpclimit.InFlight{{Name: "streams", Methods: []string{duplex}, Max: 2}},
	})
	open := func() (testgrpc.TestService_FullDuplexCallClient, error) {
		stream, err := c.FullDuplexCall(t.Context())
		require.NoError(t, err)
		return stream, ping(stream, 1)
	}
	first, err := open()
	require.NoError(t, err)
	_, err = open()
	require.NoError(t, err)
	_, err = open()
	require.Equal(t, codes.ResourceExhausted, status.Code(err), "%v", err)
	assert.Contains(t, err.Error(), `too many calls at the same time for "streams"`)
	assert.Equal(t, time.Second, retryInfo(err).GetRetryDelay().AsDuration())
	require.NoError(t, call(t, c), "another method")

	require.NoError(t, first.CloseSend())
	_, err = first.Recv()
	require.ErrorContains(t, err, "EOF")
	_, err = open()
	require.NoError(t, err, "the place of the stream that ended")
}

// TestPlaceIsReleased tries every way in which a call can end.
func TestPlaceIsReleased(t *testing.T) {
	ends := map[string]func(context.Context) error{
		"success": func(context.Context) error { return nil },
		"error":   func(context.Context) error { return errUser },
		"panic":   func(context.Context) error { panic("a bug") },
		"client gone": func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			g := guard(t, rpclimit.Config{
				Limiter: budget(t, "1000 per hour"), Rules: []rpclimit.Rule{{Name: "calls"}},
				InFlight: []rpclimit.InFlight{{Name: "calls", Max: 1}},
			})
			svc := &service{
				empty:  end,
				duplex: func(s testgrpc.TestService_FullDuplexCallServer) error { return end(s.Context()) },
			}
			options := append([]grpc.ServerOption{
				grpc.ChainUnaryInterceptor(recoverUnary), grpc.ChainStreamInterceptor(recoverStream),
			}, grpclimit.ServerOptions(g)...)
			c := client(t, start(t, svc, options...))
			calls := map[string]func(ctx context.Context) error{
				"unary": func(ctx context.Context) error {
					_, err := c.EmptyCall(ctx, &testgrpc.Empty{})
					return err
				},
				"stream": func(ctx context.Context) error {
					stream, err := c.FullDuplexCall(ctx)
					if err == nil {
						_, err = stream.Recv()
					}
					return err
				},
			}
			for kind, do := range calls {
				for range 3 { // each needs the only place
					reached := svc.calls.Load()
					require.Eventually(t, func() bool {
						ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
						defer cancel()
						_ = do(ctx)
						return svc.calls.Load() > reached
					}, 5*time.Second, time.Millisecond, "a %s call has kept its place", kind)
				}
			}
		})
	}
}

func recoverUnary(
	ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
) (resp any, err error) {
	defer func() {
		if recover() != nil {
			err = status.Error(codes.Internal, "a bug")
		}
	}()
	return handler(ctx, req)
}

func recoverStream(
	srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler,
) (err error) {
	defer func() {
		if recover() != nil {
			err = status.Error(codes.Internal, "a bug")
		}
	}()
	return handler(srv, stream)
}
