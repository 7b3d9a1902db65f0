package connectlimit_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"connectrpc.com/connect"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/adapters/connectlimit"
	"github.com/ratelimit-go/ratelimit/rpclimit"
)

func Example() {
	const procedure = "/grpc.testing.TestService/EmptyCall"
	limiter, err := ratelimit.New(ratelimit.Config{
		Rules: []ratelimit.Rule{{
			Name: "logins", Limits: ratelimit.MustParse("2 per minute"),
			CountOnly: connectlimit.CodeIn(connect.CodeUnauthenticated),
		}},
		Budgets:     []ratelimit.Budget{{Name: "messages", Limits: ratelimit.MustParse("50 per second")}},
		DenyHandler: connectlimit.DenyHandler(),
	})
	if err != nil {
		log.Fatal(err)
	}
	guard, err := rpclimit.New(rpclimit.Config{
		Limiter: limiter,
		Rules:   []rpclimit.Rule{{Name: "messages", PerMessage: true}},
	})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(procedure, connect.NewUnaryHandler(procedure, login,
		connect.WithInterceptors(connectlimit.NewInterceptor(guard))))
	handler := connectlimit.Watch(limiter.Handler(mux))

	server := httptest.NewServer(handler)
	defer server.Close()
	client := connect.NewClient[testgrpc.Empty, testgrpc.Empty](server.Client(), server.URL+procedure)
	for range 3 {
		_, err := client.CallUnary(context.Background(), connect.NewRequest(&testgrpc.Empty{}))
		fmt.Println(connect.CodeOf(err))
	}

	// Output:
	// unauthenticated
	// unauthenticated
	// resource_exhausted
}

func login(context.Context, *connect.Request[testgrpc.Empty]) (*connect.Response[testgrpc.Empty], error) {
	return nil, connect.NewError(connect.CodeUnauthenticated, errors.New("wrong password"))
}
