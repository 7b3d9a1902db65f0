package grpclimit_test

import (
	"context"
	"fmt"
	"log"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/adapters/grpclimit"
	"github.com/ratelimit-go/ratelimit/rpclimit"
)

func Example() {
	limiter, err := ratelimit.New(ratelimit.Config{
		Budgets: []ratelimit.Budget{
			{Name: "calls", Limits: ratelimit.MustParse("2 per minute")},
			{Name: "messages", Limits: ratelimit.MustParse("50 per second")},
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	guard, err := rpclimit.New(rpclimit.Config{
		Limiter: limiter,
		Rules: []rpclimit.Rule{
			{Name: "calls"}, // by the address of the client
			{Name: "messages", Methods: []string{"/chat.v1.Chat/*"}, PerMessage: true},
		},
		InFlight: []rpclimit.InFlight{{Name: "watches", Methods: []string{"/grpc.health.v1.Health/Watch"}, Max: 3}},
	})
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(grpclimit.ServerOptions(guard)...)

	healthgrpc.RegisterHealthServer(server, health.NewServer())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	defer server.Stop()
	conn, err := grpc.NewClient(listener.Addr().String(),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	for range 3 {
		_, err := healthgrpc.NewHealthClient(conn).Check(context.Background(), &healthgrpc.HealthCheckRequest{})
		fmt.Println(status.Code(err))
	}

	// Output:
	// OK
	// OK
	// ResourceExhausted
}
