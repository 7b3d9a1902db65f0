package login_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/clientip"
	"github.com/ratelimit-go/ratelimit/internal/storefake"
	"github.com/ratelimit-go/ratelimit/login"
	"github.com/ratelimit-go/ratelimit/store"
)

const (
	hour = time.Hour
	day  = 24 * hour
)

// Attackers send all their attempts at once. As many passwords are checked as the limit says.
func TestEveryAttackIsLimitedExactly(t *testing.T) {
	const attempts = 1000
	for _, tc := range []struct {
		name             string
		addresses, users int
		checks           int64
	}{
		{"one address to one account", 1, 1, 5},
		{"many addresses to one account", attempts, 1, 20},
		{"one address to many accounts", 1, attempts, 50},
		{"many addresses to many accounts", attempts, attempts, 600},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // no token is added meanwhile
				s := newRoute(t, newLimiter(t, ratelimit.Config{}), login.Config{})
				var all sync.WaitGroup
				for i := range attempts {
					all.Go(func() { s.try(address(i%tc.addresses), fmt.Sprint("user", i%tc.users), "guess") })
				}
				all.Wait()
				assert.Equal(t, tc.checks, s.checks.Load())
			})
		})
	}
}

func TestOnlyFailuresCount(t *testing.T) {
	s := newRoute(t, newLimiter(t, ratelimit.Config{}), login.Config{})
	for range 1000 {
		require.Equal(t, 200, s.try("10.0.0.1", "alice", "secret"))
	}
}

// Strangers cannot lock an account out for an address that its owner has used before.
func TestStrangersCannotLockOwnersOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRoute(t, newLimiter(t, ratelimit.Config{}), login.Config{Total: ratelimit.MustParse("40 per hour")})
		attack := func() {
			for i := range 100 {
				s.try(address(1000+i), "alice", "guess")
			}
		}
		require.Equal(t, 200, s.try("10.0.0.1", "alice", "secret"))
		for i := range 100 {
			s.try(address(1000+i), "alice", "guess")
			s.try(address(2000+i), fmt.Sprint("user", i), "guess")
		}
		assert.Equal(t, 429, s.try("10.0.0.2", "alice", "secret"), "an address that was never used")
		assert.Equal(t, 401, s.try("10.0.0.1", "alice", "oops"), "the owner mistypes")
		assert.Equal(t, 200, s.try("10.0.0.1", "alice", "secret"))
		time.Sleep(29 * day)
		attack()
		assert.Equal(t, 200, s.try("10.0.0.1", "alice", "secret"), "remembered for 30 days, from now on")
		time.Sleep(2 * day)
		attack()
		assert.Equal(t, 401, s.try("10.0.0.1", "alice", "oops"), "two days later, too")
		time.Sleep(28*day + 1)
		attack()
		assert.Equal(t, 429, s.try("10.0.0.1", "alice", "secret"), "and no longer")
	})
}

// A client at the address of an owner cannot lock the owner out by failing on other accounts.
func TestNeighborsCannotLockOwnersOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRoute(t, newLimiter(t, ratelimit.Config{}), login.Config{})
		require.Equal(t, 200, s.try("10.0.0.1", "alice", "secret"))
		for i := range 100 {
			s.try("10.0.0.1", fmt.Sprint("user", i), "guess")
		}
		assert.Equal(t, 429, s.try("10.0.0.1", "bob", "guess"))
		assert.Equal(t, 200, s.try("10.0.0.1", "alice", "secret"))
	})
}

// The address of a known pair may be shared with an attacker.
func TestKnownPairIsLimited(t *testing.T) {
	s := newRoute(t, newLimiter(t, ratelimit.Config{}), login.Config{})
	require.Equal(t, 200, s.try("10.0.0.1", "alice", "secret"))
	for range 10 {
		s.try("10.0.0.1", "alice", "guess")
	}
	assert.Equal(t, int64(1+5), s.checks.Load())
}

