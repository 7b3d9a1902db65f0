package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// A loginServer is a login route with one account, "alice", behind the limits of a login.
type loginServer struct {
	http.Handler
	checks atomic.Int64 // passwords that were checked
}

func newLoginServer(t testing.TB, l *ratelimit.Limiter, login ratelimit.Login) *loginServer {
	t.Helper()
	s := new(loginServer)
	if login.Account == nil {
		login.Account = ratelimit.FormField("user")
	}
	s.Handler = l.Login(login)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.checks.Add(1)
		if r.PostFormValue("password") != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	return s
}

func attempt(address, user, password string) *http.Request {
	r := httptest.NewRequest("POST", "/login", strings.NewReader("user="+user+"&password="+password))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.RemoteAddr = address + ":1"
	return r
}

func (s *loginServer) try(address, user, password string) int {
	return serve(s, attempt(address, user, password)).Code
}

func address(i int) string { return fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255) }

// Each attack, with as many attempts at once as it likes: what reaches the password check is
// the limit, exactly.
func TestLoginAttacks(t *testing.T) {
	const attempts = 2000
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
			synctest.Test(t, func(t *testing.T) { // in which no token flows in meanwhile
				s := newLoginServer(t, newLimiter(t, ratelimit.Config{}), ratelimit.Login{})
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

func TestLoginOnlyFailuresCount(t *testing.T) {
	s := newLoginServer(t, newLimiter(t, ratelimit.Config{}), ratelimit.Login{})
	for range 1000 {
		require.Equal(t, 200, s.try("10.0.0.1", "alice", "secret"))
	}
}

// No stranger can lock an account out for an address that its owner has used before.
func TestLoginStrangersLockNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, ratelimit.Config{})
		s := newLoginServer(t, l, ratelimit.Login{Total: ratelimit.MustParse("40 per hour")})
		require.Equal(t, 200, s.try("10.0.0.1", "alice", "secret"))
		for i := range 100 {
			s.try(address(1000+i), "alice", "guess")
			s.try(address(2000+i), fmt.Sprint("user", i), "guess")
		}
		assert.Equal(t, 429, s.try("10.0.0.2", "alice", "secret"), "an address that was never used")
		assert.Equal(t, 401, s.try("10.0.0.1", "alice", "oops"), "the owner mistypes")
		assert.Equal(t, 200, s.try("10.0.0.1", "alice", "secret"))
		time.Sleep(29 * 24 * time.Hour)
		for i := range 100 {
			s.try(address(1000+i), "alice", "guess")
		}
		assert.Equal(t, 200, s.try("10.0.0.1", "alice", "secret"), "remembered for 30 days, from now on")
		time.Sleep(2 * 24 * time.Hour)
		for i := range 100 {
			s.try(address(1000+i), "alice", "guess")
		}
		assert.Equal(t, 401, s.try("10.0.0.1", "alice", "oops"), "two days later, too")
		time.Sleep(28*24*time.Hour + 1)
		for i := range 100 {
			s.try(address(1000+i), "alice", "guess")
		}
		assert.Equal(t, 429, s.try("10.0.0.1", "alice", "secret"), "and no longer")
	})
}

// Nor can one at the same address, by failing on other accounts.
func TestLoginNeighboursLockNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLoginServer(t, newLimiter(t, ratelimit.Config{}), ratelimit.Login{})
		require.Equal(t, 200, s.try("10.0.0.1", "alice", "secret"))
		for i := range 100 {
			s.try("10.0.0.1", fmt.Sprint("user", i), "guess")
		}
		assert.Equal(t, 429, s.try("10.0.0.1", "bob", "guess"))
		assert.Equal(t, 200, s.try("10.0.0.1", "alice", "secret"))
	})
}

// Who goes on is blocked, for twice as long each time; an owner who stops is not.
func TestLoginDelayGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, ratelimit.Config{})
		s := newLoginServer(t, l, ratelimit.Login{})
		wait := func() time.Duration {
			w := serve(s, attempt("10.0.0.1", "alice", "guess"))
			require.Equal(t, 429, w.Code)
			secs, err := strconv.Atoi(w.Header().Get("Retry-After"))
			require.NoError(t, err)
			return time.Duration(secs) * time.Second
		}
		var blocks []time.Duration
		for range 9 {
			for range 12 { // failures, and refusals: the tenth blocks
				s.try("10.0.0.1", "alice", "guess")
			}
			blocks = append(blocks, wait())
			time.Sleep(blocks[len(blocks)-1])
		}
		m := time.Minute
		assert.Equal(t, []time.Duration{15 * m, 30 * m, 60 * m, 120 * m, 240 * m, 480 * m, 960 * m, 1440 * m, 1440 * m}, blocks)
		for range 12 {
			s.try("10.0.0.1", "alice", "guess")
		}
		require.Len(t, l.Blocked(), 1)
		require.NoError(t, l.Unblock(t.Context(), "login-pair", l.Blocked()[0].Key))
		require.NoError(t, l.Reset(t.Context(), "login-pair", ratelimit.JoinKeys(ratelimit.UserKey("alice"), ratelimit.AddrKey(netip.MustParseAddr("10.0.0.1")))))
		assert.Equal(t, 200, s.try("10.0.0.1", "alice", "secret"))
	})
}

