package main

import (
	"context"
	"net/http"
	"net/netip"
	"sync"
)

// attackers are the addresses of all attacks. Only the counters know them.
var attackers = netip.MustParsePrefix("127.64.0.0/10")

// tally counts what the requests of one kind of client have done.
type tally struct {
	Requests  int // all requests
	InFlight  int // requests in flight
	Database  int // requests that reached the database
	Passwords int // requests that had a password checked
	Guessed   int // accounts whose password was right
	Admin     int // requests that reached the handler for administrators
	Rows      int // rows in the answers
}

// minus returns t without the counts of before, except InFlight.
func (t tally) minus(before tally) tally {
	t.Requests -= before.Requests
	t.Database -= before.Database
	t.Passwords -= before.Passwords
	t.Guessed -= before.Guessed
	t.Admin -= before.Admin
	t.Rows -= before.Rows
	return t
}

// wrong returns how many wrong passwords were checked, if no account was guessed twice.
func (t tally) wrong() int { return t.Passwords - t.Guessed }

type tallies struct{ Honest, Attack tally }

// trace is what one request does. It belongs to the goroutine that serves it.
type trace struct {
	database, password, admin bool
	rows                      int
	guessed                   string // the account whose password was right
}

type traceKey struct{}

// traceOf returns the trace of a request, or a new trace if the counters do not watch the request.
func traceOf(ctx context.Context) *trace {
	if t, ok := ctx.Value(traceKey{}).(*trace); ok {
		return t
	}
	return new(trace)
}

// counters counts the requests that reach the expensive parts of the service. It wraps the limiter,
// so it sees every request.
type counters struct {
	mu      sync.Mutex
	all     tallies
	guessed map[*tally]map[string]bool // accounts
}

func newCounters() *counters { return &counters{guessed: map[*tally]map[string]bool{}} }

func (c *counters) read() tallies {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all
}

func (c *counters) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t := &c.all.Honest
		if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil && attackers.Contains(peer.Addr()) {
			t = &c.all.Attack
		}
		tr := new(trace)
		c.mu.Lock()
		t.Requests++
		t.InFlight++
		c.mu.Unlock()
		defer c.done(t, tr)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), traceKey{}, tr)))
	})
}

func (c *counters) done(t *tally, tr *trace) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t.InFlight--
	t.Database += one(tr.database)
	t.Passwords += one(tr.password)
	t.Admin += one(tr.admin)
	t.Rows += tr.rows
	if tr.guessed == "" {
		return
	}
	if c.guessed[t] == nil {
		c.guessed[t] = map[string]bool{}
	}
	c.guessed[t][tr.guessed] = true
	t.Guessed = len(c.guessed[t])
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}
