package policyfile_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/login"
)

// whole is a policy in which each part has a number to replace.
const whole = `version: 1
deny: {addresses: [%s], by: user, keys: ["user:mallory"]}
rules: [{name: per-client, key: user, limits: %d per hour}]
decorators:
  uploads: {rules: [{name: uploads, key: user, limits: %d per hour}]}
logins:
  login: {account: {form: email}, succeeded: [303], per_pair: %d per hour}
`

// A wholeService uses every part of whole.
type wholeService struct {
	*service
	handler http.Handler
	guard   *login.Guard
}

func newWhole(t *testing.T, text string) *wholeService {
	t.Helper()
	path := filepath.Join(t.TempDir(), "policy.yaml")
	write(t, path, text)
	s := &wholeService{service: newService(t, path, text)}
	guard, err := login.New(s.limiter, s.file.Logins()["login"].Config)
	require.NoError(t, err)
	s.guard, s.target.Logins = guard, map[string]*login.Guard{"login": guard}
	answer := func(status int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
	}
	mux := http.NewServeMux()
	mux.Handle("/", answer(http.StatusOK))
	mux.Handle("/uploads", s.limiter.With(s.file.Decorators()["uploads"].Rules...)(answer(http.StatusOK)))
	mux.Handle("POST /login", guard.Handler(answer(http.StatusUnauthorized)))
	s.handler = s.limiter.Handler(mux)
	return s
}

// status sends a request of alice.
func (s *wholeService) status(t *testing.T, path string) int {
	t.Helper()
	form := url.Values{"email": {"alice@example.com"}}.Encode()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("User", "alice")
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w.Code
}

func (s *wholeService) pair(t *testing.T) int64 {
	t.Helper()
	state, err := s.guard.State(t.Context(), "alice@example.com", netip.MustParseAddr("192.0.2.1"))
	require.NoError(t, err)
	return state.Pair.Remaining
}

func (s *wholeService) left(t *testing.T, rule string) int64 {
	t.Helper()
	d, err := s.limiter.Peek(t.Context(), rule, ratelimit.UserKey("alice"))
	require.NoError(t, err)
	return d.Remaining
}

func TestWatchReplacesEveryPart(t *testing.T) {
	s := newWhole(t, fmt.Sprintf(whole, "", 50, 5, 5))
	s.watch(t)
	require.Equal(t, http.StatusOK, s.status(t, "/"))
	require.Equal(t, http.StatusOK, s.status(t, "/uploads"))
	require.Equal(t, http.StatusUnauthorized, s.status(t, "/login"))
	assert.EqualValues(t, []int64{47, 4, 4}, []int64{s.left(t, "per-client"), s.left(t, "uploads"), s.pair(t)})

	write(t, s.path, fmt.Sprintf(whole, "198.51.100.0/24", 60, 10, 9))
	require.NoError(t, s.next(t).Err)
	assert.EqualValues(t, []int64{57, 9, 8}, []int64{s.left(t, "per-client"), s.left(t, "uploads"), s.pair(t)})
	assert.Equal(t, http.StatusOK, s.status(t, "/"))

	write(t, s.path, fmt.Sprintf(whole, "192.0.2.0/24", 60, 10, 9))
	require.NoError(t, s.next(t).Err)
	assert.Equal(t, http.StatusForbidden, s.status(t, "/"))
	write(t, s.path, fmt.Sprintf(whole, "", 60, 10, 9))
	require.NoError(t, s.next(t).Err)
	assert.Equal(t, http.StatusOK, s.status(t, "/"))
}

func TestWatchNeedsTheDecoratorInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.yaml")
	s := newService(t, path, fmt.Sprintf(whole, "", 50, 5, 5)).watch(t)
	write(t, path, fmt.Sprintf(whole, "192.0.2.1", 60, 10, 5))
	c := s.next(t)
	require.EqualError(t, c.Err, `5:3: decorators["uploads"]: has changed, but the program does not use it: needs a restart`)
	assert.Same(t, s.file, c.File)
	d, err := s.limiter.Peek(t.Context(), "per-client", client)
	require.NoError(t, err)
	assert.EqualValues(t, 50, d.Remaining)

	write(t, path, fmt.Sprintf(whole, "", 60, 5, 5))
	require.NoError(t, s.next(t).Err, "a decorator that has not changed need not be in use")
}

