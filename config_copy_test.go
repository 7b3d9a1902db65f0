package ratelimit_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/clientip"
)

// A Limiter compiles its rules again at each change. What callers write into their slices, maps and
// Blocks meanwhile must not show.
func TestConfigsAreCopied(t *testing.T) {
	block := ratelimit.Block{After: ratelimit.Per(5, time.Minute)}
	all := rule("all", "9 per hour")
	all.Methods, all.Block = []string{"GET"}, &block
	route, budget, decorating := rule("route", "9 per hour"), rule("budget", "9 per hour"), rule("decorating", "9 per hour")
	codes := []int{401}
	counting := counting("counting", "9 per hour", ratelimit.StatusIn(codes...))
	keyers := []ratelimit.Keyer{ratelimit.ByHeader("X-None"), ratelimit.ByClientIP()}
	all.Key, route.Key = ratelimit.FirstOf(keyers...), ratelimit.AllOf(keyers[1:]...)
	proxies := []string{"192.0.2.1"}
	cfg := ratelimit.Config{
		Rules: []ratelimit.Rule{all, counting}, Routes: map[string][]ratelimit.Rule{"/": {route}}, ExemptRoutes: []string{"/free"},
		Budgets:  []ratelimit.Budget{{Name: "budget", Limits: budget.Limits}},
		ClientIP: clientip.ForwardedFor(clientip.TrustedProxies(proxies...)),
	}
	l := newLimiter(t, cfg)
	h := l.With(decorating)(ok)

	bad := ratelimit.Per(1, time.Hour)
	all.Limits[0], route.Limits[0], budget.Limits[0], decorating.Limits[0] = bad, bad, bad, bad
	all.Methods[0], codes[0], proxies[0], block.After = "POST", 200, "203.0.113.1", ratelimit.Limit{Count: -1}
	keyers[0], keyers[1] = nil, nil
	cfg.Rules[0], cfg.Routes["/"], cfg.ExemptRoutes[0] = ratelimit.Rule{}, nil, "/"
	cfg.Budgets[0].Name = "?"

	require.NoError(t, l.SetMode("all", ratelimit.Enforce), "the rules are compiled again")
	replaced := rule("route", "9 per hour")
	require.NoError(t, l.SetRules(replaced))
	replaced.Limits[0] = bad
	require.NoError(t, l.SetMode("all", ratelimit.Enforce))

	w := serve(l.Handler(h), with("X-Forwarded-For", "198.51.100.1"))
	assert.Equal(t, "all counting route decorating", rulesIn(w.Header()))
	for _, name := range []string{"all", "route", "budget", "decorating"} {
		d, err := l.Peek(t.Context(), name, client())
		require.NoError(t, err)
		assert.Equal(t, ratelimit.Per(9, time.Hour).Count, d.Limit.Count, name)
	}
	assert.Equal(t, "", rulesIn(serve(l.Handler(ok), at("/free")).Header()))
}

// Fields of responses name limits by their rule and number. No two limits have one name.
func TestNamesOfLimitsClash(t *testing.T) {
	two := rule("r", "1 per second; 2 per hour")
	plans := rule("r", "1 per second")
	plans.LimitsFor = func(context.Context, ratelimit.Key) ratelimit.Limits { return nil }
	hidden := rule("r", "1 per second; 2 per hour")
	hidden.OmitHeaders = true
	for _, tc := range []struct {
		name  string
		rules []ratelimit.Rule
		ok    bool
	}{
		{"a name with the number of a limit", []ratelimit.Rule{two, rule("r-1", "1 per hour")}, false},
		{"in the other order", []ratelimit.Rule{rule("r-2", "1 per hour"), two}, false},
		{"a number that LimitsFor can make", []ratelimit.Rule{rule("r-16", "1 per hour"), plans}, false},
		{"a number of no limit", []ratelimit.Rule{two, rule("r-3", "1 per hour")}, true},
		{"beside one limit", []ratelimit.Rule{rule("r", "1 per hour"), rule("r-1", "1 per hour")}, true},
		{"numbers after numbers", []ratelimit.Rule{two, rule("r-1", "1 per hour; 2 per day")}, true},
		{"a rule that responses do not show", []ratelimit.Rule{hidden, rule("r-1", "1 per hour")}, true},
	} {
		_, err := ratelimit.New(ratelimit.Config{Rules: tc.rules})
		if tc.ok {
			assert.NoError(t, err, tc.name)
			continue
		}
		assert.ErrorContains(t, err, "ratelimit: Rules[1].Name: ", tc.name)
		assert.ErrorContains(t, err, "would name a limit", tc.name)
	}
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{two}})
	_, err := l.Decorator(rule("r-2", "1 per hour"))
	assert.ErrorContains(t, err, `"r-2": fields of a response would name a limit "r-2", as one of rule "r"`)
}

// A nil handler would panic at each request.
func TestNilHandlers(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{})
	decorate := l.Limit("1 per hour")
	for _, h := range []http.Handler{nil, http.HandlerFunc(nil)} {
		assert.PanicsWithValue(t, "ratelimit: nil handler", func() { l.Handler(h) })
		assert.PanicsWithValue(t, "ratelimit: nil handler", func() { decorate(h) })
	}
}

// A Block of a key that is everybody would let one client block all others.
func TestBlockOfEverybody(t *testing.T) {
	by, everybody := ratelimit.ByClientIP(), ratelimit.Global("all")
	for name, tc := range map[string]struct {
		key ratelimit.Keyer
		ok  bool
	}{
		"everybody":           {everybody, false},
		"the pattern":         {ratelimit.ByPattern(), false},
		"both":                {ratelimit.AllOf(everybody, ratelimit.ByPattern()), false},
		"nested":              {ratelimit.AllOf(ratelimit.FirstOf(ratelimit.AllOf(everybody))), false},
		"or else everybody":   {ratelimit.FirstOf(ratelimit.ByHeader("X-Key"), everybody), false},
		"the address":         {by, true},
		"no Key":              {nil, true},
		"the address of each": {ratelimit.AllOf(by, ratelimit.ByPattern()), true},
	} {
		r := rule("r", "1 per hour")
		r.Key, r.Block = tc.key, &ratelimit.Block{After: ratelimit.Per(10, time.Minute)}
		_, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{r}})
		if tc.ok {
			assert.NoError(t, err, name)
		} else {
			assert.ErrorContains(t, err, "ratelimit: Rules[0].Block: the Key does not tell clients apart", name)
		}
		r.Block = new(ratelimit.Block)
		_, err = ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{r}})
		assert.NoError(t, err, "by hand only: "+name)
	}
}
