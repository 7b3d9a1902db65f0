package login_test

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/clientip"
	"github.com/ratelimit-go/ratelimit/internal/testsize"
	"github.com/ratelimit-go/ratelimit/login"
)

// One network fails for six hours, from as many addresses as it likes, and twenty times as often as
// it may. Honest users who log in for the first time notice nothing. In the smaller size it fails
// for two hours, and six times as often as it may, under a lower total.
func TestOneNetworkCannotUseUpTheTotal(t *testing.T) {
	hours, perHour := testsize.Of(6, 2), testsize.Of(4000, 1200)
	total := ratelimit.Limit{Count: int64(testsize.Of(3600, 600)), Period: time.Hour, Burst: 600}
	cfg := login.Config{Total: ratelimit.Limits{total}}
	for name, from := range map[string]func(i int) string{
		"a /48 of IPv6": func(i int) string { return fmt.Sprintf("[2001:db8:1:%x::1]", i%84) },
		"a /24 of IPv4": func(i int) string { return fmt.Sprintf("203.0.113.%d", i%256) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newRoute(t, newLimiter(t, ratelimit.Config{Hooks: unreported()}), cfg)
				honest, denied := 0, 0
				for i := range hours * perHour {
					s.try(from(i), fmt.Sprint("user", i), "guess")
					if i%12 == 0 {
						honest++
						if s.try(address(honest), fmt.Sprint("honest", honest), "secret") != 200 {
							denied++
						}
					}
					time.Sleep(time.Hour / time.Duration(perHour))
				}
				assert.Equal(t, hours*perHour/12, honest)
				assert.Zero(t, denied)
				assert.Equal(t, int64(honest+200+200*hours-1), s.checks.Load(), "a burst of 200, then 200 per hour")
			})
		})
	}
}

// An account remembers 20 new pairs a day. A pair that it does not remember can log in anyway.
func TestAnAccountRemembersFewPairs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRoute(t, newLimiter(t, ratelimit.Config{Hooks: unreported()}), login.Config{})
		known := func() (n int) {
			for i := range 100 {
				if s.state(t, "mallory", address(i)).Known {
					n++
				}
			}
			return n
		}
		for i := range 100 {
			require.Equal(t, 401, s.try(address(i), "mallory", "oops"))
			require.Equal(t, 200, s.try(address(i), "mallory", "secret"))
			require.Equal(t, int64(20), s.state(t, "mallory", address(i)).Account.Remaining, "a success clears anyway")
		}
		assert.Equal(t, 20, known())
		require.Equal(t, 200, s.try(address(0), "mallory", "secret"), "a known pair is no new pair")
		time.Sleep(72 * time.Minute)
		for i := range 100 {
			s.try(address(i), "mallory", "secret")
		}
		assert.Equal(t, 21, known())
		require.NoError(t, s.Unlock(t.Context(), "mallory"))
		s.try(address(50), "mallory", "secret")
		assert.Equal(t, 22, known(), "support can make room")
	})
}

// The database compares without accents. With Found, all spellings have the limits of one account.
// They are tried for an hour, five times a second, or every three seconds in the smaller size.
func TestSpellingsOfOneAccount(t *testing.T) {
	for name, tc := range map[string]struct{ addresses, checks int }{
		"many addresses": {200, 39}, "one address": {1, 5 + 10},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLimiter(t, ratelimit.Config{Hooks: unreported()})
				checks := 0
				g := newGuard(t, l, login.Config{})
				h := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if d := login.Found(r.Context(), "victim"); !d.Allowed {
						l.Deny(w, r, d)
						return
					}
					checks++
					w.WriteHeader(http.StatusUnauthorized)
				}))
				pause := time.Duration(testsize.Of(200, 3000)) * time.Millisecond
				for i := range time.Hour / pause {
					serve(h, attempt(address(int(i)%tc.addresses), fmt.Sprint("v%C3%ADctim", i%1000), "guess"))
					time.Sleep(pause)
				}
				assert.LessOrEqual(t, checks, tc.checks)
				assert.Positive(t, checks)
			})
		})
	}
}

// Behind the proxy of the README, 60 users mistype once each, and a new user logs in.
func TestLoginBehindTheProxyOfTheREADME(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, ratelimit.Config{
			ClientIP: clientip.ForwardedFor(clientip.TrustedProxies("10.0.0.0/8")),
			Rules:    []ratelimit.Rule{{Name: "per-client", Limits: ratelimit.MustParse("100 per minute")}},
		})
		s := newRoute(t, l, login.Config{})
		h := l.Handler(http.NewCrossOriginProtection().Handler(s))
		try := func(i int, password string) int {
			r := attempt("10.0.0.1", fmt.Sprint("user", i), password)
			r.Header.Set("X-Forwarded-For", fmt.Sprintf("198.51.100.%d", i))
			return serve(h, r).Code
		}
		for i := range 60 {
			require.Equal(t, 401, try(i, "oops"))
		}
		assert.Equal(t, 200, try(60, "secret"))
	})
}

// A misspelled field is reported, and does not deny right passwords at other addresses.
func TestMisspelledField(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var errs []string
		s := newRoute(t, newLimiter(t, ratelimit.Config{Hooks: errorsInto(&errs)}), login.Config{Account: login.FormField("e-mail")})
		denied := 0
		for i := range 200 {
			if s.try(address(i), fmt.Sprint("user", i), []string{"secret", "secret", "secret", "oops"}[i%4]) == 429 {
				denied++
			}
		}
		assert.Zero(t, denied)
		require.Len(t, errs, 1)
		assert.Contains(t, errs[0], "login.Account: attempts have no account")
	})
}
