package login_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/clientip"
	"github.com/ratelimit-go/ratelimit/login"
)

// Replace keeps what was counted, which pairs are known, and which pairs are blocked.
func TestReplaceKeepsWhatWasCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, ratelimit.Config{})
		s := newRoute(t, l, login.Config{Block: block("5 per hour")})
		require.Equal(t, 200, s.try("10.0.0.1", "alice", "secret"))
		for range 5 {
			require.Equal(t, 401, s.try("10.0.0.2", "bob", "guess"))
		}
		for range 3 {
			require.Equal(t, 401, s.try("10.0.0.3", "carol", "oops"))
		}
		require.NoError(t, s.Replace(login.Config{
			Account: login.FormField("user"), Succeeded: ratelimit.StatusIn(200), PerPair: ratelimit.MustParse("10 per 15 minutes"),
			PerAccount: ratelimit.MustParse("30 per hour"), Block: block("20 per hour"), Remember: 60 * day,
		}))
		assert.True(t, s.state(t, "alice", "10.0.0.1").Known)
		assert.Equal(t, ratelimit.ReasonBlocked, s.state(t, "bob", "10.0.0.2").Pair.Reason)
		assert.Equal(t, remaining{7, 27, 47, 592}, remainingOf(s.state(t, "carol", "10.0.0.3")))
		for range 7 {
			assert.Equal(t, 401, s.try("10.0.0.3", "carol", "oops"))
		}
		assert.Equal(t, 429, s.try("10.0.0.3", "carol", "secret"))

		require.Equal(t, 200, s.try("10.0.0.4", "dave", "secret"))
		time.Sleep(59 * day)
		assert.True(t, s.state(t, "dave", "10.0.0.4").Known, "by the new Remember")
		time.Sleep(day)
		assert.False(t, s.state(t, "dave", "10.0.0.4").Known)
	})
}

// Every field is replaced, from the next request on.
func TestReplaceReplacesEveryField(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRoute(t, newLimiter(t, ratelimit.Config{}), login.Config{})
		replace := func(cfg login.Config) {
			if cfg.Account == nil {
				cfg.Account = login.FormField("user")
			}
			require.NoError(t, s.Replace(cfg))
		}
		mallory := func(password string) int {
			r := attempt("10.0.0.1", "mallory", password)
			r.Header.Set("X-Real-IP", "203.0.113.7")
			return serve(s, r).Code
		}

		replace(login.Config{Account: login.FormField("other")})
		require.Equal(t, 401, mallory("guess"))
		assert.Equal(t, remaining{5, 20, 49, 599}, remainingOf(s.state(t, "mallory", "10.0.0.1")))

		replace(login.Config{ClientIP: clientip.Header("X-Real-IP", clientip.TrustedHops(1))})
		require.Equal(t, 401, mallory("guess"))
		assert.Equal(t, remaining{4, 19, 49, 598}, remainingOf(s.state(t, "mallory", "203.0.113.7")))

		replace(login.Config{Failed: ratelimit.StatusIn(200), Succeeded: ratelimit.StatusIn(401)})
		require.Equal(t, 401, mallory("guess"))
		assert.True(t, s.state(t, "mallory", "10.0.0.1").Known, "a 401 is a success now")
		require.Equal(t, 200, mallory("secret"))
		assert.Equal(t, int64(4), s.state(t, "mallory", "10.0.0.1").Pair.Remaining)

		replace(login.Config{Mode: ratelimit.DryRun})
		for range 30 {
			require.Equal(t, 401, mallory("guess"))
		}
		replace(login.Config{})
		assert.Equal(t, 429, mallory("guess"))
	})
}

// A mistake replaces nothing, and all mistakes are told at once.
func TestReplaceWithMistakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, ratelimit.Config{})
		s := newRoute(t, l, login.Config{Name: "admin"})
		user, none := login.FormField("user"), ratelimit.Limits{{}}
		for _, tc := range []struct {
			name   string
			cfg    login.Config
			fields []string
		}{
			{"another name", login.Config{Account: user}, []string{"login.Name"}},
			{"limits", login.Config{Name: "admin", Account: user, Total: none, PerPair: none}, []string{"login.PerPair", "login.Total"}},
			{
				"all at once",
				login.Config{Name: "other", Remember: -1, Mode: "soft"},
				[]string{"login.Account", "login.Remember", "login.Name", "login.Mode"},
			},
			{"name and limit", login.Config{Account: user, PerAccount: none}, []string{"login.Name", "login.PerAccount"}},
		} {
			assert.Equal(t, tc.fields, fieldsOf(t, s.Replace(tc.cfg)), tc.name)
		}
		require.EqualError(t, s.Replace(login.Config{Account: user}),
			`ratelimit: login.Name: "login": want "admin", because a Guard keeps its name`)
		for i := range 6 {
			assert.Equal(t, i < 5, s.try("10.0.0.1", "alice", "oops") == 401, "attempt %d", i)
		}
	})
}

// Prepare changes nothing until its rules are in force and done is called.
func TestPrepareIsTheFirstHalfOfReplace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, ratelimit.Config{})
		s := newRoute(t, l, login.Config{})
		cfg := login.Config{Account: login.FormField("user"), PerPair: ratelimit.MustParse("2 per hour")}
		_, _, err := s.Prepare(login.Config{Name: "other"})
		assert.Equal(t, []string{"login.Account", "login.Name"}, fieldsOf(t, err))

		_, done, err := s.Prepare(cfg)
		require.NoError(t, err)
		done(false)
		for i := range 3 {
			assert.Equal(t, 401, s.try("10.0.0.1", "alice", "oops"), "attempt %d", i)
		}
		rules, done, err := s.Prepare(cfg)
		require.NoError(t, err)
		require.NoError(t, l.SetPolicy(ratelimit.Policy{}, rules...))
		done(true)
		assert.Equal(t, 429, s.try("10.0.0.1", "alice", "oops"), "three of two have failed")
	})
}
