package main

import (
	"context"
	"net/http"
	"net/netip"
	"sync"
)

// attackers is where the attacks come from. Only the counters know it.
var attackers = netip.MustParsePrefix("127.64.0.0/10")

// tally is what requests of one kind of client have done.
type tally struct {
	Requests  int // received
	InFlight  int // of them
	Database  int // that asked the database
	Passwords int // that had a password checked
	Guessed   int // accounts whose password was right
	Admin     int // that reached the handler for administrators
	Rows      int // sent to them
}

// minus returns what has been done since, with Requests that are over.
func (t tally) minus(before tally) tally {
	t.Requests -= before.Requests
	t.Database -= before.Database
	t.Passwords -= before.Passwords
	t.Guessed -= before.Guessed
	t.Admin -= before.Admin
	t.Rows -= before.Rows
	return t
}

// wrong is how many wrong passwords were checked, if no account was guessed twice.
func (t tally) wrong() int { return t.Passwords - t.Guessed }

type tallies struct{ Honest, Attack tally }

// trace is what one request does. It belongs to the goroutine that serves it.
type trace struct {
	database, password, admin bool
	rows                      int
	guessed                   string // the account whose password was right
}

type traceKey struct{}

// traceOf returns the trace of a request, or one that nobody reads.
func traceOf(ctx context.Context) *trace {
	if t, ok := ctx.Value(traceKey{}).(*trace); ok {
		return t
	}
	return new(trace)
}

// counters tells what gets through to the things that cost. It is outside the limiter
// and sees everything.
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
