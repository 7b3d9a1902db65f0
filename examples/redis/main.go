// Command redis runs three instances of one service, on three ports, that share one limit
// through Redis, asks them in turn, and prints who was admitted where.
//
//	go run .
//
// It starts a redis-server, or valkey-server, of its own for that. With -redis it uses one that
// is there.
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

// newHandler returns the service as each instance runs it.
func newHandler(client redis.UniversalClient, timeout time.Duration) (http.Handler, error) {
	store, err := redisstore.New(client, redisstore.Config{Prefix: "example"})
	if err != nil {
		return nil, err
	}
	limiter, err := ratelimit.New(ratelimit.Config{
		Store:          store,
		StoreTimeout:   timeout,
		OnStoreFailure: ratelimit.UseMemory, // while Redis is away, each instance by itself
		Instances:      instances,           // enforces its part of the limit
		Rules: []ratelimit.Rule{{
			Name: "per-client", Limits: ratelimit.MustParse("10 per minute"), Key: ratelimit.ByClientIP(),
		}},
	})
	if err != nil {
		return nil, err
	}
	return limiter.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d, _ := ratelimit.DecisionFrom(r.Context())
		where := "of all"
		if d.StoreErr != nil {
			where = "of this instance alone, without Redis"
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

// run asks the instances in turn, twelve times in all.
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
		addr := addrs[i%instances]
		resp, err := http.Get("http://" + addr)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(io.LimitReader(resp.Body, 100))
		_ = resp.Body.Close()
		if err != nil {
			return err
		}
		if resp.StatusCode == http.StatusOK {
			_, _ = fmt.Fprintf(out, "instance at %s: admitted, %s\n", addr, body)
		} else {
			_, _ = fmt.Fprintf(out, "instance at %s: refused with %d, retry after %s s\n", addr, resp.StatusCode, resp.Header.Get("Retry-After"))
		}
	}
	return nil
}

// startRedis starts a server on a free port, which stop ends, and returns its address.
func startRedis(ctx context.Context) (addr string, stop func(), err error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		path, err = exec.LookPath("valkey-server")
	}
	if err != nil {
		return "", nil, errors.New("neither redis-server nor valkey-server is installed: want one, or the address of one that runs (-redis)")
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

// demo is run with a server of its own, if addr is empty.
func demo(ctx context.Context, addr string, timeout time.Duration, out io.Writer) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
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
	addr := flag.String("redis", "", "address of a Redis or Valkey server (default one of its own)")
	timeout := flag.Duration("timeout", 50*time.Millisecond, "how long a decision waits for it")
	flag.Parse()
	if err := demo(context.Background(), *addr, *timeout, os.Stdout); err != nil {
		log.Fatal(err)
	}
}