func TestSuccessClearsThePair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRoute(t, newLimiter(t, ratelimit.Config{}), login.Config{PerAddress: ratelimit.MustParse("5 per hour")})
		for range 2 {
			for range 4 {
				require.Equal(t, 401, s.try("10.0.0.1", "alice", "oops"))
			}
			require.Equal(t, 200, s.try("10.0.0.1", "alice", "secret"), "4 failures of 5 are forgotten")
		}
		require.Equal(t, 401, s.try("10.0.0.1", "bob", "guess"))
		assert.Equal(t, 429, s.try("10.0.0.1", "carol", "guess"),
			"failures of the address are not cleared: there were 4 before the pair was known, and 1")
		assert.Equal(t, 401, s.try("10.0.0.2", "alice", "guess"))
	})
}

func TestSuccessClearsTheAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRoute(t, newLimiter(t, ratelimit.Config{}), login.Config{PerAccount: ratelimit.MustParse("3 per hour")})
		for i := range 2 {
			require.Equal(t, 401, s.try(address(i), "alice", "guess"))
		}
		require.Equal(t, 200, s.try("10.9.0.1", "alice", "secret"))
		for i := range 5 {
			assert.Equal(t, i < 3, s.try(address(i), "alice", "guess") == 401, "attempt %d", i)
		}
	})
}

// A failure that is answered with status 200 is no success.
func TestFailuresByHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checks := 0
		h := newGuard(t, newLimiter(t, ratelimit.Config{}), login.Config{
			Failed: func(res ratelimit.Response) bool { return res.Header.Get("X-Login") == "failed" },
		}).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			checks++
			w.Header().Set("X-Login", "failed")
		}))
		for range 20 {
			serve(h, attempt("10.0.0.1", "alice", "guess"))
		}
		assert.Equal(t, 5, checks)
	})
}

// A response that is no success, and no failure by Failed, counts nowhere and clears nothing.
func TestNeitherFailureNorSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		status := http.StatusUnauthorized
		g := newGuard(t, newLimiter(t, ratelimit.Config{}), login.Config{Failed: ratelimit.StatusIn(401)})
		h := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		s := &route{Handler: h, Guard: g}
		for range 4 {
			require.Equal(t, 401, s.try("10.0.0.1", "alice", "guess"))
		}
		status = http.StatusBadRequest
		for range 20 {
			require.Equal(t, 400, s.try("10.0.0.1", "alice", ""))
		}
		state := s.state(t, "alice", "10.0.0.1")
		assert.False(t, state.Known)
		assert.Equal(t, remaining{1, 16, 46, 596}, remainingOf(state))
	})
}

// Letter case and surrounding space do not count in an account. If there is no account, the attempt
// counts as one at a further account.
func TestAccountSpelling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRoute(t, newLimiter(t, ratelimit.Config{}), login.Config{})
		for i, user := range []string{"bob", "BOB", "Bob+", "%20bob", "bob%09", "bOb", "bob"} {
			assert.Equal(t, i < 5, s.try("10.0.0.1", user, "x") == 401, "%q", user)
		}
		for i, user := range []string{"boss", "BOSS", "boſs", "boſſ", "Bosſ", "boss"} {
			assert.Equal(t, i < 5, s.try("10.0.0.1", user, "x") == 401, "%q, whose upper case is the same", user)
		}
		for i := range 30 {
			assert.Equal(t, i < 20, s.try(address(i), "", "x") == 401, "attempt %d without an account", i)
		}
	})
}

// Accounts that look alike, and that some programs take for the same, are no accounts of their own.
// They count together, and a success with one of them clears no failure.
func TestAccountsWithInvisibleCharacters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRoute(t, newLimiter(t, ratelimit.Config{Hooks: unreported()}), login.Config{})
		require.Equal(t, 401, s.try("10.0.0.1", "bill", "x"))
		require.Equal(t, 200, s.try("10.0.0.1", "bill%00", "secret"))
		for i, user := range []string{"bill%00", "bill%00x", "bi%E2%80%8Bll", "%EF%BB%BFbill", "b%C2%ADi%7Fll%E2%80%AE", "bi%09ll"} {
			assert.Equal(t, i < 5, s.try("10.0.0.1", user, "x") == 401, "%q, which looks like bill", user)
		}
		assert.False(t, s.state(t, "bill", "10.0.0.1").Known)
		assert.Equal(t, 4, int(s.state(t, "bill", "10.0.0.1").Pair.Remaining))
	})
}

