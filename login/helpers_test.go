package login_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/storefake"
	"github.com/ratelimit-go/ratelimit/login"
	"github.com/ratelimit-go/ratelimit/store"
)

func newLimiter(t testing.TB, cfg ratelimit.Config) *ratelimit.Limiter {
	t.Helper()
	l, err := ratelimit.New(cfg)
	require.NoError(t, err)
	return l
}

// newGuard returns a Guard of l. Without an Account it takes the field "user" of a form. Without a
// Succeeded, status 200 is a success.
func newGuard(t testing.TB, l *ratelimit.Limiter, cfg login.Config) *login.Guard {
	t.Helper()
	if cfg.Account == nil {
		cfg.Account = login.FormField("user")
	}
	if cfg.Succeeded == nil {
		cfg.Succeeded = ratelimit.StatusIn(http.StatusOK)
	}
	g, err := login.New(l, cfg)
	require.NoError(t, err)
	return g
}

// A route is a login route behind a Guard. The password of every account is "secret".
type route struct {
	http.Handler
	*login.Guard
	checks atomic.Int64 // passwords that were checked
}

func newRoute(t testing.TB, l *ratelimit.Limiter, cfg login.Config) *route {
	t.Helper()
	s := &route{Guard: newGuard(t, l, cfg)}
	s.Handler = s.Guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.checks.Add(1)
		if r.PostFormValue("password") != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.WriteHeader(http.StatusOK)
	}))
	return s
}

// try returns the status of one attempt.
func (s *route) try(address, user, password string) int {
	return serve(s, attempt(address, user, password)).Code
}

// attempt returns a posted form with the fields user and password.
func attempt(address, user, password string) *http.Request {
	return posted(address, "", "application/x-www-form-urlencoded", "user="+user+"&password="+password)
}

func posted(address, query, mediaType, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/login"+query, strings.NewReader(body))
	r.Header.Set("Content-Type", mediaType)
	r.RemoteAddr = address + ":1"
	return r
}

// serve returns the response of h to r.
func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// address returns the i-th of many addresses.
func address(i int) string { return fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255) }

var addr = netip.MustParseAddr

func newCounting() *storefake.Mortal {
	return &storefake.Mortal{Store: ratelimit.NewMemoryStore(ratelimit.MemoryConfig{})}
}

// unreported returns hooks that drop errors and changes of the store's state.
func unreported() ratelimit.Hooks {
	return ratelimit.Hooks{
		Error:      func(context.Context, error) {},
		StoreState: func(context.Context, store.State) {},
	}
}

// deadLimiter returns a Limiter whose store has never worked.
func deadLimiter(t testing.TB, policy ratelimit.FailurePolicy) *ratelimit.Limiter {
	t.Helper()
	return newLimiter(t, ratelimit.Config{
		Store:          storefake.Func(func(context.Context, []store.Op) error { return errors.New("down") }),
		OnStoreFailure: policy, Hooks: unreported(),
	})
}

// state returns the State of an account and a client address.
func (s *route) state(t testing.TB, account, address string) login.State {
	t.Helper()
	state, err := s.State(t.Context(), account, addr(address))
	require.NoError(t, err)
	return state
}

// remaining are how many failures remain of each limit of a State.
type remaining struct{ pair, account, address, total int64 }

func remainingOf(s login.State) remaining {
	return remaining{s.Pair.Remaining, s.Account.Remaining, s.Address.Remaining, s.Total.Remaining}
}

// block is a Block of an hour after some failures or denials within an hour.
func block(after string) *ratelimit.Block {
	return &ratelimit.Block{After: ratelimit.MustParse(after)[0], For: hour, When: ratelimit.StatusIn(401)}
}

// requireBlocked requires that the limiter knows of one block, and returns its key.
func requireBlocked(t testing.TB, l *ratelimit.Limiter) ratelimit.Key {
	t.Helper()
	blocked := l.Blocked()
	require.Len(t, blocked, 1)
	assert.Equal(t, "login-pair", blocked[0].Rule)
	return blocked[0].Key
}
