package pgtest

import (
	"os"
	"strconv"
	"sync"
	"testing"
)

// shared is the server of Database.
var shared struct {
	mu        sync.Mutex
	server    *Server
	databases int
}

// Database returns a new database on a server that all tests of the program share, because a new
// cluster takes a second. Use it for a test that stops no server and changes no settings. TestMain
// must call [StopShared].
func Database(tb testing.TB) *Server {
	tb.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.server == nil {
		s := newServer(tb, makeDir(tb), nil)
		s.init()
		s.start()
		shared.server = s
	}
	s := *shared.server
	shared.databases++
	s.tb = tb
	s.Exec("CREATE DATABASE d" + strconv.Itoa(shared.databases) + " TEMPLATE template0")
	s.database = "d" + strconv.Itoa(shared.databases)
	return &s
}

// StopShared ends the server of [Database], if a test has started it.
func StopShared() {
	if s := shared.server; s != nil {
		s.Kill()
		_ = os.RemoveAll(s.dir)
	}
}
