package login_test

import (
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/login"
)

// A Guard keeps its own copy of what its Config points to.
func TestConfigIsCopied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := login.Config{PerPair: ratelimit.MustParse("2 per hour"), Block: &ratelimit.Block{}}
		l := newLimiter(t, ratelimit.Config{})
		s := newRoute(t, l, cfg)
		cfg.PerPair[0].Count = 100
		cfg.Block.When = func(ratelimit.Response) bool {
			t.Error("the limiter saw the change")
			return false
		}
		require.NoError(t, l.SetMode("login-total", ratelimit.Off)) // it compiles all rules again
		assert.Equal(t, 401, s.try("10.0.0.1", "alice", "guess"))
		assert.Equal(t, 401, s.try("10.0.0.1", "alice", "guess"))
		assert.Equal(t, 429, s.try("10.0.0.1", "alice", "guess"))
	})
}

// Only what Succeeded says is a success, and no response that Failed counts as a failure.
func TestWhatASuccessIs(t *testing.T) {
	withCookie := func(res ratelimit.Response) bool { return res.Status == 303 && res.Header.Get("Set-Cookie") != "" }
	always := func(ratelimit.Response) bool { return true }
	for _, tc := range []struct {
		name      string
		succeeded func(ratelimit.Response) bool
		failed    func(ratelimit.Response) bool
		status    int
		cookie    string
		panics    bool
		known     bool
	}{
		{name: "200", status: 200, known: true},
		{name: "303", status: 303},
		{name: "400", status: 400},
		{name: "401", status: 401},
		{name: "500", status: 500},
		{name: "a panic after 200", status: 200, panics: true},
		{name: "303 with a cookie", succeeded: withCookie, status: 303, cookie: "session=1", known: true},
		{name: "303 without a cookie", succeeded: withCookie, status: 303},
		{name: "a failure with a cookie", succeeded: always, failed: ratelimit.StatusIn(403), status: 403, cookie: "session=1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := &route{Guard: newGuard(t, newLimiter(t, ratelimit.Config{}), login.Config{Succeeded: tc.succeeded, Failed: tc.failed})}
			s.Handler = s.Guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if tc.cookie != "" {
					w.Header().Set("Set-Cookie", tc.cookie)
				}
				w.WriteHeader(tc.status)
				if tc.panics {
					panic(http.ErrAbortHandler)
				}
			}))
			if tc.panics {
				assert.PanicsWithValue(t, http.ErrAbortHandler, func() { s.try("10.0.0.1", "alice", "secret") })
			} else {
				assert.Equal(t, tc.status, s.try("10.0.0.1", "alice", "secret"))
			}
			assert.Equal(t, tc.known, s.state(t, "alice", "10.0.0.1").Known)
		})
	}
}
