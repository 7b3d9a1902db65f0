package ratelimit_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/login"
	"github.com/ratelimit-go/ratelimit/shed"
)

// A nil handler panics when it is wrapped, and not on each request.
func TestNilHandlers(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{})
	shedder, err := shed.New(shed.Config{MaxInFlight: 1, TargetLatency: time.Second})
	require.NoError(t, err)
	guard, err := login.New(l, login.Config{Account: field("User")})
	require.NoError(t, err)
	for _, tc := range []struct {
		want string
		wrap func(http.Handler) http.Handler
	}{
		{"ratelimit: Handler: nil handler", l.Handler},
		{"ratelimit: decorator: nil handler", l.Limit("1/s")},
		{"ratelimit: decorator: nil handler", guard.Handler},
		{"shed: Handler: nil handler", shedder.Handler},
	} {
		assert.PanicsWithValue(t, tc.want, func() { tc.wrap(nil) })
		assert.PanicsWithValue(t, tc.want, func() { tc.wrap(http.HandlerFunc(nil)) })
	}
}

// What the caller changes after New has no effect, not even when the rules are compiled again.
func TestRulesAreCopied(t *testing.T) {
	r, d, routed := rule("r", "5 per hour"), rule("d", "6 per hour"), rule("routed", "8 per hour")
	r.Block = &ratelimit.Block{After: ratelimit.Per(1, time.Hour), When: ratelimit.StatusIn(404)}
	d.Methods = []string{"GET"}
	cfg := ratelimit.Config{
		Rules: []ratelimit.Rule{r}, Routes: map[string][]ratelimit.Rule{"/routed": {routed}},
		Budgets:      []ratelimit.Budget{{Name: "b", Limits: ratelimit.MustParse("7 per hour")}},
		ExemptRoutes: []string{"/exempt"},
	}
	l := newLimiter(t, cfg)
	decorators := []ratelimit.Rule{d}
	decorated := l.With(decorators...)(ok)
	for _, limits := range []ratelimit.Limits{r.Limits, d.Limits, routed.Limits, cfg.Budgets[0].Limits} {
		limits[0] = ratelimit.Per(-1, 0)
	}
	r.Block.When, d.Methods[0], decorators[0].Name = nil, "get", ""
	cfg.Rules[0].Name, cfg.Routes["/routed"][0].Name, cfg.ExemptRoutes[0] = "", "", "no pattern"
	cfg.Routes["no pattern"] = nil

	set := rule("b", "9 per hour")
	set.Name = "routed"
	require.NoError(t, l.SetRules(set))
	set.Limits[0] = ratelimit.Per(-1, 0)
	require.NoError(t, l.SetMode("d", ratelimit.Enforce)) // which compiles all rules again
	for name, want := range map[string]int64{"r": 5, "d": 6, "routed": 9, "b": 7} {
		got, err := l.Peek(t.Context(), name, client())
		require.NoError(t, err)
		assert.Equal(t, want, got.Limit.Count, name)
	}
	assert.Equal(t, 200, serve(decorated, with()).Code)
	assert.Equal(t, []int{404, 429}, codes(l.Handler(http.NotFoundHandler()), at("/routed"), at("/routed")))
}
