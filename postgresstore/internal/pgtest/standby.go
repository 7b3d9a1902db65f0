package pgtest

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// StartStandby starts a standby that follows s by streaming replication. It ends with the test.
func (s *Server) StartStandby() *Server {
	s.tb.Helper()
	r := newServer(s.tb, dataDir(s.tb), s.options)
	s.tb.Cleanup(r.Kill)
	s.backup(r.dir)
	host, port, _ := net.SplitHostPort(s.Addr())
	write(s.tb, filepath.Join(r.dir, "standby.signal"), "")
	write(s.tb, filepath.Join(r.dir, "postgresql.auto.conf"),
		"primary_conninfo = 'host="+host+" port="+port+" user=postgres'\n")
	r.start()
	return r
}

// backup copies the data of s to dir. It does without pg_basebackup, which has to be as new as the
// server.
func (s *Server) backup(dir string) {
	s.tb.Helper()
	ctx, conn := context.Background(), s.Conn()
	begin, end := "SELECT pg_backup_start('standby', true)", "SELECT labelfile FROM pg_backup_stop()"
	if s.Int("SELECT current_setting('server_version_num')::bigint") < 150000 {
		begin = "SELECT pg_start_backup('standby', true, false)"
		end = "SELECT labelfile FROM pg_stop_backup(false)"
	}
	if _, err := conn.Exec(ctx, begin); err != nil {
		s.tb.Fatalf("pgtest: %s: %v", begin, err)
	}
	// The server changes and removes files meanwhile, which cp may complain about.
	_ = command("cp", "-R", s.dir+"/.", dir).Run()
	var label string
	if err := conn.QueryRow(ctx, end).Scan(&label); err != nil {
		s.tb.Fatalf("pgtest: %s: %v", end, err)
	}
	write(s.tb, filepath.Join(dir, "backup_label"), label)
	if err := os.Remove(filepath.Join(dir, "postmaster.pid")); err != nil {
		s.tb.Fatal(err)
	}
}

// Promote makes a standby the primary, and waits until it is.
func (s *Server) Promote() {
	s.tb.Helper()
	s.Exec("SELECT pg_promote()")
}

// AwaitReplay waits until a standby has what s has.
func (s *Server) AwaitReplay(standby *Server) {
	s.tb.Helper()
	begin := time.Now()
	for s.Int("SELECT (pg_current_wal_lsn() - '0/0')::bigint") >
		standby.Int("SELECT (pg_last_wal_replay_lsn() - '0/0')::bigint") {
		if time.Since(begin) > 20*time.Second {
			s.tb.Fatal("pgtest: the standby does not follow")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// StartBouncer starts a PgBouncer before s, in transaction mode with at most size connections. It
// returns a connection string. It ends with the test.
func (s *Server) StartBouncer(size string) string {
	s.tb.Helper()
	dir := dataDir(s.tb)
	port := freePort(s.tb)
	host, server, _ := net.SplitHostPort(s.Addr())
	write(s.tb, filepath.Join(dir, "users.txt"), "\"postgres\" \"\"\n")
	write(s.tb, filepath.Join(dir, "bouncer.ini"), `[databases]
postgres = host=`+host+` port=`+server+` dbname=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = `+port+`
unix_socket_dir =
auth_type = trust
auth_file = `+filepath.Join(dir, "users.txt")+`
pool_mode = transaction
default_pool_size = `+size+`
`)
	program := find(s.tb, "pgbouncer")
	cmd := command(program, "-q", filepath.Join(dir, "bouncer.ini"))
	if err := cmd.Start(); err != nil {
		s.tb.Fatal(err)
	}
	s.tb.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	addr := net.JoinHostPort("127.0.0.1", port)
	for range 500 {
		if c, err := net.Dial("tcp", addr); err == nil {
			_ = c.Close()
			return url(addr, "postgres", nil)
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.tb.Fatalf("pgtest: no answer at %s", addr)
	return ""
}

func write(tb testing.TB, file, text string) {
	tb.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		tb.Fatal(err)
	}
	if err := giveAway(file); err != nil {
		tb.Fatal(err)
	}
}