// Databases ignore variation selectors and fillers too, and drop or cut what is no UTF-8.
func TestAccountsWithIgnoredCharacters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRoute(t, newLimiter(t, ratelimit.Config{Hooks: unreported()}), login.Config{})
		for i, user := range []string{
			"bill%EF%B8%8F", "bi%CD%8Fll", "bill%F3%A0%84%80", "bill%E3%85%A4", "b%E1%A0%8Bill", "bill%FF", "bill%C3", "bi%ED%A0%80ll",
			"bill%EF%BF%BD",
		} {
			assert.Equal(t, i < 5, s.try("10.0.0.1", user, "x") == 401, "%q, which can be bill", user)
		}
		assert.Equal(t, 401, s.try("10.0.0.1", "b%C3%AFll%E7%95%AA%F0%9F%A6%86", "x"), "letters, and a duck")
	})
}

// If the store has no room for pairs, no pair is known.
func TestKnownPairWithoutRoom(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{Store: ratelimit.NewMemoryStore(ratelimit.MemoryConfig{MaxKeys: 1})})
	s := newRoute(t, l, login.Config{PerAccount: ratelimit.MustParse("3 per hour")})
	require.Equal(t, 401, s.try("10.0.0.9", "dave", "guess"), "takes the only place, and a failure that accounts without room share")
	require.Equal(t, 200, s.try("10.0.0.7", "carol", "secret"), "takes the place that known pairs without room share")
	require.Equal(t, 401, s.try("10.0.0.6", "alice", "guess"))
	require.Equal(t, 401, s.try("10.0.0.5", "alice", "guess"))
	assert.Equal(t, 429, s.try("10.0.0.8", "alice", "secret"))
}

// If the store cannot say whether a pair is known, it is not.
func TestKnownPairWithoutAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := ratelimit.NewMemoryStore(ratelimit.MemoryConfig{})
		answers := storefake.Func(func(ctx context.Context, ops []store.Op) error {
			if len(ops) == 1 && ops[0].Kind == store.Peek {
				return errors.New("down")
			}
			return memory.Apply(ctx, ops)
		})
		l := newLimiter(t, ratelimit.Config{Store: answers, OnStoreFailure: ratelimit.FailClosed, Hooks: unreported()})
		s := newRoute(t, l, login.Config{})
		for i := range 30 {
			s.try(address(i), "alice", "guess")
		}
		assert.Equal(t, int64(20), s.checks.Load())
	})
}

func TestWithoutAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRoute(t, newLimiter(t, ratelimit.Config{}), login.Config{})
		from := func(user, password string) int {
			r := attempt("10.0.0.1", user, password)
			r.RemoteAddr = "@"
			return serve(s, r).Code
		}
		for range 60 {
			from("alice", "guess")
		}
		assert.Equal(t, int64(20), s.checks.Load(), "the limit of the account applies")
		for range 19 {
			require.Equal(t, 401, from("bob", "oops"))
		}
		require.Equal(t, 200, from("bob", "secret"))
		require.Equal(t, 401, from("bob", "oops"), "the success has cleared the account")
	})
}

// An attacker with an account hides which account each attempt is for, and logs in between guesses.
// That does not clear the failures, and does not make the pair known.
func TestHiddenAccountClearsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := passwords{}
		h := s.behind(t, login.JSONField("email"), asStruct)
		try := func(account, password string) int {
			body := fmt.Sprintf(`{"email":%q,"password":%q}`, account, password) + strings.Repeat(" ", 64<<10)
			return serve(h, posted("10.0.0.1", "", "application/json", body)).Code
		}
		for range 20 {
			for range 4 {
				try("alice", "guess")
			}
			try("mallory", "secret")
		}
		assert.Equal(t, 5, s["alice"])
	})
}

