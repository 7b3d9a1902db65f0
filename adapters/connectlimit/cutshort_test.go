package connectlimit_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/adapters/connectlimit"
	"github.com/ratelimit-go/ratelimit/rpclimit"
)

// errGone is how the handlers of these tests answer a client that has left: not by the code that
// the rules count.
var errGone = connect.NewError(connect.CodeUnavailable, errors.New("the database has canceled the query"))

// ends are ways in which a client ends a call itself. The last one tells the outcome.
var ends = []struct {
	name   string
	do     func(t *testing.T, addr string, begun <-chan struct{}, options ...connect.ClientOption)
	counts bool
}{
	{"unary: cancel", func(t *testing.T, addr string, begun <-chan struct{}, options ...connect.ClientOption) {
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-begun; cancel() }()
		_, _ = emptyClient(t, addr, options...).CallUnary(ctx, connect.NewRequest(&testgrpc.Empty{}))
	}, true},
	{"unary: deadline", func(t *testing.T, addr string, begun <-chan struct{}, options ...connect.ClientOption) {
		for wait := 20 * time.Millisecond; ; wait *= 2 { // a busy machine begins no call in time
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			_, _ = emptyClient(t, addr, options...).CallUnary(ctx, connect.NewRequest(&testgrpc.Empty{}))
			cancel()
			select {
			case <-begun:
				return
			default:
			}
		}
	}, true},
	{"stream: cancel", func(t *testing.T, addr string, _ <-chan struct{}, options ...connect.ClientOption) {
		s := open(t, addr, options...)
		require.NoError(t, ping(s))
		_ = s.CloseResponse()
	}, true},
	{"stream: a message that is too large", func(t *testing.T, addr string, _ <-chan struct{}, options ...connect.ClientOption) {
		s := open(t, addr, options...)
		require.NoError(t, ping(s))
		_ = s.Send(&request{Payload: &testgrpc.Payload{Body: make([]byte, 2000)}})
	}, true},
	{"stream: half closed", func(t *testing.T, addr string, _ <-chan struct{}, options ...connect.ClientOption) {
		s := open(t, addr, options...)
		require.NoError(t, ping(s))
		_ = s.CloseRequest()
	}, false},
}

func emptyClient(
	t *testing.T, addr string, options ...connect.ClientOption,
) *connect.Client[testgrpc.Empty, testgrpc.Empty] {
	return connect.NewClient[testgrpc.Empty, testgrpc.Empty](httpClient(t), "http://"+addr+empty, options...)
}

// Under rules that count failed logins only, a client that ends a call itself pays for it: by a
// rule of the interceptor, and by a rule of the Handler.
func TestClientEndsTheCall(t *testing.T) {
	var begun chan struct{} // of each case; closed when the handler of a unary call has begun
	svc := &service{
		empty: func(ctx context.Context) error {
			close(begun)
			<-ctx.Done()
			return errGone
		},
		duplex: func(_ context.Context, s *stream) error {
			for {
				switch _, err := s.Receive(); {
				case errors.Is(err, io.EOF):
					return connect.NewError(connect.CodeNotFound, errors.New("no such user"))
				case err != nil:
					return errGone
				}
				if err := s.Send(&response{}); err != nil {
					return errGone
				}
			}
		},
	}
	all := ratelimit.Global("all")
	for _, end := range ends {
		for name, options := range protocols {
			for _, inner := range []string{"Watch and a guard", "Watch alone"} {
				t.Run(end.name+"/"+name+"/"+inner, func(t *testing.T) {
					l := limiter(t, ratelimit.Config{
						Rules: []ratelimit.Rule{{
							Name: "outer", Limits: ratelimit.MustParse("9 per hour"), Key: all, CountOnly: unauthenticated,
						}},
						Budgets: []ratelimit.Budget{{Name: "inner", Limits: ratelimit.MustParse("9 per hour")}},
					})
					var g *rpclimit.Guard
					if inner == "Watch and a guard" {
						g = guard(t, rpclimit.Config{Limiter: l, Rules: []rpclimit.Rule{{
							Name: "inner", Key: rpclimit.Global("all"), CountOnly: rpclimit.CodeIn(connect.CodeUnauthenticated),
						}}})
					}
					h := connectlimit.Watch(l.Handler(svc.handler(
						connect.WithInterceptors(connectlimit.NewInterceptor(g)), connect.WithReadMaxBytes(1000))))
					var calls sync.WaitGroup
					begun = make(chan struct{})
					end.do(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						calls.Add(1)
						defer calls.Done()
						h.ServeHTTP(w, r)
					})), begun, options...)
					calls.Wait()
					assert.Equal(t, end.counts, spent(t, l, "outer"), "outer")
					assert.Equal(t, end.counts && g != nil, spent(t, l, "inner"), "inner")
				})
			}
		}
	}
}
