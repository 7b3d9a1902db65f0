package login_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/login"
)

// byHandler is a Config without Succeeded: only the handler says what a success is.
func byHandler() login.Config { return login.Config{Account: login.FormField("user")} }

// bare returns a Guard of a new limiter, without the defaults of newGuard.
func bare(t testing.TB, cfg login.Config, hooks ratelimit.Hooks) *login.Guard {
	t.Helper()
	g, err := login.New(newLimiter(t, ratelimit.Config{Hooks: hooks}), cfg)
	require.NoError(t, err)
	return g
}

// errorsInto returns hooks that collect the texts of errors.
func errorsInto(errs *[]string) ratelimit.Hooks {
	return ratelimit.Hooks{Error: func(_ context.Context, err error) { *errs = append(*errs, err.Error()) }}
}

// An answer that proves nothing is a failure, with any status, and with an empty post between
// guesses that is shown the form again.
func TestAnswersThatProveNothing(t *testing.T) {
	withCookie := func(res ratelimit.Response) bool { return res.Header.Get("Set-Cookie") != "" }
	for _, status := range []int{0, 200, 204, 301, 302, 303, 307, 400, 401, 403, 404, 409, 418, 422, 429, 500, 503} {
		for name, succeeded := range map[string]func(ratelimit.Response) bool{"by the handler": nil, "by a cookie": withCookie} {
			t.Run(fmt.Sprint(status, " ", name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					cfg, checks := byHandler(), 0
					cfg.Succeeded = succeeded
					h := bare(t, cfg, unreported()).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						if r.PostFormValue("password") == "" {
							fmt.Fprintln(w, "<form>password is required</form>")
							return
						}
						checks++
						if status != 0 {
							w.WriteHeader(status)
						}
					}))
					for i := range 200 {
						if i%4 == 3 {
							serve(h, attempt("192.0.2.1", "victim", ""))
						}
						serve(h, attempt("192.0.2.1", "victim", "guess"))
					}
					assert.Equal(t, 4, checks, "five attempts, one of which was empty")
				})
			})
		}
	}
}

// A handler that returns without a response has not succeeded, even if Succeeded and Failed say so.
// An outer layer writes the status of the error.
func TestResponseThatIsWrittenOutside(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"nothing written":        func(http.ResponseWriter, *http.Request) {},
		"a header":               func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Set-Cookie", "a=1") },
		"only an early response": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusEarlyHints) },
		"a panic":                func(http.ResponseWriter, *http.Request) { panic(errors.New("401")) },
		"a panic after a status": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200); panic(errors.New("401")) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg, checks := byHandler(), 0
				cfg.Succeeded = func(ratelimit.Response) bool { return true }
				cfg.Failed = ratelimit.StatusIn(401)
				inner := bare(t, cfg, unreported()).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					checks++
					handler(w, r)
				}))
				h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					before := checks
					func() {
						defer func() { _ = recover() }()
						inner.ServeHTTP(w, r)
					}()
					if checks > before {
						w.WriteHeader(http.StatusUnauthorized)
					}
				})
				for range 30 {
					serve(h, attempt("192.0.2.1", "victim", "guess"))
				}
				assert.Equal(t, 5, checks)
			})
		})
	}
}

// A success that the handler reports stands, also if an outer layer writes the response. It costs
// nothing.
func TestReportedSuccess(t *testing.T) {
	for _, status := range []int{0, 200, 303} {
		for _, account := range []string{"alice", "", "Alice "} {
			t.Run(fmt.Sprintf("%d %q", status, account), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := bare(t, byHandler(), unreported())
					s := &route{Guard: g, Handler: g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						switch {
						case r.PostFormValue("password") != "secret":
							w.WriteHeader(http.StatusOK)
						case status == 0:
							login.Succeeded(r.Context(), account)
						default:
							login.Succeeded(r.Context(), account)
							w.WriteHeader(status)
						}
					}))}
					for range 4 {
						s.try("10.0.0.1", "alice", "oops")
					}
					for range 100 {
						require.NotEqual(t, 429, s.try("10.0.0.1", "alice", "secret"))
					}
					state := s.state(t, "alice", "10.0.0.1")
					assert.True(t, state.Known)
					assert.Equal(t, remaining{5, 20, 46, 596}, remainingOf(state))
					assert.True(t, state.Pair.Allowed)
				})
			})
		}
	}
}

