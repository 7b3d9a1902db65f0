package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// server is our own redis-server, on a free port.
type server struct {
	addr   string
	cmd    *exec.Cmd
	client *redis.Client
}

func startServer(ctx context.Context) (*server, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, fmt.Errorf("apt-get install redis-server: %w", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := l.Addr().String()
	_ = l.Close()
	_, port, _ := net.SplitHostPort(addr)
	args := []string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", os.TempDir()}
	s := &server{addr: addr, cmd: exec.Command(path, args...)}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	s.client = redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true, PoolSize: callers})
	for range 500 {
		if err = s.client.Ping(ctx).Err(); err == nil {
			return s, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.stop()
	return nil, fmt.Errorf("no server at %s: %w", addr, err)
}

func (s *server) stop() {
	_ = s.client.Close()
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// info returns a field of a section of INFO.
func (s *server) info(ctx context.Context, section, field string) (string, error) {
	text, err := s.client.Info(ctx, section).Result()
	if err != nil {
		return "", err
	}
	for line := range strings.SplitSeq(text, "\r\n") {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			return value, nil
		}
	}
	return "", nil
}

// number returns a field of INFO that is a number, or 0 if there is no such field.
func (s *server) number(ctx context.Context, section, field string) (float64, error) {
	text, err := s.info(ctx, section, field)
	if err != nil || text == "" {
		return 0, err
	}
	return strconv.ParseFloat(text, 64)
}

// cpu returns the seconds of processor time that the server has used.
func (s *server) cpu(ctx context.Context) (float64, error) {
	user, err := s.number(ctx, "cpu", "used_cpu_user")
	if err != nil {
		return 0, err
	}
	sys, err := s.number(ctx, "cpu", "used_cpu_sys")
	return user + sys, err
}

// scripts returns how many scripts the server has received.
func (s *server) scripts(ctx context.Context) (int, error) {
	total := 0
	for _, name := range []string{"evalsha", "eval"} {
		stat, err := s.info(ctx, "commandstats", "cmdstat_"+name)
		if err != nil {
			return 0, err
		}
		calls, _, _ := strings.Cut(strings.TrimPrefix(stat, "calls="), ",")
		if n, err := strconv.Atoi(calls); err == nil {
			total += n
		}
	}
	return total, nil
}
