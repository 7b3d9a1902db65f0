package grpclimit_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/adapters/grpclimit"
	"github.com/ratelimit-go/ratelimit/rpclimit"
)

// errGone is how the handlers of these tests answer a client that has left: not by the code that
// the rule counts.
var errGone = status.Error(codes.Unavailable, "the database has canceled the query")

// Under a rule that counts failed logins only, a client that ends a call itself pays for it.
func TestClientEndsTheCall(t *testing.T) {
	var begun chan struct{} // of each case; closed when the handler of a unary call has begun
	guess := func(ctx context.Context) error {
		close(begun)
		<-ctx.Done()
		return errGone
	}
	listen := func(s testgrpc.TestService_FullDuplexCallServer) error {
		for {
			switch _, err := s.Recv(); {
			case errors.Is(err, io.EOF):
				return status.Error(codes.NotFound, "no such user")
			case err != nil:
				return errGone
			}
			if err := s.Send(&testgrpc.StreamingOutputCallResponse{}); err != nil {
				return errGone
			}
		}
	}
	answered := func(t *testing.T, ctx context.Context, c testgrpc.TestServiceClient) testgrpc.TestService_FullDuplexCallClient {
		stream, err := c.FullDuplexCall(ctx)
		require.NoError(t, err)
		require.NoError(t, stream.Send(&testgrpc.StreamingOutputCallRequest{}))
		_, err = stream.Recv()
		require.NoError(t, err)
		return stream
	}
	large := &testgrpc.StreamingOutputCallRequest{Payload: &testgrpc.Payload{Body: make([]byte, 2000)}}
	tests := []struct {
		name   string
		do     func(t *testing.T, ctx context.Context, cancel func(), conn *grpc.ClientConn)
		counts bool
	}{
		{"unary: cancel", func(_ *testing.T, ctx context.Context, cancel func(), conn *grpc.ClientConn) {
			go func() { <-begun; cancel() }()
			_, _ = testgrpc.NewTestServiceClient(conn).EmptyCall(ctx, &testgrpc.Empty{})
		}, true},
		{"unary: deadline", func(_ *testing.T, ctx context.Context, _ func(), conn *grpc.ClientConn) {
			for wait := 20 * time.Millisecond; ; wait *= 2 { // a busy machine begins no call in time
				short, cancel := context.WithTimeout(ctx, wait)
				_, _ = testgrpc.NewTestServiceClient(conn).EmptyCall(short, &testgrpc.Empty{})
				cancel()
				select {
				case <-begun:
					return
				default:
				}
			}
		}, true},
		{"stream: cancel", func(t *testing.T, ctx context.Context, cancel func(), conn *grpc.ClientConn) {
			answered(t, ctx, testgrpc.NewTestServiceClient(conn))
			cancel()
		}, true},
		{"stream: the connection breaks", func(t *testing.T, ctx context.Context, _ func(), conn *grpc.ClientConn) {
			answered(t, ctx, testgrpc.NewTestServiceClient(conn))
			_ = conn.Close()
		}, true},
		{"stream: a message that is too large", func(t *testing.T, ctx context.Context, _ func(), conn *grpc.ClientConn) {
			require.NoError(t, answered(t, ctx, testgrpc.NewTestServiceClient(conn)).Send(large))
		}, true},
		{"stream: half closed", func(t *testing.T, ctx context.Context, _ func(), conn *grpc.ClientConn) {
			require.NoError(t, answered(t, ctx, testgrpc.NewTestServiceClient(conn)).CloseSend())
		}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := budget(t, "10 per hour")
			g := guard(t, rpclimit.Config{Limiter: l, Rules: []rpclimit.Rule{{
				Name: "calls", Key: rpclimit.Global("all"), CountOnly: rpclimit.CodeIn(codes.Unauthenticated),
			}}})
			begun = make(chan struct{})
			settled := make(chan struct{})
			addr := start(t, &service{empty: guess, duplex: listen}, append([]grpc.ServerOption{
				grpc.MaxRecvMsgSize(1000),
				grpc.ChainUnaryInterceptor(func(
					ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
				) (any, error) {
					defer close(settled)
					return handler(ctx, req)
				}),
				grpc.ChainStreamInterceptor(func(
					srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler,
				) error {
					defer close(settled)
					return handler(srv, s)
				}),
			}, grpclimit.ServerOptions(g)...)...)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
			require.NoError(t, err)
			defer func() { _ = conn.Close() }()
			tt.do(t, ctx, cancel, conn)
			<-settled
			d, err := l.Peek(t.Context(), "calls", ratelimit.ValueKey("global", "all"))
			require.NoError(t, err)
			want := int64(10)
			if tt.counts {
				want = 9
			}
			assert.Equal(t, want, d.Remaining)
		})
	}
}

// Behind ServeHTTP, the context of a stream does not end when its client breaks it.
func TestBrokenStreamOfServeHTTP(t *testing.T) {
	l := budget(t, "10 per hour")
	g := guard(t, rpclimit.Config{Limiter: l, Rules: []rpclimit.Rule{{
		Name: "calls", Key: rpclimit.Global("all"), CountOnly: rpclimit.CodeIn(codes.Unauthenticated),
	}}})
	server := grpc.NewServer(append([]grpc.ServerOption{grpc.MaxRecvMsgSize(1000)}, grpclimit.ServerOptions(g)...)...)
	testgrpc.RegisterTestServiceServer(server, &service{
		duplex: func(s testgrpc.TestService_FullDuplexCallServer) error {
			_, err := s.Recv()
			assert.Equal(t, codes.ResourceExhausted, status.Code(err))
			return errGone
		},
	})
	settled := make(chan struct{})
	front := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(settled)
		server.ServeHTTP(w, r)
	}))
	front.Config.Protocols = new(http.Protocols)
	front.Config.Protocols.SetUnencryptedHTTP2(true)
	front.Start()
	defer front.Close()
	stream, err := client(t, front.Listener.Addr().String()).FullDuplexCall(t.Context())
	require.NoError(t, err)
	require.NoError(t, stream.Send(&testgrpc.StreamingOutputCallRequest{Payload: &testgrpc.Payload{Body: make([]byte, 2000)}}))
	<-settled
	d, err := l.Peek(t.Context(), "calls", ratelimit.ValueKey("global", "all"))
	require.NoError(t, err)
	assert.EqualValues(t, 9, d.Remaining)
}
