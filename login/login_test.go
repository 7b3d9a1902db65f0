package login_test

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/login"
)

// All that one attempt needs of the store is done in as few calls as possible.
func TestCallsOfTheStore(t *testing.T) {
	store := newCounting()
	s := newRoute(t, newLimiter(t, ratelimit.Config{Store: store, OnStoreFailure: ratelimit.FailClosed}), login.Config{})
	calls := func(address, user, password string, status int) int64 {
		before := store.Calls.Load()
		assert.Equal(t, status, s.try(address, user, password))
		return store.Calls.Load() - before
	}
	assert.Equal(t, int64(4), calls("10.0.0.1", "alice", "secret", 200), "an unknown pair succeeds")
	assert.Equal(t, int64(4), calls("10.0.0.1", "alice", "secret", 200), "a known pair succeeds")
	for range 5 {
		assert.Equal(t, int64(3), calls("10.0.0.2", "alice", "guess", 401))
	}
	for range 4 {
		assert.Equal(t, int64(3), calls("10.0.0.2", "alice", "guess", 429))
	}
	assert.Equal(t, int64(4), calls("10.0.0.2", "alice", "guess", 429), "this attempt blocks the pair")
	assert.Equal(t, int64(0), calls("10.0.0.2", "alice", "guess", 429), "blocked")
	assert.Equal(t, int64(3), calls("10.0.0.2", "bob", "guess", 401), "another pair")
	assert.Equal(t, int64(2), calls("10.0.0.2", "", "guess", 401), "without an account no pair is known")
}

// A client that goes on is blocked, for twice as long each time.
func TestBlocksGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, ratelimit.Config{})
		s := newRoute(t, l, login.Config{})
		wait := func() time.Duration {
			w := serve(s, attempt("10.0.0.1", "alice", "guess"))
			require.Equal(t, 429, w.Code)
			secs, err := strconv.Atoi(w.Header().Get("Retry-After"))
			require.NoError(t, err)
			return time.Duration(secs) * time.Second
		}
		var blocks []time.Duration
		for range 9 {
			for range 12 { // failures, and denials: the tenth blocks
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
		pair := ratelimit.JoinKeys(ratelimit.UserKey("alice"), ratelimit.AddrKey(addr("10.0.0.1")))
		require.Equal(t, pair, requireBlocked(t, l))
		require.NoError(t, l.Unblock(t.Context(), "login-pair", pair))
		require.NoError(t, l.Reset(t.Context(), "login-pair", pair))
		assert.Equal(t, 200, s.try("10.0.0.1", "alice", "secret"))
	})
}

func TestInstancesWithOneStoreCountTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := ratelimit.NewMemoryStore(ratelimit.MemoryConfig{})
		a := newRoute(t, newLimiter(t, ratelimit.Config{Store: store}), login.Config{})
		b := newRoute(t, newLimiter(t, ratelimit.Config{Store: store}), login.Config{})
		require.Equal(t, 200, a.try("10.0.0.1", "alice", "secret"))
		for i := range 60 {
			[]*route{a, b}[i%2].try(address(1000+i), "alice", "guess")
		}
		assert.Equal(t, int64(1+20), a.checks.Load()+b.checks.Load())
		assert.Equal(t, 200, b.try("10.0.0.1", "alice", "secret"), "known to the other instance")
	})
}

func TestUnblockedByAnotherInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := ratelimit.Config{Store: newCounting(), OnStoreFailure: ratelimit.FailClosed}
		here, there := newLimiter(t, cfg), newLimiter(t, cfg)
		guarded := login.Config{Block: &ratelimit.Block{After: ratelimit.MustParse("1 per hour")[0], For: hour}}
		s := newRoute(t, here, guarded)
		newRoute(t, there, guarded)
		for range 6 {
			s.try("10.0.0.1", "alice", "guess")
		}
		pair := requireBlocked(t, here)
		require.NoError(t, there.Unblock(t.Context(), "login-pair", pair))
		require.NoError(t, there.Reset(t.Context(), "login-pair", pair))
		for range 11 {
			time.Sleep(time.Second)
			s.try("10.0.0.1", "alice", "secret")
		}
		assert.Equal(t, 200, s.try("10.0.0.1", "alice", "secret"))
	})
}

// While the store fails, logins do what their own OnStoreFailure says.
func TestOwnFailurePolicy(t *testing.T) {
	for _, tc := range []struct {
		policy ratelimit.FailurePolicy
		want   []int
	}{
		{ratelimit.FailOpen, []int{401, 401, 401, 401}},
		{ratelimit.FailClosed, []int{503, 503, 503, 503}},
		{ratelimit.UseMemory, []int{401, 401, 429, 429}},
	} {
		t.Run(string(tc.policy), func(t *testing.T) {
			s := newRoute(t, deadLimiter(t, ratelimit.FailOpen), login.Config{
				OnStoreFailure: tc.policy, PerPair: ratelimit.MustParse("2 per hour"),
			})
			var got []int
			for range tc.want {
				got = append(got, s.try("192.0.2.1", "alice", "guess"))
			}
			assert.Equal(t, tc.want, got)
		})
	}
}