// An attacker leaves before the response, and the handler returns without a response. That is no
// success: it clears nothing and makes no pair known.
func TestClientThatHasLeftHasNoSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checks := 0
		check := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Context().Err() != nil {
				return
			}
			checks++
			w.WriteHeader(http.StatusUnauthorized)
		})
		h := newGuard(t, newLimiter(t, ratelimit.Config{}), login.Config{}).Handler(check)
		gone, leave := context.WithCancel(t.Context())
		leave()
		for range 20 {
			for range 4 {
				serve(h, attempt("10.0.0.1", "alice", "guess"))
			}
			serve(h, attempt("10.0.0.1", "alice", "guess").WithContext(gone)) // counts, too
		}
		assert.Equal(t, 4, checks)
	})
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errors.New("the backend is down") }

// If a backend fails, that clears no account, and counts.
func TestFailingBackendIsNoSuccess(t *testing.T) {
	down := false
	check := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !down {
			w.WriteHeader(401)
		} else if _, err := io.Copy(w, io.MultiReader(failingReader{})); err != nil {
			w.WriteHeader(502)
		}
	})
	srv := httptest.NewServer(newGuard(t, newLimiter(t, ratelimit.Config{}), login.Config{}).Handler(check))
	defer srv.Close()
	checked := 0
	for i := range 20 {
		down = i%3 == 2
		resp, err := http.PostForm(srv.URL, map[string][]string{"user": {"alice"}, "password": {"guess"}})
		require.NoError(t, err)
		_ = resp.Body.Close()
		if resp.StatusCode == 401 {
			checked++
		}
	}
	assert.Equal(t, 4, checked, "of five attempts that count, the third met the failure")
}

// If a function panics, the limiter reports it, and the attempt counts where it still can.
func TestPanicsAreReported(t *testing.T) {
	for _, tc := range []struct {
		name      string
		cfg       login.Config
		checks    int64
		remaining remaining // of alice at 10.0.0.1
		report    string
	}{
		{
			"account",
			login.Config{Account: func(*http.Request) string { panic("x") }},
			5,
			remaining{5, 20, 45, 595},
			`ratelimit: rule "login-known": Key: login.Account: panic: x`,
		},
		{
			"address",
			login.Config{ClientIP: panicking()},
			20,
			remaining{5, 0, 50, 580},
			`ratelimit: rule "login-known": Key: login.ClientIP: panic: y`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var errs []string
				hooks := ratelimit.Hooks{Error: func(_ context.Context, err error) { errs = append(errs, err.Error()) }}
				s := newRoute(t, newLimiter(t, ratelimit.Config{Hooks: hooks}), tc.cfg)
				require.Equal(t, 401, s.try("10.0.0.1", "alice", "guess"))
				assert.Equal(t, []string{tc.report}, errs)
				for range 30 {
					s.try("10.0.0.1", "alice", "guess")
				}
				assert.Equal(t, tc.checks, s.checks.Load())
				assert.Equal(t, tc.remaining, remainingOf(s.state(t, "alice", "10.0.0.1")))
				assert.Len(t, errs, 31)
			})
		})
	}
}

// panicking returns a Source that panics for every request.
func panicking() clientip.Source {
	return clientip.Header("X-Real-IP", clientip.TrustedHops(1).If(func(*http.Request) bool { panic("y") }))
}

// A handler that replaces the context of its request loses the attempt. Its failures still count,
// and its successes clear nothing.
func TestReplacedContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(t, newLimiter(t, ratelimit.Config{}), login.Config{})
		s := &route{Guard: g}
		s.Handler = g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			*r = *r.WithContext(context.Background())
			if r.PostFormValue("password") != "secret" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			w.WriteHeader(http.StatusOK)
		}))
		for range 4 {
			require.Equal(t, 401, s.try("10.0.0.1", "alice", "oops"))
		}
		require.Equal(t, 200, s.try("10.0.0.1", "alice", "secret"))
		require.Equal(t, 401, s.try("10.0.0.1", "alice", "oops"))
		assert.Equal(t, 429, s.try("10.0.0.1", "alice", "secret"))
	})
}
