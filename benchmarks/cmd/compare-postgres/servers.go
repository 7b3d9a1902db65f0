package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/ratelimit-go/ratelimit/postgresstore"
	"github.com/ratelimit-go/ratelimit/redisstore"
	"github.com/ratelimit-go/ratelimit/store"
)

// server is a server of our own, on a free port, and the store in it.
type server struct {
	version string
	store   store.Store
	stop    func()
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// await repeats try until it succeeds.
func await(try func() error) error {
	var err error
	for range 1000 {
		if err = try(); err == nil {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return err
}

func startRedis(ctx context.Context) (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("redis-server",
		"--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", os.TempDir())
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("apt-get install redis-server: %w", err)
	}
	client := redis.NewClient(&redis.Options{
		Addr: net.JoinHostPort("127.0.0.1", port), ContextTimeoutEnabled: true, PoolSize: callers,
	})
	s := &server{stop: func() {
		_ = client.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}}
	if err := await(func() error { return client.Ping(ctx).Err() }); err != nil {
		s.stop()
		return nil, err
	}
	s.version = "Redis " + client.InfoMap(ctx, "server").Item("Server", "redis_version")
	s.store, err = redisstore.New(client, redisstore.Config{})
	return s, err
}

// find returns the path of a program of PostgreSQL. Debian keeps the programs of each version
// apart.
func find(program string) string {
	paths, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + program)
	if len(paths) == 0 {
		return program
	}
	return slices.Max(paths)
}

func startPostgres(ctx context.Context) (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "compare-postgres")
	if err != nil {
		return nil, err
	}
	s := &server{stop: func() { _ = os.RemoveAll(dir) }}
	if err := giveAway(dir); err != nil {
		return nil, err
	}
	initdb := command(find("initdb"), "-D", dir, "--no-sync", "--auth=trust", "--username=postgres")
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("apt-get install postgresql: %w: %s", err, out)
	}
	cmd := command(find("postgres"), "-D", dir, "-p", port, "-c", "listen_addresses=127.0.0.1",
		"-c", "unix_socket_directories=", "-c", "shared_buffers=1GB")
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s.stop = func() {
		_ = cmd.Process.Signal(os.Interrupt) // a fast shutdown
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	}
	err = s.connect(ctx, "postgres://postgres@127.0.0.1:"+port+"/postgres?sslmode=disable")
	if err != nil {
		s.stop()
	}
	return s, err
}

// connect makes the store, and its schema.
func (s *server) connect(ctx context.Context, url string) error {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return err
	}
	store, err := postgresstore.New(cfg, postgresstore.Config{})
	if err != nil {
		return err
	}
	stop := s.stop
	s.store, s.stop = store, func() { store.Close(); stop() }
	if err := await(func() error { return store.Migrate(ctx) }); err != nil {
		return err
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer pool.Close()
	return pool.QueryRow(ctx, "SELECT 'PostgreSQL ' || current_setting('server_version')").Scan(&s.version)
}