// A success that is reported late, without a guard, or for no attempt, is ignored.
func TestSuccessThatIsNone(t *testing.T) {
	var errs []string
	g := bare(t, byHandler(), errorsInto(&errs))
	var kept context.Context
	s := &route{Guard: g, Handler: g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kept = r.Context()
		if r.Method == http.MethodGet {
			login.Succeeded(r.Context(), "alice")
		}
		w.WriteHeader(http.StatusUnauthorized)
	}))}
	login.Succeeded(t.Context(), "alice")
	require.Equal(t, 401, s.try("10.0.0.1", "alice", "guess"))
	login.Succeeded(kept, "alice")
	assert.Empty(t, errs)
	get := httptest.NewRequest(http.MethodGet, "/login", http.NoBody)
	get.RemoteAddr = "10.0.0.1:1"
	require.Equal(t, 401, serve(s, get).Code)
	state := s.state(t, "alice", "10.0.0.1")
	assert.False(t, state.Known)
	assert.Equal(t, remaining{4, 19, 49, 599}, remainingOf(state))
	s.try("10.0.0.1", "alice", "guess")
	require.Len(t, errs, 1)
	assert.Contains(t, errs[0], "send passwords by POST")
}

// The form is shown and a preflight answered as often as a client likes. In doubt a request is an
// attempt.
func TestWhatAnAttemptIs(t *testing.T) {
	for _, tc := range []struct {
		name, method, target, body, authorization string
		attempt                                   bool
	}{
		{"the form", "GET", "/login", "", "", false},
		{"its head", "HEAD", "/login", "", "", false},
		{"a preflight", "OPTIONS", "/login", "", "", false},
		{"a query", "GET", "/login?user=alice&password=x", "", "", true},
		{"a query to HEAD", "HEAD", "/login?user=alice", "", "", true},
		{"a query to OPTIONS", "OPTIONS", "/login?user=alice", "", "", true},
		{"a body", "GET", "/login", "user=alice", "", true},
		{"credentials", "GET", "/login", "", "Basic YTpi", true},
		{"an empty post", "POST", "/login", "", "", true},
		{"another method", "LOGIN", "/login", "", "", true},
		{"a put", "PUT", "/login", "user=alice", "", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) })
			h := bare(t, byHandler(), unreported()).Handler(answer)
			for range 100 {
				r := httptest.NewRequest(tc.method, tc.target, strings.NewReader(tc.body))
				if tc.authorization != "" {
					r.Header.Set("Authorization", tc.authorization)
				}
				if code := serve(h, r).Code; code == 429 {
					assert.True(t, tc.attempt)
					return
				}
			}
			assert.False(t, tc.attempt)
		})
	}
}

// Another site posts wrong passwords from the owner's own browser. That does not lock the owner
// out, whether the owner was known there or not.
func TestOtherSitesCannotLockOwnersOut(t *testing.T) {
	for name, field := range map[string][2]string{
		"Sec-Fetch-Site": {"Sec-Fetch-Site", "cross-site"}, "a subdomain": {"Sec-Fetch-Site", "same-site"},
		"Origin": {"Origin", "https://evil.example"}, "a sandbox": {"Origin", "null"},
	} {
		for _, known := range []bool{true, false} {
			t.Run(fmt.Sprint(name, ", known ", known), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newRoute(t, newLimiter(t, ratelimit.Config{}), login.Config{})
					if known {
						require.Equal(t, 200, s.try("10.0.0.1", "alice", "secret"))
					}
					for i := range 100 {
						r := attempt("10.0.0.1", []string{"alice", fmt.Sprint("user", i)}[i%2], "x")
						r.Header.Set(field[0], field[1])
						serve(s, r)
					}
					r := attempt("10.0.0.1", "alice", "secret")
					r.Header.Set("Sec-Fetch-Site", "same-origin")
					assert.Equal(t, 200, serve(s, r).Code)
				})
			})
		}
	}
}

// A program that sends the fields of a browser has no free guess.
func TestForgedSitesAreNoFreeGuess(t *testing.T) {
	for name, tc := range map[string]struct {
		sites     []string
		addresses int
		checks    int64
	}{
		"one address":                         {[]string{"cross-site"}, 1, 5},
		"every word for another site":         {[]string{"cross-site", "same-site", "x"}, 1, 5},
		"with and without":                    {[]string{"cross-site", ""}, 1, 10},
		"many addresses":                      {[]string{"cross-site"}, 500, 20},
		"many addresses and with and without": {[]string{"cross-site", ""}, 500, 20},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newRoute(t, newLimiter(t, ratelimit.Config{}), login.Config{})
				for i := range 500 {
					r := attempt(address(i%tc.addresses), "alice", "guess")
					r.Header.Set("Sec-Fetch-Site", tc.sites[i%len(tc.sites)])
					serve(s, r)
				}
				assert.Equal(t, tc.checks, s.checks.Load())
			})
		})
	}
}
