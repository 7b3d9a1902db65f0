package grpclimit_test

import (
	"context"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/adapters/grpclimit"
	"github.com/ratelimit-go/ratelimit/rpclimit"
)

// BenchmarkUnary measures what the interceptor costs beyond Take, which makes the decision.
func BenchmarkUnary(b *testing.B) {
	ctx := peer.NewContext(b.Context(), &peer.Peer{Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1).To4(), Port: 1}})
	info := &grpc.UnaryServerInfo{FullMethod: empty}
	handler := func(context.Context, any) (any, error) { return nil, nil }
	l := budget(b, "1000000000 per second")
	counted := rpclimit.Rule{Name: "calls", CountOnly: rpclimit.Failures}
	benchmarks := []struct {
		name string
		cfg  rpclimit.Config
	}{
		{"one rule", rpclimit.Config{Rules: []rpclimit.Rule{{Name: "calls"}}}},
		{"two rules", rpclimit.Config{Rules: []rpclimit.Rule{{Name: "calls"}, {Name: "calls"}}}},
		{"in flight", rpclimit.Config{InFlight: []rpclimit.InFlight{{Name: "calls", Max: 9}}}},
		{"failures only", rpclimit.Config{Rules: []rpclimit.Rule{counted}}},
		{"fields", rpclimit.Config{Rules: []rpclimit.Rule{{Name: "calls"}}, Fields: true}},
		{"exempt", rpclimit.Config{Exempt: []string{empty}, Rules: []rpclimit.Rule{{Name: "calls"}}}},
	}
	b.Run("Take alone", func(b *testing.B) {
		k := ratelimit.AddrKey(netipAddr("192.0.2.1"))
		b.ReportAllocs()
		for b.Loop() {
			if d, err := l.Take(ctx, "calls", k, 1); err != nil || !d.Allowed {
				b.Fatal(d, err)
			}
		}
	})
	for _, bb := range benchmarks {
		bb.cfg.Limiter = l
		interceptor := grpclimit.Unary(guard(b, bb.cfg))
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := interceptor(ctx, nil, info, handler); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestUnaryAllocatesOnce holds the interceptor to the one allocation of the handler's context.
func TestUnaryAllocatesOnce(t *testing.T) {
	ctx := peer.NewContext(t.Context(), &peer.Peer{Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1).To4(), Port: 1}})
	info := &grpc.UnaryServerInfo{FullMethod: empty}
	handler := func(context.Context, any) (any, error) { return nil, nil }
	interceptor := grpclimit.Unary(guard(t, rpclimit.Config{
		Limiter: budget(t, "1000000000 per second"), Rules: []rpclimit.Rule{{Name: "calls"}},
		InFlight: []rpclimit.InFlight{{Name: "calls", Max: 9}},
	}))
	allocs := testing.AllocsPerRun(1000, func() {
		_, err := interceptor(ctx, nil, info, handler)
		require.NoError(t, err)
	})
	require.LessOrEqual(t, allocs, 1.0)
}