// A known pair is limited as well: the address may be shared with an attacker.
func TestLoginKnownPairIsLimited(t *testing.T) {
	s := newLoginServer(t, newLimiter(t, ratelimit.Config{}), ratelimit.Login{})
	require.Equal(t, 200, s.try("10.0.0.1", "alice", "secret"))
	for range 10 {
		s.try("10.0.0.1", "alice", "guess")
	}
	assert.Equal(t, int64(1+5), s.checks.Load())
}

func TestLoginSuccessClears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLoginServer(t, newLimiter(t, ratelimit.Config{}), ratelimit.Login{PerAddress: ratelimit.MustParse("5 per hour")})
		for range 2 {
			for range 4 {
				require.Equal(t, 401, s.try("10.0.0.1", "alice", "oops"))
			}
			require.Equal(t, 200, s.try("10.0.0.1", "alice", "secret"), "4 failures of 5 are forgotten")
		}
		require.Equal(t, 401, s.try("10.0.0.1", "bob", "guess"))
		assert.Equal(t, 429, s.try("10.0.0.1", "carol", "guess"), "those of the address are not: there were 5 before the pair was known")
		assert.Equal(t, 401, s.try("10.0.0.2", "alice", "guess"))
	})
}

// The owner's success makes good what strangers have failed.
func TestLoginSuccessClearsTheAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLoginServer(t, newLimiter(t, ratelimit.Config{}), ratelimit.Login{PerAccount: ratelimit.MustParse("3 per hour")})
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
func TestLoginFailuresByHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checks := 0
		h := newLimiter(t, ratelimit.Config{}).Login(ratelimit.Login{
			Account: ratelimit.FormField("user"),
			Failed:  func(res ratelimit.Response) bool { return res.Header.Get("X-Login") == "failed" },
		})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			checks++
			w.Header().Set("X-Login", "failed")
		}))
		for range 20 {
			serve(h, attempt("10.0.0.1", "alice", "guess"))
		}
		assert.Equal(t, 5, checks)
	})
}

// The account is what is meant, however it is typed; what cannot be read is one account more.
func TestLoginAccountSpelling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLoginServer(t, newLimiter(t, ratelimit.Config{}), ratelimit.Login{})
		for i, user := range []string{"bob", "BOB", "Bob+", "%20bob", "bob%09", "bOb", "bob"} {
			assert.Equal(t, i < 5, s.try("10.0.0.1", user, "x") == 401, "%q", user)
		}
		for i := range 30 {
			assert.Equal(t, i < 20, s.try(address(i), "", "x") == 401, "attempt %d without an account", i)
		}
	})
}

// Two instances with one store are one.
func TestLoginFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := ratelimit.NewMemoryStore(ratelimit.MemoryConfig{})
		a := newLoginServer(t, newLimiter(t, ratelimit.Config{Store: store}), ratelimit.Login{})
		b := newLoginServer(t, newLimiter(t, ratelimit.Config{Store: store}), ratelimit.Login{})
		require.Equal(t, 200, a.try("10.0.0.1", "alice", "secret"))
		for i := range 60 {
			[]*loginServer{a, b}[i%2].try(address(1000+i), "alice", "guess")
		}
		assert.Equal(t, int64(1+20), a.checks.Load()+b.checks.Load())
		assert.Equal(t, 200, b.try("10.0.0.1", "alice", "secret"), "known to the other instance")
	})
}

// A store without room knows nobody, in place of everybody.
func TestLoginKnownWithoutRoom(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{Store: ratelimit.NewMemoryStore(ratelimit.MemoryConfig{MaxKeys: 1})})
	s := newLoginServer(t, l, ratelimit.Login{PerAccount: ratelimit.MustParse("2 per hour")})
	require.Equal(t, 401, s.try("10.0.0.9", "dave", "guess"), "takes the only place")
	require.Equal(t, 200, s.try("10.0.0.7", "carol", "secret"), "takes what is shared by known pairs without room")
	require.Equal(t, 401, s.try("10.0.0.6", "alice", "guess"))
	require.Equal(t, 401, s.try("10.0.0.5", "alice", "guess"))
	assert.Equal(t, 429, s.try("10.0.0.8", "alice", "secret"))
}

func TestLoginWithoutAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLoginServer(t, newLimiter(t, ratelimit.Config{}), ratelimit.Login{})
		for range 60 {
			r := attempt("10.0.0.1", "alice", "guess")
			r.RemoteAddr = "@"
			serve(s, r)
		}
		assert.Equal(t, int64(20), s.checks.Load(), "the account's limit is left")
	})
}

// While the store is away, logins are what they were chosen to be, whatever the other rules are.
func TestLoginWithoutStore(t *testing.T) {
	for policy, want := range map[ratelimit.FailurePolicy][]int{
		ratelimit.FailOpen: {401, 401, 401, 401}, ratelimit.FailClosed: {503, 503, 503, 503}, ratelimit.UseMemory: {401, 401, 429, 429},
	} {
		s := newLoginServer(t, deadLimiter(t, ratelimit.Config{}), ratelimit.Login{
			OnStoreFailure: policy, PerPair: ratelimit.MustParse("2 per hour"),
		})
		var got []int
		for range want {
			got = append(got, s.try("192.0.2.1", "alice", "guess"))
		}
		assert.Equal(t, want, got)
	}
}

// What is to be done in the store for one attempt is done together.
func TestLoginCallsOfTheStore(t *testing.T) {
	store := newTripStore()
	l := newLimiter(t, ratelimit.Config{Store: store, OnStoreFailure: ratelimit.FailClosed})
	s := newLoginServer(t, l, ratelimit.Login{})
	calls := func(address, user, password string, status int) int64 {
		before := store.trips.Load()
		assert.Equal(t, status, s.try(address, user, password))
		return store.trips.Load() - before
	}
	assert.Equal(t, int64(4), calls("10.0.0.1", "alice", "secret", 200), "an unknown pair succeeds")
	assert.Equal(t, int64(4), calls("10.0.0.1", "alice", "secret", 200), "a known pair succeeds")
	for range 5 {
		assert.Equal(t, int64(3), calls("10.0.0.2", "alice", "guess", 401))
	}
	for range 4 {
		assert.Equal(t, int64(3), calls("10.0.0.2", "alice", "guess", 429))
	}
	assert.Equal(t, int64(4), calls("10.0.0.2", "alice", "guess", 429), "which blocks the pair")
	assert.Equal(t, int64(0), calls("10.0.0.2", "alice", "guess", 429), "blocked")
	assert.Equal(t, int64(3), calls("10.0.0.2", "bob", "guess", 401), "another pair")
}

// A block that was lifted in another process is noticed here.
func TestLoginUnblockedElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := ratelimit.Config{Store: newTripStore(), OnStoreFailure: ratelimit.FailClosed}
		here, there := newLimiter(t, cfg), newLimiter(t, cfg)
		login := ratelimit.Login{Penalty: &ratelimit.Penalty{After: ratelimit.PerHour(1), For: time.Hour}}
		s := newLoginServer(t, here, login)
		newLoginServer(t, there, login)
		for range 6 {
			s.try("10.0.0.1", "alice", "guess")
		}
		require.Len(t, here.Blocked(), 1)
		require.NoError(t, there.Unblock(t.Context(), "login-pair", here.Blocked()[0].Key))
		require.NoError(t, there.Reset(t.Context(), "login-pair", here.Blocked()[0].Key))
		for range 11 {
			time.Sleep(time.Second)
			s.try("10.0.0.1", "alice", "secret")
		}
		assert.Equal(t, 200, s.try("10.0.0.1", "alice", "secret"))
	})
}

