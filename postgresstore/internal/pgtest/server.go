// Package pgtest starts real servers for tests.
package pgtest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Server is a PostgreSQL that belongs to one test. It trusts everybody who connects from this
// machine, and has a superuser postgres.
type Server struct {
	tb       testing.TB
	dir      string // its data
	port     string
	database string
	options  []string
	cmd      *exec.Cmd
	out      *bytes.Buffer
}

// find returns the path of a program of PostgreSQL: from the directory POSTGRES_BIN if that is set,
// else of the newest version that is installed. Without the program a test fails. It is not
// skipped.
func find(tb testing.TB, program string) string {
	tb.Helper()
	// Debian keeps the programs of each version apart.
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.Reverse(dirs)
	if dir := os.Getenv("POSTGRES_BIN"); dir != "" {
		dirs = slices.Insert(dirs, 0, dir)
	}
	for _, dir := range append(dirs, "/usr/sbin", "") {
		if path, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return path
		}
	}
	tb.Fatalf("pgtest: %s is not installed: apt-get install postgresql pgbouncer (Debian)", program)
	return ""
}

// Start starts a server with a new cluster. Options are settings, such as "fsync=on". The server
// ends with the test.
func Start(tb testing.TB, options ...string) *Server {
	tb.Helper()
	s := newServer(tb, dataDir(tb), options)
	tb.Cleanup(s.Kill)
	s.init()
	s.start()
	return s
}

func newServer(tb testing.TB, dir string, options []string) *Server {
	return &Server{tb: tb, dir: dir, database: "postgres", options: options, out: new(bytes.Buffer)}
}

// dataDir returns a directory as makeDir does, which ends with the test.
func dataDir(tb testing.TB) string {
	tb.Helper()
	dir := makeDir(tb)
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// makeDir returns an empty directory that belongs to the user of the server. It is not below
// tb.TempDir, whose parents another user may not enter.
func makeDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "pgtest")
	if err != nil {
		tb.Fatal(err)
	}
	if err := giveAway(dir); err != nil {
		tb.Fatal(err)
	}
	return dir
}

// init makes a new cluster.
func (s *Server) init() {
	s.tb.Helper()
	run(s.tb, find(s.tb, "initdb"), "--pgdata", s.dir, "--no-sync", "--auth=trust", "--username=postgres",
		"--encoding=UTF8", "--locale=C", "--wal-segsize=1")
}

// start chooses a port and launches the server.
func (s *Server) start() {
	s.tb.Helper()
	for try := 0; ; try++ { // another program may take the free port first
		s.port = freePort(s.tb)
		err := s.launch()
		if err == nil {
			return
		}
		if try == 3 {
			s.tb.Fatal(err)
		}
	}
}

func freePort(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// run runs a program to its end, as the user of the server.
func run(tb testing.TB, program string, args ...string) {
	tb.Helper()
	cmd := command(program, args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("pgtest: %s: %v: %s", program, err, out)
	}
}

func (s *Server) launch() error {
	s.spawn()
	begin := time.Now()
	for ; time.Since(begin) < 20*time.Second; time.Sleep(20 * time.Millisecond) {
		conn, err := pgx.Connect(context.Background(), s.URL())
		if err == nil {
			return conn.Close(context.Background())
		}
	}
	s.Kill()
	return fmt.Errorf("pgtest: no answer at port %s: %s", s.port, s.out.String())
}

// spawn starts the program and does not wait until it answers.
func (s *Server) spawn() {
	s.tb.Helper()
	args := []string{
		"-D", s.dir, "-p", s.port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
		"-c", "fsync=off", "-c", "wal_level=replica", "-c", "log_min_messages=fatal",
	}
	for _, o := range s.options {
		args = append(args, "-c", o)
	}
	s.out.Reset()
	s.cmd = command(find(s.tb, "postgres"), args...)
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	if err := s.cmd.Start(); err != nil {
		s.cmd = nil
		s.tb.Fatal(err)
	}
}

// Addr returns the address of the server.
func (s *Server) Addr() string { return "127.0.0.1:" + s.port }

// URL returns the connection string of the superuser. Params are added, such as "user=bob".
func (s *Server) URL(params ...string) string { return url(s.Addr(), s.database, params) }

func url(addr, database string, params []string) string {
	all := append([]string{"sslmode=disable", "user=postgres", "dbname=" + database}, params...)
	return "postgres://" + addr + "/?" + strings.Join(all, "&")
}

// Pool returns the configuration of a pool for a connection string.
func Pool(tb testing.TB, url string) *pgxpool.Config {
	tb.Helper()
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		tb.Fatal(err)
	}
	return cfg
}

// Conn returns a connection of the superuser, which the test closes at its end.
func (s *Server) Conn() *pgx.Conn {
	s.tb.Helper()
	conn, err := pgx.Connect(context.Background(), s.URL())
	if err != nil {
		s.tb.Fatal(err)
	}
	s.tb.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// Exec executes statements, which must succeed.
func (s *Server) Exec(sql string) {
	s.tb.Helper()
	conn := s.Conn()
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), sql); err != nil {
		s.tb.Fatalf("pgtest: %s: %v", sql, err)
	}
}

// Int returns the number that a statement answers.
func (s *Server) Int(sql string) (n int64) {
	s.tb.Helper()
	conn := s.Conn()
	defer conn.Close(context.Background())
	if err := conn.QueryRow(context.Background(), sql).Scan(&n); err != nil {
		s.tb.Fatalf("pgtest: %s: %v", sql, err)
	}
	return n
}

// Kill ends the server and all its backends at once, as a machine that loses power.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	for _, p := range s.processes() {
		_ = p.Kill()
	}
	_ = s.cmd.Wait()
	s.cmd = nil
}

// Restart starts the server again at its address, and waits until it answers.
func (s *Server) Restart() {
	s.tb.Helper()
	s.Kill()
	if err := s.launch(); err != nil {
		s.tb.Fatal(err)
	}
}
