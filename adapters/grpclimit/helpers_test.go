package grpclimit_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/adapters/grpclimit"
	"github.com/ratelimit-go/ratelimit/rpclimit"
)

const (
	empty  = "/grpc.testing.TestService/EmptyCall"
	unary  = "/grpc.testing.TestService/UnaryCall"
	duplex = "/grpc.testing.TestService/FullDuplexCall"
)

// service is a real service whose methods do what a test wants.
type service struct {
	testgrpc.UnimplementedTestServiceServer
	empty  func(ctx context.Context) error
	unary  func(ctx context.Context, in *testgrpc.SimpleRequest) error
	duplex func(stream testgrpc.TestService_FullDuplexCallServer) error
	calls  atomic.Int64 // that reached a handler
}

func (s *service) EmptyCall(ctx context.Context, _ *testgrpc.Empty) (*testgrpc.Empty, error) {
	s.calls.Add(1)
	if s.empty != nil {
		return &testgrpc.Empty{}, s.empty(ctx)
	}
	return &testgrpc.Empty{}, nil
}

func (s *service) UnaryCall(ctx context.Context, in *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	s.calls.Add(1)
	if s.unary != nil {
		return &testgrpc.SimpleResponse{}, s.unary(ctx, in)
	}
	return &testgrpc.SimpleResponse{}, nil
}

func (s *service) FullDuplexCall(stream testgrpc.TestService_FullDuplexCallServer) error {
	s.calls.Add(1)
	if s.duplex != nil {
		return s.duplex(stream)
	}
	return echo(stream)
}

// echo answers each message.
func echo(stream testgrpc.TestService_FullDuplexCallServer) error {
	for {
		if _, err := stream.Recv(); err != nil {
			return nil //nolint:nilerr // the end of the stream, or a denial that is ignored
		}
		if err := stream.Send(&testgrpc.StreamingOutputCallResponse{}); err != nil {
			return nil //nolint:nilerr // as above
		}
	}
}

// budget returns a limiter with one budget "calls".
func budget(t testing.TB, limits string) *ratelimit.Limiter {
	t.Helper()
	return limiter(t, ratelimit.Config{Budgets: []ratelimit.Budget{
		{Name: "calls", Limits: ratelimit.MustParse(limits)},
	}})
}

func limiter(t testing.TB, cfg ratelimit.Config) *ratelimit.Limiter {
	t.Helper()
	l, err := ratelimit.New(cfg)
	require.NoError(t, err)
	return l
}

func guard(t testing.TB, cfg rpclimit.Config) *rpclimit.Guard {
	t.Helper()
	g, err := rpclimit.New(cfg)
	require.NoError(t, err)
	return g
}

// serve starts a server and returns a client of it.
func serve(t testing.TB, svc *service, cfg rpclimit.Config, options ...grpc.DialOption) testgrpc.TestServiceClient {
	t.Helper()
	return client(t, start(t, svc, grpclimit.ServerOptions(guard(t, cfg))...), options...)
}

func start(t testing.TB, svc *service, options ...grpc.ServerOption) (addr string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer(options...)
	testgrpc.RegisterTestServiceServer(server, svc)
	healthgrpc.RegisterHealthServer(server, health.NewServer())
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		require.NoError(t, <-done)
	})
	return listener.Addr().String()
}

func client(t testing.TB, addr string, options ...grpc.DialOption) testgrpc.TestServiceClient {
	t.Helper()
	return testgrpc.NewTestServiceClient(dial(t, addr, options...))
}

func dial(t testing.TB, addr string, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	options = append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, options...)
	conn, err := grpc.NewClient(addr, options...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	return conn
}

func call(t testing.TB, c testgrpc.TestServiceClient, options ...grpc.CallOption) error {
	t.Helper()
	_, err := c.EmptyCall(t.Context(), &testgrpc.Empty{}, options...)
	return err
}

// detail returns the detail of type M of a status, or the zero M.
func detail[M any](err error) (found M) {
	for _, d := range status.Convert(err).Details() {
		if m, ok := d.(M); ok {
			found = m
		}
	}
	return found
}

func retryInfo(err error) *errdetails.RetryInfo { return detail[*errdetails.RetryInfo](err) }

var errUser = errors.New("a mistake of the user")