func TestLoginMistakes(t *testing.T) {
	var errs []string
	l := newLimiter(t, ratelimit.Config{OnError: func(_ context.Context, err error) { errs = append(errs, err.Error()) }})
	assert.PanicsWithValue(t, `ratelimit: Login.Account: nil: want a function, such as FormField("email")`, func() { l.Login(ratelimit.Login{}) })
	assert.Panics(t, func() { l.Login(ratelimit.Login{Account: ratelimit.FormField("u"), Remember: -1}) })
	assert.Panics(t, func() { l.Login(ratelimit.Login{Account: ratelimit.FormField("u"), PerPair: ratelimit.Limits{{}}}) })
	assert.PanicsWithValue(t, `ratelimit: Login.Account: nil: want a function, such as FormField("email")
ratelimit: Login.Address: trusted proxy "proxy": want an address or a prefix such as 10.0.0.0/8
ratelimit: Login.Remember: 8761h0m0s: want at most a year, or 0 for 30 days`, func() {
		l.Login(ratelimit.Login{Address: ratelimit.ByForwardedFor(ratelimit.TrustedProxies("proxy")), Remember: 8761 * time.Hour})
	}, "all at once")
	l.Login(ratelimit.Login{Account: ratelimit.FormField("u")})
	assert.Panics(t, func() { l.Login(ratelimit.Login{Account: ratelimit.FormField("u")}) }, "the names are taken")
	s := newLoginServer(t, l, ratelimit.Login{Name: "other", Account: func(*http.Request) string { panic("x") }})
	assert.Equal(t, 401, s.try("10.0.0.1", "alice", "guess"))
	assert.Equal(t, []string{"ratelimit: Login: Account: panic: x"}, errs)
}

func TestJSONField(t *testing.T) {
	email := ratelimit.JSONField("email")
	big := `{"email":"a"}` + strings.Repeat(" ", 64<<10)
	for _, tc := range []struct{ name, body, want string }{
		{"a field", `{"password":"p","email":"a@b"}`, "a@b"},
		{"another case, as encoding/json has it", `{"EMail":"a@b"}`, "a@b"},
		{"one of several, of which decoders take different ones", `{"email":"x","EMAIL":"a@b"}`, ""},
		{"one that is taken back, which encoding/json ignores", `{"email":"x","email":null}`, ""},
		{"null", `{"email":null}`, ""},
		{"in an object in it", `{"a":{"email":"x"}}`, ""},
		{"something behind the object", `{"email":"a@b"} trailing`, "a@b"},
		{"escapes", `{"em\u0061il":"\u0061@b"}`, "a@b"},
		{"not a string", `{"email":["a"]}`, ""},
		{"no such field", `{}`, ""},
		{"not an object", `["email"]`, ""},
		{"not JSON", `email=a`, ""},
		{"cut off", `{"email":"a@b"`, "a@b"},
		{"cut off in the value", `{"email":"a@`, ""},
		{"a name that is none", `{email:"a@b"}`, ""},
		{"empty", ``, ""},
		{"too large", big, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/", strings.NewReader(tc.body))
			assert.Equal(t, tc.want, email(r))
			body, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			assert.Equal(t, tc.body, string(body), "the handler reads it again")
		})
	}
	assert.Empty(t, email(&http.Request{}))
}

func TestFormField(t *testing.T) {
	for _, tc := range []struct{ name, query, body, want string }{
		{"in the form", "", "user=bob", "bob"},
		{"in the query, where FormValue looks too", "?user=bob", "", ""},
		{"in both", "?user=bob", "user=alice", ""},
		{"twice", "", "user=bob&user=alice", ""},
		{"nowhere", "?x=1", "y=1", ""},
	} {
		r := httptest.NewRequest("POST", "/login"+tc.query, strings.NewReader(tc.body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		assert.Equal(t, tc.want, ratelimit.FormField("user")(r), tc.name)
	}
}

func TestFormFieldIsBounded(t *testing.T) {
	r := attempt("10.0.0.1", strings.Repeat("x", 64<<10), "p")
	assert.Empty(t, ratelimit.FormField("user")(r))
	assert.Equal(t, "bob", ratelimit.FormField("user")(attempt("10.0.0.1", "bob", "p")))
}

// What a Login says nothing of is what the Config says.
func TestLoginFailsAsTheConfigSays(t *testing.T) {
	for policy, want := range map[ratelimit.FailurePolicy]int{ratelimit.FailOpen: 401, ratelimit.FailClosed: 503, ratelimit.UseMemory: 401} {
		l := newLimiter(t, ratelimit.Config{
			Store: failingStore{errors.New("down")}, OnStoreFailure: policy, OnError: func(context.Context, error) {},
		})
		s := newLoginServer(t, l, ratelimit.Login{})
		assert.Equal(t, want, s.try("10.0.0.1", "alice", "guess"), "policy %v", policy)
		stats := l.Stats()
		counts := map[ratelimit.FailurePolicy]int64{ratelimit.FailOpen: stats.Open, ratelimit.FailClosed: stats.Closed, ratelimit.UseMemory: stats.Local}
		assert.Positive(t, counts[policy])
		assert.Equal(t, counts[policy], stats.Open+stats.Closed+stats.Local, "nothing else was done instead, not even to know the pair")
	}
}
