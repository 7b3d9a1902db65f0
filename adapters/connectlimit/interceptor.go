package connectlimit

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"

	"connectrpc.com/connect"

	"github.com/ratelimit-go/ratelimit/rpclimit"
)

// NewInterceptor returns an interceptor that applies guard to the calls and messages of handlers,
// and notes how calls end for [Watch]. A nil guard only notes. Clients pass through it untouched.
// Put it in front of interceptors that turn errors into successes, and behind authentication.
//
// With Config.Fields the response has RateLimit-Policy and RateLimit, unless an outer limiter has
// set them. A unary call whose handler returns an error has none. After a message is denied,
// the stream sends nothing more. It ends with the denial, even if its handler returns another error
// or none.
func NewInterceptor(guard *rpclimit.Guard) connect.Interceptor {
	return &interceptor{guard}
}

type interceptor struct{ guard *rpclimit.Guard }

// WrapUnary implements [connect.Interceptor].
func (i *interceptor) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (res connect.AnyResponse, err error) {
		if req.Spec().IsClient {
			return next(ctx, req)
		}
		from := &transport{req.Peer().Addr, req.Header()}
		call := rpclimit.Call{Method: req.Spec().Procedure, Transport: from}
		s, denied := i.guard.Begin(ctx, call, req.Any(), false)
		if denied != nil {
			return nil, noted(ctx, answer(denied, req.Peer().Protocol))
		}
		returned := false
		defer func() {
			note(ctx, err, returned, false)
			s.End(codeOf(err), returned)
		}()
		inner := ctx
		if s != nil {
			inner = s
		}
		res, err = next(inner, req)
		returned = true
		if err == nil {
			policy, limit := s.Fields()
			setFields(res.Header(), policy, limit)
		}
		return res, err
	}
}

// WrapStreamingClient implements [connect.Interceptor].
func (i *interceptor) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler implements [connect.Interceptor].
func (i *interceptor) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) (err error) {
		peer := conn.Peer()
		from := &transport{peer.Addr, conn.RequestHeader()}
		call := rpclimit.Call{Method: conn.Spec().Procedure, Transport: from}
		s, denied := i.guard.Begin(ctx, call, nil, true)
		if denied != nil {
			return noted(ctx, answer(denied, peer.Protocol))
		}
		l, returned := &limited{StreamingHandlerConn: conn, session: s}, false
		defer func() {
			note(ctx, err, returned, l.broken.Load())
			s.End(codeOf(err), returned)
		}()
		inner := ctx
		if s != nil {
			inner = s
		}
		policy, limit := s.Fields()
		setFields(conn.ResponseHeader(), policy, limit)
		err = next(inner, l)
		returned = true
		if denied := s.Denied(); denied != nil {
			err = answer(denied, peer.Protocol)
		}
		return err
	}
}

// limited is a stream whose messages are counted.
type limited struct {
	connect.StreamingHandlerConn
	session *rpclimit.Session // or nil
	broken  atomic.Bool       // a message was not received or not sent
}

// Receive takes tokens for each message that was received.
func (l *limited) Receive(m any) error {
	if denied := l.session.Denied(); denied != nil {
		return answer(denied, l.Peer().Protocol)
	}
	if err := l.StreamingHandlerConn.Receive(m); err != nil {
		if !errors.Is(err, io.EOF) { // the client has not ended its messages
			l.fail()
		}
		return err
	}
	if denied := l.session.Message(m); denied != nil {
		return answer(denied, l.Peer().Protocol)
	}
	return nil
}

// Send sends nothing after a denial.
func (l *limited) Send(m any) error {
	if denied := l.session.Denied(); denied != nil {
		return answer(denied, l.Peer().Protocol)
	}
	err := l.StreamingHandlerConn.Send(m)
	if err != nil {
		l.fail()
	}
	return err
}

func (l *limited) fail() {
	l.broken.Store(true)
	l.session.Broken()
}

func setFields(h http.Header, policy, limit string) {
	if _, there := h["Ratelimit"]; limit != "" && !there {
		h["Ratelimit-Policy"], h["Ratelimit"] = []string{policy}, []string{limit}
	}
}