func TestWatchNeedsGuardsOfItsLimiter(t *testing.T) {
	for name, want := range map[string]string{
		"other": `7:3: logins["login"].name: "login": want "other"`,
		"login": `7:3: logins["login"]: has changed, but its guard is not of Target.Limiter`,
	} {
		path := filepath.Join(t.TempDir(), "policy.yaml")
		s := newService(t, path, fmt.Sprintf(whole, "", 50, 5, 5))
		s.limiter.With(s.file.Decorators()["uploads"].Rules...)
		other, err := ratelimit.New(ratelimit.Config{})
		require.NoError(t, err)
		wrong := s.file.Logins()["login"].Config
		wrong.Name = name
		guard, err := login.New(other, wrong)
		require.NoError(t, err)
		s.target.Logins = map[string]*login.Guard{"login": guard}
		s.watch(t)
		write(t, path, fmt.Sprintf(whole, "", 60, 10, 6))
		require.ErrorContains(t, s.next(t).Err, want)
		d, err := s.limiter.Peek(t.Context(), "uploads", client)
		require.NoError(t, err)
		assert.EqualValues(t, 5, d.Remaining)
		require.NoError(t, guard.Replace(wrong), "the guard is free for others")
	}
}

func TestWatchFindsNamesThatTheProgramUses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.yaml")
	s := newService(t, path, five)
	s.limiter.With(ratelimit.Rule{Name: "mine", Limits: ratelimit.MustParse("1/s")})
	s.watch(t)
	write(t, path, "version: 1\nrules:\n  - {name: per-client, limits: 9 per hour}\n  - {name: mine, limits: 1/s}\n")
	require.ErrorContains(t, s.next(t).Err, `4:12: rules[1].name: "mine" is the name of another rule`)
	assert.EqualValues(t, 4, s.take(t, "per-client", 1).Remaining)
}

func TestWatchNeedsARestart(t *testing.T) {
	const base = `version: 1
client_ip: {header: Forwarded, trusted_hops: 1}
store: {instances: 2}
headers: draft-7
allow: {by: user}
rules: [{name: a, limits: 5/h}]
decorators: {d: {rules: [{name: b, limits: 5/h}]}}
logins: {login: {account: email}}
shedder: {max_in_flight: 5}
`
	for _, change := range []struct{ old, text, want string }{
		{"trusted_hops: 1", "trusted_hops: 2", "2:12: client_ip"},
		{"client_ip: {header: Forwarded, trusted_hops: 1}\n", "", "1:1: client_ip"},
		{"instances: 2", "instances: 3", "3:8: store"},
		{"draft-7", "draft-6", "4:10: headers"},
		{"allow: {by: user}", "merge_headers: true", "5:16: merge_headers"},
		{"allow: {by: user}", "shared_cache: true", "5:15: shared_cache"},
		{"by: user", "by: tenant", "5:13: allow.by"},
		{"allow:", "deny:", "5:12: deny.by"},
		{"name: b", "name: c", "7:25: decorators[\"d\"].rules"},
		{"{d: ", "{e: ", "7:13: decorators"},
		{"{login:", "{other:", "8:9: logins"},
		{"shedder: {max_in_flight: 5}", "", "1:1: shedder"},
	} {
		t.Run(change.text, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "policy.yaml")
			s := newService(t, path, base).watch(t)
			text := strings.ReplaceAll(base, "a, limits: 5/h", "a, limits: 9/h")
			require.Contains(t, text, change.old)
			write(t, path, strings.Replace(text, change.old, change.text, 1))
			require.ErrorContains(t, s.next(t).Err, change.want+": has changed: needs a restart")
			assert.EqualValues(t, 4, s.take(t, "a", 1).Remaining)
		})
	}
	path := filepath.Join(t.TempDir(), "policy.yaml")
	s := newService(t, path, base).watch(t)
	write(t, path, strings.Replace(base, "{account: email}", "{account: email, routes: [/in]}", 1))
	require.NoError(t, s.next(t).Err, "routes of a login decide nothing")
	write(t, path, strings.Replace(base, "{account: email}", "{account: email, total: 9/h}", 1))
	require.ErrorContains(t, s.next(t).Err, `8:10: logins["login"]: has changed, but Target.Logins has no guard for it`)
	write(t, path, strings.Replace(base, "max_in_flight: 5", "max_in_flight: 6", 1))
	require.ErrorContains(t, s.next(t).Err, "9:10: shedder: has changed, but Target.Shedder is nil: needs a restart")
}

// TestWatchWhileRequestsAreServed replaces the policy while requests use up their limits.
func TestWatchWhileRequestsAreServed(t *testing.T) {
	versions := []string{fmt.Sprintf(whole, "", 50, 5, 5), fmt.Sprintf(whole, "198.51.100.1", 60, 7, 6)}
	s := newWhole(t, versions[0])
	s.watch(t)
	var allowed atomic.Int64
	var group sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	for range 4 {
		group.Go(func() {
			for ctx.Err() == nil {
				if s.status(t, "/uploads") == http.StatusOK {
					allowed.Add(1)
				}
				s.status(t, "/login")
			}
		})
	}
	for i := range 20 {
		write(t, s.path, versions[(i+1)%2])
		assert.NoError(t, s.next(t).Err)
	}
	cancel()
	group.Wait()
	assert.Positive(t, allowed.Load())
	assert.LessOrEqual(t, allowed.Load(), int64(7), "each key keeps what it has spent")
}
