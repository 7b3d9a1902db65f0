// Command redis runs three instances of one service, on three ports, that share one limit
// through Redis, asks them in turn, and prints who was admitted where.
//
//	redis-server --save '' &
//	go run . -redis localhost:6379
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/redisstore"
)

// newHandler returns the service as each instance runs it.
func newHandler(client redis.UniversalClient) (http.Handler, error) {
	store, err := redisstore.New(client, redisstore.Config{Prefix: "example"})
	if err != nil {
		return nil, err
	}
	limiter, err := ratelimit.New(ratelimit.Config{
		Store:          store,
		StoreTimeout:   50 * time.Millisecond,
		OnStoreFailure: ratelimit.UseMemory, // each instance by itself while Redis is away
		Rules: []ratelimit.Rule{{
			Name: "per-client", Limits: ratelimit.MustParse("10 per minute"), Key: ratelimit.ByRemoteIP(),
		}},
	})
	if err != nil {
		return nil, err
	}
	return limiter.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d, _ := ratelimit.DecisionFrom(r.Context())
		_, _ = fmt.Fprintf(w, "%d left", d.Remaining)
	})), nil
}

// start serves h on a free port and returns the URL.
func start(ctx context.Context, h http.Handler) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(l) }()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	return "http://" + l.Addr().String(), nil
}

// run asks three instances in turn, twelve times in all.
func run(ctx context.Context, addr string, out io.Writer) error {
	var urls []string
	for range 3 {
		client := redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true})
		defer client.Close()
		h, err := newHandler(client)
		if err != nil {
			return err
		}
		url, err := start(ctx, h)
		if err != nil {
			return err
		}
		urls = append(urls, url)
	}
	for i := range 12 {
		resp, err := http.Get(urls[i%3])
		if err != nil {
			return err
		}
		body, err := io.ReadAll(io.LimitReader(resp.Body, 100))
		_ = resp.Body.Close()
		if err != nil {
			return err
		}
		if resp.StatusCode == http.StatusOK {
			_, _ = fmt.Fprintf(out, "instance %d: %s\n", i%3+1, body)
		} else {
			_, _ = fmt.Fprintf(out, "instance %d: %d, retry after %s s\n", i%3+1, resp.StatusCode, resp.Header.Get("Retry-After"))
		}
	}
	return nil
}

func main() {
	addr := flag.String("redis", "localhost:6379", "address of the Redis or Valkey server")
	flag.Parse()
	ctx, stop := context.WithCancel(context.Background())
	err := run(ctx, *addr, os.Stdout)
	stop()
	if err != nil {
		log.Fatal(err)
	}
}
