package login_test

import (
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/login"
)

// A Guard keeps its own copy of what its Config points to.
func TestConfigIsCopied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := login.Config{PerPair: ratelimit.MustParse("2 per hour"), Block: &ratelimit.Block{}}
		s := newRoute(t, newLimiter(t, ratelimit.Config{}), cfg)
		cfg.PerPair[0].Count = 100
		cfg.Block.When = func(ratelimit.Response) bool { panic("changed") }
		assert.Equal(t, 401, s.try("10.0.0.1", "alice", "guess"))
		assert.Equal(t, 401, s.try("10.0.0.1", "alice", "guess"))
		assert.Equal(t, 429, s.try("10.0.0.1", "alice", "guess"))
	})
}

// A status below 400 is a success unless Succeeded says otherwise.
func TestWhatASuccessIs(t *testing.T) {
	withCookie := func(res ratelimit.Response) bool { return res.Status == 303 && res.Header.Get("Set-Cookie") != "" }
	for _, tc := range []struct {
		name      string
		succeeded func(ratelimit.Response) bool
		status    int
		cookie    string
		known     bool
	}{
		{"200", nil, 200, "", true},
		{"303", nil, 303, "", true},
		{"400", nil, 400, "", false},
		{"401", nil, 401, "", false},
		{"500", nil, 500, "", false},
		{"a panic", nil, 0, "", false},
		{"303 with a cookie", withCookie, 303, "session=1", true},
		{"303 without a cookie", withCookie, 303, "", false},
		{"a failure with a cookie", func(ratelimit.Response) bool { return true }, 403, "session=1", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := &route{Guard: newGuard(t, newLimiter(t, ratelimit.Config{}), login.Config{Succeeded: tc.succeeded})}
			s.Handler = s.Guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if tc.status == 0 {
					panic(http.ErrAbortHandler)
				}
				if tc.cookie != "" {
					w.Header().Set("Set-Cookie", tc.cookie)
				}
				w.WriteHeader(tc.status)
			}))
			if tc.status == 0 {
				assert.Panics(t, func() { s.try("10.0.0.1", "alice", "secret") })
			} else {
				assert.Equal(t, tc.status, s.try("10.0.0.1", "alice", "secret"))
			}
			assert.Equal(t, tc.known, s.state(t, "alice", "10.0.0.1").Known)
		})
	}
}
