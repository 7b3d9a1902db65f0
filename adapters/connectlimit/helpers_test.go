package connectlimit_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/rpclimit"
)

const (
	empty  = "/grpc.testing.TestService/EmptyCall"
	duplex = "/grpc.testing.TestService/FullDuplexCall"
)

// protocols are the client options of every protocol.
var protocols = map[string][]connect.ClientOption{
	"Connect":      nil,
	"Connect JSON": {connect.WithProtoJSON()},
	"gRPC":         {connect.WithGRPC()},
	"gRPC-Web":     {connect.WithGRPCWeb()},
}

type (
	request  = testgrpc.StreamingOutputCallRequest
	response = testgrpc.StreamingOutputCallResponse
	stream   = connect.BidiStream[request, response]
)

// service is a real service whose methods do what a test wants.
type service struct {
	empty  func(ctx context.Context) error
	duplex func(ctx context.Context, s *stream) error
}

func (s *service) handler(options ...connect.HandlerOption) *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle(empty, connect.NewUnaryHandler(empty,
		func(ctx context.Context, _ *connect.Request[testgrpc.Empty]) (*connect.Response[testgrpc.Empty], error) {
			if s.empty != nil {
				if err := s.empty(ctx); err != nil {
					return nil, err
				}
			}
			return connect.NewResponse(&testgrpc.Empty{}), nil
		}, options...))
	mux.Handle(duplex, connect.NewBidiStreamHandler(duplex, func(ctx context.Context, st *stream) error {
		if s.duplex != nil {
			return s.duplex(ctx, st)
		}
		return echo(ctx, st)
	}, options...))
	return mux
}

// echo answers each message.
func echo(_ context.Context, s *stream) error {
	for {
		if _, err := s.Receive(); err != nil {
			return nil //nolint:nilerr // the end of the stream, or a denial that is ignored
		}
		if err := s.Send(&response{}); err != nil {
			return nil //nolint:nilerr // as above
		}
	}
}

func limiter(t testing.TB, cfg ratelimit.Config) *ratelimit.Limiter {
	t.Helper()
	l, err := ratelimit.New(cfg)
	require.NoError(t, err)
	return l
}

// budget returns a limiter with one budget "calls".
func budget(t testing.TB, limits string) *ratelimit.Limiter {
	t.Helper()
	return limiter(t, ratelimit.Config{Budgets: []ratelimit.Budget{
		{Name: "calls", Limits: ratelimit.MustParse(limits)},
	}})
}

func guard(t testing.TB, cfg rpclimit.Config) *rpclimit.Guard {
	t.Helper()
	g, err := rpclimit.New(cfg)
	require.NoError(t, err)
	return g
}

// serve starts a server of HTTP/1.1 and HTTP/2 without TLS, and returns its address.
func serve(t testing.TB, h http.Handler) (addr string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{Handler: h, Protocols: both()}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		_ = server.Close()
		require.ErrorIs(t, <-done, http.ErrServerClosed)
	})
	return listener.Addr().String()
}

func both() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	return p
}

func httpClient(t testing.TB) *http.Client {
	t.Helper()
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: p}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// call makes a unary call.
func call(t testing.TB, addr string, options ...connect.ClientOption) (*connect.Response[testgrpc.Empty], error) {
	t.Helper()
	c := connect.NewClient[testgrpc.Empty, testgrpc.Empty](httpClient(t), "http://"+addr+empty, options...)
	return c.CallUnary(t.Context(), connect.NewRequest(&testgrpc.Empty{}))
}

type clientStream = connect.BidiStreamForClient[request, response]

func open(t testing.TB, addr string, options ...connect.ClientOption) *clientStream {
	t.Helper()
	c := connect.NewClient[request, response](httpClient(t), "http://"+addr+duplex, options...)
	s := c.CallBidiStream(t.Context())
	t.Cleanup(func() { _ = s.CloseResponse() })
	return s
}

// ping sends a message and returns the error of the answer.
func ping(s *clientStream) error {
	_ = s.Send(&request{}) // Receive has the error
	_, err := s.Receive()
	return err
}

// detail returns the detail of type M of an error, or the zero M.
func detail[M any](t testing.TB, err error) (found M) {
	t.Helper()
	var e *connect.Error
	if !errors.As(err, &e) {
		return found
	}
	for _, d := range e.Details() {
		value, err := d.Value()
		require.NoError(t, err)
		if m, ok := value.(M); ok {
			found = m
		}
	}
	return found
}

func retryInfo(t testing.TB, err error) *errdetails.RetryInfo {
	t.Helper()
	return detail[*errdetails.RetryInfo](t, err)
}

// tooLarge is an interceptor of a handler whose answers do not fit.
func tooLarge() connect.Interceptor {
	return connect.UnaryInterceptorFunc(func(connect.UnaryFunc) connect.UnaryFunc {
		return func(context.Context, connect.AnyRequest) (connect.AnyResponse, error) {
			return connect.NewResponse(&testgrpc.SimpleResponse{Username: "much longer than one byte"}), nil
		}
	})
}
