package rpclimit_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/netip"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/rpclimit"
)

// transport is a framework that knows what a test says.
type transport struct {
	peer   string
	header http.Header
	state  *tls.ConnectionState
}

func (t transport) Peer(context.Context) netip.Addr {
	addr, _ := netip.ParseAddrPort(t.peer)
	return addr.Addr()
}
func (t transport) RemoteAddr(context.Context) string              { return t.peer }
func (t transport) Values(_ context.Context, name string) []string { return t.header[name] }
func (t transport) Header(context.Context) http.Header             { return t.header }
func (t transport) TLS(context.Context) *tls.ConnectionState       { return t.state }

const method = "/pkg.Service/Method"

func callOf(method string) rpclimit.Call {
	return rpclimit.Call{Method: method, Transport: transport{peer: "192.0.2.1:1"}}
}

// begin begins and ends a unary call, and returns its denial.
func begin(ctx context.Context, g *rpclimit.Guard, method string) *rpclimit.Denial {
	s, d := g.Begin(ctx, callOf(method), nil, false)
	s.End(0, true)
	return d
}

func budgets(t testing.TB, limits ...string) *ratelimit.Limiter {
	t.Helper()
	cfg := ratelimit.Config{}
	for i, text := range limits {
		cfg.Budgets = append(cfg.Budgets, ratelimit.Budget{
			Name: string(rune('a' + i)), Limits: ratelimit.MustParse(text),
		})
	}
	return limiter(t, cfg)
}

func limiter(t testing.TB, cfg ratelimit.Config) *ratelimit.Limiter {
	t.Helper()
	l, err := ratelimit.New(cfg)
	require.NoError(t, err)
	return l
}

func guard(t testing.TB, cfg rpclimit.Config) *rpclimit.Guard {
	t.Helper()
	g, err := rpclimit.New(cfg)
	require.NoError(t, err)
	return g
}

func all(context.Context, rpclimit.Call) (ratelimit.Key, error) { return ratelimit.UserKey("all"), nil }

// left returns how many tokens the key of all has left.
func left(t testing.TB, l *ratelimit.Limiter, budget string) int64 {
	t.Helper()
	d, err := l.Peek(t.Context(), budget, ratelimit.UserKey("all"))
	require.NoError(t, err)
	return d.Remaining
}

// reports collects what a Guard reports.
type reports struct {
	mu   sync.Mutex
	errs []error
}

func (r *reports) add(_ context.Context, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errs = append(r.errs, err)
}

var errMistake = errors.New("a mistake of the user")
