package connectlimit_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/adapters/connectlimit"
	"github.com/ratelimit-go/ratelimit/rpclimit"
)

var unauthenticated = connectlimit.CodeIn(connect.CodeUnauthenticated)

func refuse() error {
	return connect.NewError(connect.CodeUnauthenticated, errors.New("wrong password"))
}

var outcomes = []struct {
	name             string
	end              func() error
	failure, refused bool // what Failures and unauthenticated say
}{
	{"success", func() error { return nil }, false, false},
	{"this code", refuse, true, true},
	{"another code", func() error { return connect.NewError(connect.CodeNotFound, errors.New("")) }, true, false},
	{"other error", func() error { return errors.New("") }, true, false},
	{"the client has left", func() error { return context.Canceled }, true, true},
	{"panic", func() error { panic(http.ErrAbortHandler) }, true, true},
}

// TestOnlyFailuresCount lets calls end in every way and protocol, behind the Handler of a limiter
// whose rules count only some. gRPC answers all of them with status 200.
func TestOnlyFailuresCount(t *testing.T) {
	for _, tt := range outcomes {
		t.Run(tt.name, func(t *testing.T) {
			for name, protocol := range protocols {
				for kind, do := range map[string]func(addr string){
					"unary":  func(addr string) { _, _ = call(t, addr, protocol...) },
					"stream": func(addr string) { _ = ping(open(t, addr, protocol...)) },
				} {
					all := ratelimit.Global("all")
					l := limiter(t, ratelimit.Config{Rules: []ratelimit.Rule{
						{Name: "failures", Limits: ratelimit.MustParse("9 per hour"), Key: all, CountOnly: connectlimit.Failures},
						{Name: "refused", Limits: ratelimit.MustParse("9 per hour"), Key: all, CountOnly: unauthenticated},
					}})
					svc := &service{
						empty:  func(context.Context) error { return tt.end() },
						duplex: func(context.Context, *stream) error { return tt.end() },
					}
					mux := svc.handler(connect.WithInterceptors(connectlimit.NewInterceptor(nil)))
					settled := make(chan struct{})
					inner := connectlimit.Watch(l.Handler(mux))
					do(serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						defer close(settled)
						inner.ServeHTTP(w, r)
					})))
					<-settled
					assert.Equal(t, tt.failure, spent(t, l, "failures"), "%s %s: Failures", name, kind)
					assert.Equal(t, tt.refused, spent(t, l, "refused"), "%s %s: CodeIn", name, kind)
				}
			}
		})
	}
}

// The functions of package ratelimit see the status of HTTP, which a client of gRPC hides.
func TestStatusOfHTTPTellsNothingOfGRPC(t *testing.T) {
	for name, counts := range map[string]bool{"Connect": true, "gRPC": false, "gRPC-Web": false} {
		l := limiter(t, ratelimit.Config{Rules: []ratelimit.Rule{{
			Name: "failures", Limits: ratelimit.MustParse("9 per hour"), Key: ratelimit.Global("all"),
			CountOnly: ratelimit.Failures,
		}}})
		svc := &service{empty: func(context.Context) error { return refuse() }}
		settled := make(chan struct{})
		inner := l.Handler(svc.handler())
		_, err := call(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer close(settled)
			inner.ServeHTTP(w, r)
		})), protocols[name]...)
		<-settled
		assert.Equal(t, connect.CodeUnauthenticated, connect.CodeOf(err), name)
		assert.Equal(t, counts, spent(t, l, "failures"), name)
	}
}

// spent reports whether a token of the bucket for all clients is gone.
func spent(t *testing.T, l *ratelimit.Limiter, rule string) bool {
	t.Helper()
	k, err := ratelimit.Global("all").Key(nil)
	require.NoError(t, err)
	d, err := l.Peek(t.Context(), rule, k)
	require.NoError(t, err)
	return d.Remaining < 9
}

