package grpclimit

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/ratelimit-go/ratelimit/rpclimit"
)

// ServerOptions returns the options that apply guard to all calls of a server. The interceptors run
// behind interceptors of earlier options. If keys depend on authentication, put it there. It panics
// if guard is nil, as [Unary] and [Stream] do.
func ServerOptions(guard *rpclimit.Guard) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(Unary(guard)), grpc.ChainStreamInterceptor(Stream(guard)),
	}
}

// Unary returns an interceptor that applies guard to unary calls. If an outer interceptor sends
// header metadata, clients of grpc-go never try again after a denial: see the gRPC proposal A6.
func Unary(guard *rpclimit.Guard) grpc.UnaryServerInterceptor {
	mustHave(guard)
	return func(
		ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
	) (resp any, err error) {
		call := rpclimit.Call{Method: info.FullMethod, Transport: Transport{}}
		s, denied := guard.Begin(ctx, call, req, false)
		switch {
		case denied != nil:
			_ = grpc.SetTrailer(ctx, trailer(denied)) // fails only without a server
			return nil, toError(denied)
		case s == nil:
			return handler(ctx, req)
		}
		returned := false
		defer func() { s.End(codeOf(err), returned) }()
		if md := fields(s.Fields()); md != nil {
			_ = grpc.SetTrailer(ctx, md)
		}
		resp, err = handler(s, req)
		returned = true
		return resp, err
	}
}

// Stream returns an interceptor that applies guard to streams and their messages. After a message
// is denied, the stream sends nothing more. It ends with the denial, even if its handler returns
// another error or none.
func Stream(guard *rpclimit.Guard) grpc.StreamServerInterceptor {
	mustHave(guard)
	return func(
		srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler,
	) (err error) {
		call := rpclimit.Call{Method: info.FullMethod, Transport: Transport{}}
		s, denied := guard.Begin(stream.Context(), call, nil, true)
		switch {
		case denied != nil:
			stream.SetTrailer(trailer(denied))
			return toError(denied)
		case s == nil:
			return handler(srv, stream)
		}
		returned := false
		defer func() { s.End(codeOf(err), returned) }()
		if md := fields(s.Fields()); md != nil {
			stream.SetTrailer(md)
		}
		err = handler(srv, &limited{stream, s})
		returned = true
		if denied := s.Denied(); denied != nil {
			stream.SetTrailer(trailer(denied))
			err = toError(denied)
		}
		return err
	}
}

// limited is a stream whose messages are counted.
type limited struct {
	grpc.ServerStream
	session *rpclimit.Session
}

// Context returns the context that has the decision.
func (l *limited) Context() context.Context { return l.session }

// RecvMsg takes tokens for each message that was received.
func (l *limited) RecvMsg(m any) error {
	if denied := l.session.Denied(); denied != nil {
		return toError(denied)
	}
	if err := l.ServerStream.RecvMsg(m); err != nil {
		if !errors.Is(err, io.EOF) { // the client has not ended its messages
			l.session.Broken()
		}
		return err
	}
	if denied := l.session.Message(m); denied != nil {
		return toError(denied)
	}
	return nil
}

// SendMsg sends nothing after a denial.
func (l *limited) SendMsg(m any) error {
	if denied := l.session.Denied(); denied != nil {
		return toError(denied)
	}
	err := l.ServerStream.SendMsg(m)
	if err != nil {
		l.session.Broken()
	}
	return err
}

// mustHave panics if guard is nil, such as after an ignored error of [rpclimit.New]: the server
// would limit nothing.
func mustHave(guard *rpclimit.Guard) {
	if guard == nil {
		panic("grpclimit: a nil Guard: want the Guard of rpclimit.New")
	}
}

// codeOf returns the code that the server sends for the error of a handler.
func codeOf(err error) uint32 {
	if s, ok := status.FromError(err); ok {
		return uint32(s.Code())
	}
	return uint32(status.FromContextError(err).Code())
}

// fields returns the metadata for RateLimit-Policy and RateLimit, or nil.
func fields(policy, limit string) metadata.MD {
	if limit == "" {
		return nil
	}
	return metadata.MD{"ratelimit-policy": {policy}, "ratelimit": {limit}}
}
