package connectlimit_test

import (
	"context"
	"net/http"
	"testing"

	"connectrpc.com/connect"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/adapters/connectlimit"
	"github.com/ratelimit-go/ratelimit/rpclimit"
)

// serverRequest is a request that a server has got from 192.0.2.1.
type serverRequest struct {
	*connect.Request[testgrpc.Empty]
	spec connect.Spec
	peer connect.Peer
}

func (r *serverRequest) Spec() connect.Spec { return r.spec }
func (r *serverRequest) Peer() connect.Peer { return r.peer }

// BenchmarkUnary measures what the interceptor costs beyond Take, which makes the decision.
func BenchmarkUnary(b *testing.B) {
	ctx := b.Context()
	l := budget(b, "1000000000 per second")
	b.Run("Take alone", func(b *testing.B) {
		k, err := ratelimit.ParseKey("addr:192.0.2.1")
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if d, err := l.Take(ctx, "calls", k, 1); err != nil || !d.Allowed {
				b.Fatal(d, err)
			}
		}
	})
	req := &serverRequest{
		connect.NewRequest(&testgrpc.Empty{}),
		connect.Spec{Procedure: empty},
		connect.Peer{Addr: "192.0.2.1:1", Protocol: connect.ProtocolGRPC},
	}
	res := connect.NewResponse(&testgrpc.Empty{})
	next := func(context.Context, connect.AnyRequest) (connect.AnyResponse, error) { return res, nil }
	g := guard(b, rpclimit.Config{Limiter: l, Rules: []rpclimit.Rule{{Name: "calls"}}})
	interceptor := connectlimit.NewInterceptor(g).WrapUnary(next)
	b.Run("one rule", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := interceptor(ctx, req); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkDeny measures a whole denial by the Handler of a limiter, in each protocol.
func BenchmarkDeny(b *testing.B) {
	l := limiter(b, ratelimit.Config{
		Rules:       []ratelimit.Rule{{Name: "calls", Limits: ratelimit.MustParse("1 per year")}},
		DenyHandler: connectlimit.DenyHandler(),
	})
	h := l.Handler((&service{}).handler())
	for name, content := range map[string]string{
		"Connect": "application/proto", "gRPC": "application/grpc", "gRPC-Web": "application/grpc-web", "other": "",
	} {
		b.Run(name, func(b *testing.B) {
			r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, empty, http.NoBody)
			if err != nil {
				b.Fatal(err)
			}
			r.RemoteAddr = "192.0.2.1:1"
			r.Header.Set("Content-Type", content)
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(&discard{http.Header{}}, r)
			}
		})
	}
}

// discard is a response without a client.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(int)             {}
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