// TestUnknownOutcomeCounts sends what no interceptor sees.
func TestUnknownOutcomeCounts(t *testing.T) {
	watched := func(h http.Handler) http.Handler { return connectlimit.Watch(h) }
	with := connect.WithInterceptors(connectlimit.NewInterceptor(nil))
	tests := []struct {
		name    string
		watch   func(http.Handler) http.Handler
		mux     *http.ServeMux
		request func(addr string)
	}{
		{"no Watch", func(h http.Handler) http.Handler { return h }, (&service{}).handler(with), func(addr string) {
			_, err := call(t, addr)
			assert.NoError(t, err)
		}},
		{"no interceptor", watched, (&service{}).handler(), func(addr string) {
			_, err := call(t, addr, connect.WithGRPC())
			assert.NoError(t, err)
		}},
		{"not decodable", watched, (&service{}).handler(with), func(addr string) {
			res, err := httpClient(t).Post("http://"+addr+empty, "application/grpc", http.NoBody)
			assert.NoError(t, err)
			assert.NoError(t, res.Body.Close())
			assert.Equal(t, 200, res.StatusCode)
		}},
		{"no call", watched, (&service{}).handler(with), func(addr string) {
			res, err := httpClient(t).Post("http://"+addr+empty, "text/plain", http.NoBody)
			assert.NoError(t, err)
			assert.NoError(t, res.Body.Close())
		}},
		{"a panic that an outer interceptor recovers", watched, (&service{
			duplex: func(context.Context, *stream) error { panic("a bug") },
		}).handler(connect.WithRecover(func(context.Context, connect.Spec, http.Header, any) error {
			return connect.NewError(connect.CodeInternal, errors.New("a bug"))
		}), with), func(addr string) {
			assert.Equal(t, connect.CodeInternal, connect.CodeOf(ping(open(t, addr))))
		}},
		{"too large an answer", watched, (&service{}).handler(with, connect.WithSendMaxBytes(1),
			connect.WithInterceptors(tooLarge())), func(addr string) {
			_, err := call(t, addr, connect.WithGRPC())
			assert.Equal(t, connect.CodeResourceExhausted, connect.CodeOf(err))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			all := ratelimit.Global("all")
			l := limiter(t, ratelimit.Config{Rules: []ratelimit.Rule{
				{Name: "failures", Limits: ratelimit.MustParse("9 per hour"), Key: all, CountOnly: connectlimit.Failures},
				{Name: "refused", Limits: ratelimit.MustParse("9 per hour"), Key: all, CountOnly: unauthenticated},
			}})
			settled := make(chan struct{})
			inner := tt.watch(l.Handler(tt.mux))
			tt.request(serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer close(settled)
				inner.ServeHTTP(w, r)
			})))
			<-settled
			assert.True(t, spent(t, l, "failures"))
			known := tt.name == "too large an answer" || tt.name == "not decodable" // the trailers tell
			assert.Equal(t, !known, spent(t, l, "refused"))
		})
	}
}

// TestInterceptorCountsOnlyFailures has rules of rpclimit charge by the code.
func TestInterceptorCountsOnlyFailures(t *testing.T) {
	for _, tt := range outcomes {
		t.Run(tt.name, func(t *testing.T) {
			l := limiter(t, ratelimit.Config{Budgets: []ratelimit.Budget{
				{Name: "failures", Limits: ratelimit.MustParse("9 per hour")},
				{Name: "refused", Limits: ratelimit.MustParse("9 per hour")},
			}})
			key := func(context.Context, rpclimit.Call) (ratelimit.Key, error) {
				return ratelimit.Global("all").Key(nil)
			}
			g := guard(t, rpclimit.Config{Limiter: l, Rules: []rpclimit.Rule{
				{Name: "failures", Key: key, CountOnly: rpclimit.Failures},
				{Name: "refused", Key: key, CountOnly: rpclimit.CodeIn(connect.CodeUnauthenticated)},
			}})
			svc := &service{empty: func(context.Context) error { return tt.end() }}
			mux := svc.handler(connect.WithInterceptors(connectlimit.NewInterceptor(g)))
			_, _ = call(t, serve(t, mux), connect.WithGRPC())
			assert.Equal(t, tt.failure, spent(t, l, "failures"))
			assert.Equal(t, tt.refused, spent(t, l, "refused"))
		})
	}
}
