package login_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/clientip"
	"github.com/ratelimit-go/ratelimit/login"
)

// A mistake has its text in JSON.
func TestMistakesInJSON(t *testing.T) {
	_, err := login.New(newLimiter(t, ratelimit.Config{}), login.Config{Account: login.FormField("user"), Remember: -1})
	got, failed := json.Marshal(err.(interface{ Unwrap() []error }).Unwrap()[0])
	require.NoError(t, failed)
	assert.JSONEq(t, `{"Field":"login.Remember","Err":"-1ns: want a second to a year, or 0 for 30 days"}`, string(got))
}

// fieldsOf returns the fields of the ConfigErrors that err joins.
func fieldsOf(t *testing.T, err error) []string {
	t.Helper()
	joined, ok := err.(interface{ Unwrap() []error })
	require.True(t, ok, "%v", err)
	var fields []string
	for _, err := range joined.Unwrap() {
		var mistake *ratelimit.ConfigError
		require.ErrorAs(t, err, &mistake)
		fields = append(fields, mistake.Field)
	}
	return fields
}

func TestMistakes(t *testing.T) {
	user := login.FormField("user")
	none := ratelimit.Limits{{}}
	for _, tc := range []struct {
		name   string
		cfg    login.Config
		fields []string
	}{
		{"no account", login.Config{}, []string{"login.Account"}},
		{"negative time", login.Config{Account: user, Remember: -1}, []string{"login.Remember"}},
		{"time without a unit", login.Config{Account: user, Remember: 30}, []string{"login.Remember"}},
		{"no limit of a known pair", login.Config{Account: user, PerPair: ratelimit.MustParse("unlimited")}, []string{"login.PerPair"}},
		{
			"no limit of a known pair that its block would notice",
			login.Config{Account: user, PerPair: ratelimit.MustParse("unlimited"), Block: &ratelimit.Block{After: ratelimit.Per(5, hour)}},
			[]string{"login.PerPair"},
		},
		{"long time", login.Config{Account: user, Remember: 365*day + 1}, []string{"login.Remember"}},
		{"limit that is none", login.Config{Account: user, PerPair: none}, []string{"login.PerPair"}},
		{
			"all limits",
			login.Config{
				Account: user, PerPair: none, PerAccount: none, PerAddress: none, PerNetwork: none, Total: none, NewPairs: none,
			},
			[]string{"login.PerPair", "login.PerAccount", "login.PerAddress", "login.PerNetwork", "login.Total", "login.NewPairs"},
		},
		{
			"choices of all rules",
			login.Config{Account: user, Mode: "soft", OnStoreFailure: "wait"},
			[]string{"login.OnStoreFailure", "login.Mode"},
		},
		{"block", login.Config{Account: user, Block: &ratelimit.Block{For: 1}}, []string{"login.Block.For"}},
		{"name", login.Config{Account: user, Name: `"`}, []string{"login.Name"}},
		{
			"all at once",
			login.Config{
				Name: strings.Repeat("x", 60), Remember: 8761 * hour, Total: none,
				ClientIP: clientip.ForwardedFor(clientip.TrustedProxies("proxy", "proxies")),
			},
			[]string{"login.Account", "login.ClientIP", "login.ClientIP", "login.Remember", "login.Name", "login.Total"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newLimiter(t, ratelimit.Config{})
			_, err := login.New(l, tc.cfg)
			assert.Equal(t, tc.fields, fieldsOf(t, err))
			assert.ErrorIs(t, l.SetMode("login-pair", ratelimit.Off), ratelimit.ErrNoRule, "no rule was added")
		})
	}
}

func TestTextOfMistakes(t *testing.T) {
	_, err := login.New(newLimiter(t, ratelimit.Config{}), login.Config{
		ClientIP: clientip.ForwardedFor(clientip.TrustedProxies("proxy")), Remember: 8761 * hour,
	})
	assert.EqualError(t, err, `ratelimit: login.Account: nil: want a function, such as FormField("email")
ratelimit: login.ClientIP: clientip: trusted proxy "proxy": want an address or a prefix such as 10.0.0.0/8
ratelimit: login.Remember: 8761h0m0s: want a second to a year, or 0 for 30 days`)
}

func TestNilLimiter(t *testing.T) {
	g, err := login.New(nil, login.Config{Account: login.FormField("user")})
	assert.Nil(t, g)
	assert.EqualError(t, err, "login: a nil Limiter: want the Limiter of ratelimit.New")
}

// Without a limit of the pair, a block alone stops guesses by a known pair.
func TestBlockWithoutALimitOfPairs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRoute(t, newLimiter(t, ratelimit.Config{}), login.Config{
			PerPair: ratelimit.MustParse("unlimited"), Block: block("5 per hour"),
		})
		require.Equal(t, 200, s.try("10.0.0.1", "alice", "secret"))
		for i := range 10 {
			assert.Equal(t, i < 5, s.try("10.0.0.1", "alice", "oops") == 401)
		}
	})
}

// A Block without a When blocks an attacker who waits for each token, as the default does.
func TestBlockWithoutAWhen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRoute(t, newLimiter(t, ratelimit.Config{}), login.Config{
			PerPair: ratelimit.MustParse("5 per hour"), Block: &ratelimit.Block{After: ratelimit.Per(10, 24*hour), For: day},
		})
		for i := range 20 {
			assert.Equal(t, i < 10, s.try("10.0.0.1", "alice", "oops") == 401, "guess %d", i)
			time.Sleep(12 * time.Minute)
		}
	})
}

// Two Guards of one name would share their buckets.
func TestNameThatIsTaken(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{})
	newGuard(t, l, login.Config{})
	_, err := login.New(l, login.Config{Account: login.FormField("user")})
	assert.Equal(t, []string{"login.Name"}, fieldsOf(t, err))
	assert.ErrorContains(t, err, `ratelimit: login.Name: "login-known" is the name of another rule`)
	newGuard(t, l, login.Config{Name: "other"})
}
