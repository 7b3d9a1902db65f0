package ratelimit_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/clientip"
	"github.com/ratelimit-go/ratelimit/login"
)

// Behind a proxy that no source names, all clients have one address. Each way in which a limiter
// counts by it reports that once.
func TestWrongDeploymentIsReportedOnce(t *testing.T) {
	user := rule("r", "1000 per hour")
	user.Key = ratelimit.ByUser(field("X-User"))
	either := user
	either.Key = ratelimit.FirstOf(user.Key, ratelimit.ByClientIP())
	named := rule("r", "1000 per hour")
	named.Key = ratelimit.ByIP(clientip.ForwardedFor(clientip.TrustedProxies("10.0.0.1")))
	list := func() *ratelimit.List { return new(ratelimit.List) }
	for name, tc := range map[string]struct {
		cfg  ratelimit.Config
		want string
	}{
		"a rule":             {ratelimit.Config{Rules: []ratelimit.Rule{rule("r", "1000 per hour")}}, "Config.ClientIP trusts no proxy"},
		"a part of a key":    {ratelimit.Config{Rules: []ratelimit.Rule{either}}, "Config.ClientIP trusts no proxy"},
		"a list":             {ratelimit.Config{Deny: list()}, "Config.ClientIP trusts no proxy"},
		"a rule of its own":  {ratelimit.Config{Rules: []ratelimit.Rule{named}}, ""},
		"no rule by address": {ratelimit.Config{Rules: []ratelimit.Rule{user}}, ""},
		"a proxy in the Config": {ratelimit.Config{
			Rules:    []ratelimit.Rule{rule("r", "1000 per hour")},
			ClientIP: clientip.ForwardedFor(clientip.TrustedProxies("10.0.0.0/8")),
		}, ""},
	} {
		var reported []string
		tc.cfg.Hooks.Error = func(_ context.Context, err error) { reported = append(reported, err.Error()) }
		l := newLimiter(t, tc.cfg)
		h := l.Handler(l.With(ratelimit.Rule{Name: "inner", Limits: ratelimit.MustParse("9 per hour"), Key: user.Key})(ok))
		for range 5 {
			serve(h, request("10.0.0.1:1", "X-Forwarded-For", "192.0.2.1"))
		}
		if tc.want == "" {
			assert.Empty(t, reported, name)
			continue
		}
		require.Len(t, reported, 1, name)
		assert.Contains(t, reported[0], tc.want, name)
	}
}

// A login counts by address too.
func TestWrongDeploymentOfALoginIsReported(t *testing.T) {
	for name, src := range map[string]clientip.Source{"of the Config": {}, "of the login": clientip.Remote()} {
		var reported []string
		l := newLimiter(t, ratelimit.Config{Hooks: ratelimit.Hooks{Error: func(_ context.Context, err error) {
			reported = append(reported, err.Error())
		}}})
		guard, err := login.New(l, login.Config{Account: login.FormField("email"), ClientIP: src})
		require.NoError(t, err)
		h := guard.Handler(ok)
		for range 3 {
			serve(h, request("10.0.0.1:1", "X-Real-IP", "192.0.2.1"))
		}
		require.Len(t, reported, 1, name)
		assert.Contains(t, reported[0], "X-Real-Ip is present, but ", name)
	}
}

// Without Hooks.Error it is in the log, also right after another error.
func TestWrongDeploymentIsLogged(t *testing.T) {
	defer slog.SetDefault(slog.Default())
	var log bytes.Buffer
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	r := rule("r", "1000 per hour")
	r.Cost = func(*http.Request) int64 { panic("cost") }
	h := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{r}}).Handler(ok)
	serve(h, with())
	for range 3 {
		serve(h, with("X-Forwarded-For", "192.0.2.1"))
	}
	assert.Equal(t, 1, strings.Count(log.String(), "X-Forwarded-For is present"))
}

// A handler that is wrapped twice is reported once. Decorators within a Handler, other limiters,
// and the requests of a batch are no mistake.
func TestHandlerThatIsWrappedTwice(t *testing.T) {
	var errs []string
	hooks := ratelimit.Hooks{Error: func(_ context.Context, err error) { errs = append(errs, err.Error()) }}
	all, route := rule("all", "1000 per hour"), rule("route", "1000 per hour")
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{all}, Hooks: hooks})
	other := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{all}, Hooks: hooks})
	decorate := l.With(route)
	inner := decorate(ok)
	batch := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for range 3 {
			serve(l.Handler(inner), httptest.NewRequest("GET", "/part", nil).WithContext(r.Context()))
		}
		w.WriteHeader(http.StatusOK)
	})
	for _, h := range []http.Handler{l.Handler(other.Handler(inner)), l.Handler(batch)} {
		require.Equal(t, []int{200, 200}, codes(h, with(), with()))
	}
	require.Empty(t, errs)
	require.Equal(t, []int{200, 200, 200}, codes(l.Handler(decorate(decorate(inner))), with(), with(), with()))
	require.Equal(t, []int{200}, codes(l.Handler(l.Handler(ok)), with()))
	assert.Equal(t, []string{`ratelimit: rule "route": a request passes it twice, and costs twice as much: ` +
		"wrap a handler, or the mux, but not both"}, errs)
}
