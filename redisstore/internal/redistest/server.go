// Package redistest starts real servers for tests.
package redistest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Server is a redis-server or valkey-server that belongs to one test.
type Server struct {
	tb   testing.TB
	addr string
	args func(port string) []string
	cmd  *exec.Cmd
	out  bytes.Buffer
}

// Find returns the path of the program. Without it a test fails: it is not skipped.
func Find(tb testing.TB) string {
	tb.Helper()
	for _, name := range []string{"redis-server", "valkey-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	tb.Fatal("redistest: redis-server is not in PATH: " +
		"apt-get install redis-server (Debian), brew install redis (macOS)")
	return ""
}

// Start starts a server that keeps nothing on disk. Options are further arguments of its command
// line. The server ends with the test.
func Start(tb testing.TB, options ...string) *Server {
	tb.Helper()
	fixed := []string{"--dir", tb.TempDir(), "--save", "", "--appendonly", "no", "--bind", "127.0.0.1"}
	fixed = append(fixed, options...)
	return start(tb, func(port string) []string { return append([]string{"--port", port}, fixed...) })
}

func start(tb testing.TB, args func(port string) []string) *Server {
	tb.Helper()
	s := &Server{tb: tb, args: args}
	tb.Cleanup(s.Kill)
	for try := 0; ; try++ { // another program may take the free port first
		s.addr = freeAddr(tb)
		err := s.launch()
		if err == nil {
			return s
		}
		if try == 3 {
			tb.Fatal(err)
		}
	}
}

// freeAddr returns an address with a port of at most 55535: the port of the Cluster's bus is 10000
// higher.
func freeAddr(tb testing.TB) string {
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			tb.Fatal(err)
		}
		_ = l.Close()
		if addr := l.Addr().(*net.TCPAddr); addr.Port <= 55535 {
			return addr.String()
		}
	}
}

func (s *Server) launch() error {
	s.spawn()
	begin := time.Now()
	for ; time.Since(begin) < 10*time.Second; time.Sleep(10 * time.Millisecond) {
		c := redis.NewClient(&redis.Options{Addr: s.addr, MaxRetries: -1})
		err := c.Ping(context.Background()).Err()
		_ = c.Close()
		if err == nil || strings.HasPrefix(err.Error(), "NOAUTH") {
			return nil
		}
	}
	s.Kill()
	return fmt.Errorf("redistest: no answer at %s: %s", s.addr, s.out.String())
}

// spawn starts the program and does not wait until it answers.
func (s *Server) spawn() {
	s.tb.Helper()
	_, port, _ := net.SplitHostPort(s.addr)
	s.out.Reset()
	s.cmd = exec.Command(Find(s.tb), s.args(port)...)
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	if err := s.cmd.Start(); err != nil {
		s.cmd = nil
		s.tb.Fatal(err)
	}
}

// Addr returns the address of the server.
func (s *Server) Addr() string { return s.addr }

// Client returns a client of the server, which the test closes at its end. It dials once, so the
// error for a server that is not there is not a timeout.
func (s *Server) Client() *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: s.addr, ContextTimeoutEnabled: true, DialerRetries: 1})
	s.tb.Cleanup(func() { _ = c.Close() })
	return c
}

// Kill ends the server at once. Its data is lost.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	s.cmd = nil
}

// Respawn starts the server again at its address. It does not wait until the server answers.
func (s *Server) Respawn() {
	s.tb.Helper()
	s.Kill()
	s.spawn()
}

// Restart starts the server again at its address, and waits until it answers.
func (s *Server) Restart() {
	s.tb.Helper()
	s.Kill()
	if err := s.launch(); err != nil {
		s.tb.Fatal(err)
	}
}

// Calls returns how often clients have sent each command. The names are in lower case.
func (s *Server) Calls() map[string]int {
	s.tb.Helper()
	info, err := s.Client().Info(context.Background(), "commandstats").Result()
	if err != nil {
		s.tb.Fatal(err)
	}
	calls := map[string]int{}
	for line := range strings.SplitSeq(info, "\r\n") {
		name, rest, ok := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":calls=")
		if !ok {
			continue
		}
		n, _, _ := strings.Cut(rest, ",")
		calls[name], _ = strconv.Atoi(n)
	}
	return calls
}