func TestFailurePolicyOfTheLimiter(t *testing.T) {
	for _, tc := range []struct {
		policy ratelimit.FailurePolicy
		want   int
	}{{ratelimit.FailOpen, 401}, {ratelimit.FailClosed, 503}, {ratelimit.UseMemory, 401}} {
		t.Run(string(tc.policy), func(t *testing.T) {
			l := deadLimiter(t, tc.policy)
			s := newRoute(t, l, login.Config{})
			assert.Equal(t, tc.want, s.try("10.0.0.1", "alice", "guess"))
			stats := l.Stats().Store
			counts := map[ratelimit.FailurePolicy]int64{
				ratelimit.FailOpen: stats.FailedOpen, ratelimit.FailClosed: stats.FailedClosed, ratelimit.UseMemory: stats.FailedToMemory,
			}
			assert.Positive(t, counts[tc.policy])
			assert.Equal(t, counts[tc.policy], stats.FailedOpen+stats.FailedClosed+stats.FailedToMemory,
				"no other policy decided, not even whether the pair is known")
		})
	}
}

// A request to which no rule applies is not read, and costs no call of the store.
func TestExemptRequestsAreNotRead(t *testing.T) {
	list := func(prefix string) *ratelimit.List {
		l := new(ratelimit.List)
		require.NoError(t, l.Replace([]string{prefix}))
		return l
	}
	for _, tc := range []struct {
		name string
		cfg  ratelimit.Config
		off  bool
		want int
	}{
		{"exempt", ratelimit.Config{Exempt: func(*http.Request) bool { return true }}, false, 200},
		{"on the allow list", ratelimit.Config{Allow: list("10.0.0.0/8"), Deny: list("10.0.0.0/16")}, false, 200},
		{"on the deny list", ratelimit.Config{Deny: list("10.0.0.0/8")}, false, 403},
		{"switched off", ratelimit.Config{}, true, 200},
	} {
		t.Run(tc.name, func(t *testing.T) {
			store := newCounting()
			tc.cfg.Store, tc.cfg.OnStoreFailure = store, ratelimit.FailClosed
			l := newLimiter(t, tc.cfg)
			l.SetEnabled(!tc.off)
			s := newRoute(t, l, login.Config{Account: func(*http.Request) string {
				t.Error("the request was read")
				return "alice"
			}})
			assert.Equal(t, tc.want, s.try("10.0.0.1", "alice", "secret"))
			assert.Zero(t, store.Calls.Load())
		})
	}
}

// net/http removes the files of a form by the request that it has made. A handler may have parsed
// the form in a copy of that request.
func TestUploadedFilesAreRemoved(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Setenv("TMP", dir) // on Windows
	upload := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		assert.NoError(t, r.ParseMultipartForm(1))
		files, err := os.ReadDir(dir)
		assert.NoError(t, err)
		assert.Len(t, files, 1, "one while the handler runs")
	})
	cfg := login.Config{Account: func(*http.Request) string { return "alice" }}
	srv := httptest.NewServer(newGuard(t, newLimiter(t, ratelimit.Config{}), cfg).Handler(upload))
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	file, err := form.CreateFormFile("f", "f")
	require.NoError(t, err)
	_, err = file.Write(make([]byte, 11<<20)) // more than is kept in memory
	require.NoError(t, err)
	require.NoError(t, form.Close())
	resp, err := http.Post(srv.URL, form.FormDataContentType(), &body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, 200, resp.StatusCode)
	srv.Close()
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, files)
}

// Handlers outside a Guard see which pattern a mux inside it has matched.
func TestPatternIsHandedBack(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(http.ResponseWriter, *http.Request) {})
	r := attempt("10.0.0.1", "alice", "secret")
	require.Equal(t, 200, serve(newGuard(t, newLimiter(t, ratelimit.Config{}), login.Config{}).Handler(mux), r).Code)
	assert.Equal(t, "POST /login", r.Pattern)
}

// All handlers of a Guard share its limits. Another Guard of the limiter has limits of its own.
func TestHandlersShareLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, ratelimit.Config{})
		s := newRoute(t, l, login.Config{})
		other := newRoute(t, l, login.Config{Name: "admin"})
		deny := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
		second := s.Guard.Handler(deny)
		for range 5 {
			require.Equal(t, 403, serve(second, attempt("10.0.0.1", "alice", "guess")).Code)
		}
		assert.Equal(t, 429, s.try("10.0.0.1", "alice", "guess"))
		assert.Equal(t, 401, other.try("10.0.0.1", "alice", "guess"))
	})
}
