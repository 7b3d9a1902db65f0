// Command redis runs three instances of one service, on three ports, that share one limit through
// Redis. It sends requests to the instances in turn, and prints which of them are allowed.
//
//	go run .
//
// It starts its own redis-server or valkey-server. The flag -redis gives the address of a running
// server instead.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/redisstore"
)

const instances = 3

// newHandler returns the service as each instance runs it. While Redis fails, each instance
// enforces its part of the limit in its own memory.
func newHandler(client redis.UniversalClient, timeout time.Duration) (http.Handler, error) {
	store, err := redisstore.New(client, redisstore.Config{Prefix: "example"})
	if err != nil {
		return nil, err
	}
	limiter, err := ratelimit.New(ratelimit.Config{
		Store:          store,
		StoreTimeout:   timeout,
		OnStoreFailure: ratelimit.UseMemory,
		Instances:      instances,
		Rules:          []ratelimit.Rule{{Name: "per-client", Limits: ratelimit.MustParse("10 per minute")}},
	})
	if err != nil {
		return nil, err
	}
	return limiter.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d, _ := ratelimit.DecisionFrom(r.Context())
		where := "for all instances"
		if d.StoreErr != nil {
			where = "for this instance alone, without Redis"
		}
		_, _ = fmt.Fprintf(w, "%d left %s", d.Remaining, where)
	})), nil
}

// start serves h on a free port until ctx is done, and returns the address.
func start(ctx context.Context, h http.Handler) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(l) }()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	return l.Addr().String(), nil
}

// run starts the instances, and sends twelve requests to them in turn.
func run(ctx context.Context, redisAddr string, timeout time.Duration, out io.Writer) error {
	var addrs []string
	for range instances {
		client := redis.NewClient(&redis.Options{Addr: redisAddr, ContextTimeoutEnabled: true})
		defer client.Close()
		h, err := newHandler(client, timeout)
		if err != nil {
			return err
		}
		addr, err := start(ctx, h)
		if err != nil {
			return err
		}
		addrs = append(addrs, addr)
	}
	for i := range 12 {
		if err := get(ctx, addrs[i%instances], out); err != nil {
			return err
		}
	}
	return nil
}

// get sends a request to the instance at addr, and prints the answer.
func get(ctx context.Context, addr string, out io.Writer) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 100))
	if err != nil {
		return err
	}
	if resp.StatusCode == http.StatusOK {
		_, err = fmt.Fprintf(out, "instance at %s: allowed, %s\n", addr, body)
	} else {
		_, err = fmt.Fprintf(out, "instance at %s: denied with %d, retry after %s s\n",
			addr, resp.StatusCode, resp.Header.Get("Retry-After"))
	}
	return err
}

var errNoServer = errors.New("found no redis-server and no valkey-server: " +
	"install one of them, or give the address of a running server (-redis)")

// startRedis starts a server on a free port, and returns its address. Call stop to end it.
func startRedis(ctx context.Context) (addr string, stop func(), err error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		path, err = exec.LookPath("valkey-server")
	}
	if err != nil {
		return "", nil, errNoServer
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	addr = l.Addr().String()
	_ = l.Close()
	_, port, _ := net.SplitHostPort(addr)
	cmd := exec.Command(path, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	client := redis.NewClient(&redis.Options{Addr: addr})
	defer client.Close()
	for range 100 {
		if err = client.Ping(ctx).Err(); err == nil {
			return addr, stop, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	stop()
	return "", nil, err
}

// demo does run with the server at addr. If addr is empty, it starts its own server.
func demo(ctx context.Context, addr string, timeout time.Duration, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if addr == "" {
		own, stop, err := startRedis(ctx)
		if err != nil {
			return err
		}
		defer stop()
		addr = own
	}
	return run(ctx, addr, timeout, out)
}

func main() {
	addr := flag.String("redis", "", "address of a Redis or Valkey server; if empty, start one")
	timeout := flag.Duration("timeout", 50*time.Millisecond, "how long a decision waits for the server")
	flag.Parse()
	if err := demo(context.Background(), *addr, *timeout, os.Stdout); err != nil {
		log.Fatal(err)
	}
}
