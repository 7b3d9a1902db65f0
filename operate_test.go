package ratelimit_test

import (
	"errors"
	"fmt"
	"iter"
	"net/http"
	"reflect"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/login"
	"github.com/ratelimit-go/ratelimit/store"
)

func TestSetPolicy(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{
		Rules:  []ratelimit.Rule{rule("all", "10 per hour"), rule("gone", "1 per hour")},
		Routes: map[string][]ratelimit.Rule{"GET /a": {rule("a", "5 per hour")}},
	})
	h := l.Handler(l.With(rule("decorated", "100 per hour"))(ok))
	assert.Equal(t, []int{200, 429}, codes(h, at("/a"), at("/a")))
	require.NoError(t, l.SetPolicy(ratelimit.Policy{
		Rules:        []ratelimit.Rule{rule("all", "3 per hour")},
		Routes:       map[string][]ratelimit.Rule{"GET /b": {rule("a", "2 per hour")}},
		ExemptRoutes: []string{"GET /free"},
	}))
	assert.Equal(t, []int{200, 200, 429}, codes(h, at("/a"), at("/b"), at("/b")), "one of three, and of two, was spent before")
	assert.Equal(t, 200, serve(h, at("/free")).Code)
	_, err := l.Peek(t.Context(), "gone", ratelimit.UserKey("a"))
	require.ErrorIs(t, err, ratelimit.ErrNoRule)
	require.EqualError(t, err, `ratelimit: no such rule: "gone"`)
	assert.Equal(t, int64(96), remaining(t, l, "decorated"))

	err = l.SetPolicy(ratelimit.Policy{
		Rules:        []ratelimit.Rule{rule("decorated", "1 per hour"), {}},
		Routes:       map[string][]ratelimit.Rule{"bad pattern {": nil},
		ExemptRoutes: []string{"get /free"}, Budgets: []ratelimit.Budget{{Name: "b"}},
	})
	var one *ratelimit.ConfigError
	require.ErrorAs(t, err, &one)
	for _, mistake := range []string{
		`Rules[0].Name: "decorated" is the name of another rule`, "Rules[1].Name", "Rules[1].Limits",
		`Routes["bad pattern {"]`, "ExemptRoutes[0]", "Budgets[0].Limits",
	} {
		require.ErrorContains(t, err, mistake)
	}
	assert.Equal(t, 429, serve(h, at("/b")).Code, "nothing was replaced")
	_, err = l.Decorator(rule("new", "1 per hour"), rule("all", "1 per hour"))
	require.EqualError(t, err,
		`ratelimit: With[1].Name: "all" is the name of another rule: want another one (a decorator can wrap several handlers)`)
	require.NoError(t, l.SetPolicy(ratelimit.Policy{Exempt: func(*http.Request) bool { return true }}))
	assert.Equal(t, 200, serve(h, at("/b")).Code)
}

// A policy and rules of decorators and logins come into force in one step, or not at all.
func TestSetPolicyWithRules(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("all", "10 per hour")}})
	h := l.Handler(l.With(rule("decorated", "10 per hour"))(ok))
	require.Equal(t, []int{200, 200}, codes(h, with(), with()))
	left := func() []int64 { return []int64{remaining(t, l, "all"), remaining(t, l, "decorated")} }

	policy := ratelimit.Policy{Rules: []ratelimit.Rule{rule("all", "5 per hour")}}
	require.ErrorIs(t, l.SetPolicy(policy, rule("decorated", "5 per hour"), rule("other", "1 per hour")), ratelimit.ErrNoRule)
	assert.Equal(t, []int64{8, 8}, left(), "nothing was replaced")
	require.ErrorContains(t, l.SetPolicy(policy, ratelimit.Rule{Name: "decorated"}), "With[0].Limits")
	assert.Equal(t, []int64{8, 8}, left(), "nothing was replaced")
	require.NoError(t, l.SetPolicy(policy, rule("decorated", "4 per hour")))
	assert.Equal(t, []int64{3, 2}, left())
	require.NoError(t, l.SetPolicy(policy, rule("all", "3 per hour")), "a rule of the new policy")
	assert.Equal(t, []int64{1, 2}, left())
	assert.Equal(t, ratelimit.MustParse("5 per hour"), policy.Rules[0].Limits, "the policy of the caller stays")
}

// A field of Policy that were no field of Config could never be set at the beginning.
func TestPolicyIsAPartOfTheConfig(t *testing.T) {
	config := reflect.TypeFor[ratelimit.Config]()
	for _, part := range reflect.VisibleFields(reflect.TypeFor[ratelimit.Policy]()) {
		whole, found := config.FieldByName(part.Name)
		assert.True(t, found, part.Name)
		assert.Equal(t, whole.Type, part.Type, part.Name)
	}
}

// The limiter keeps no slice or map of its callers.
func TestPoliciesAreCopied(t *testing.T) {
	rules := []ratelimit.Rule{rule("r", "1 per hour")}
	routes := map[string][]ratelimit.Rule{"/a": {rule("a", "1 per hour")}}
	l := newLimiter(t, ratelimit.Config{Rules: rules, Routes: routes})
	require.NoError(t, l.SetRules(rule("r", "5 per hour"), rule("a", "5 per hour")))
	assert.Equal(t, ratelimit.MustParse("1 per hour"), rules[0].Limits, "SetRules leaves the Config as it was")
	assert.Equal(t, ratelimit.MustParse("1 per hour"), routes["/a"][0].Limits)

	policy := ratelimit.Policy{
		Rules: rules, Routes: routes, ExemptRoutes: []string{"/free"}, Budgets: []ratelimit.Budget{{Name: "b", Limits: rules[0].Limits}},
	}
	require.NoError(t, l.SetPolicy(policy))
	rules[0], routes["/a"][0], policy.ExemptRoutes[0], policy.Budgets[0] = ratelimit.Rule{}, ratelimit.Rule{}, "x", ratelimit.Budget{}
	require.NoError(t, l.SetMode("r", ratelimit.Off), "this compiles the policy again")
	assert.Equal(t, 200, serve(l.Handler(ok), at("/free")).Code)
	assert.Equal(t, int64(1), remaining(t, l, "b"))
}

func TestSetModeSurvivesSetPolicy(t *testing.T) {
	policy := func(limits string) ratelimit.Policy {
		return ratelimit.Policy{Rules: []ratelimit.Rule{rule("r", limits)}}
	}
	l := newLimiter(t, ratelimit.Config{})
	require.NoError(t, l.SetPolicy(policy("1 per hour")))
	require.NoError(t, l.SetMode("r", ratelimit.Off))
	require.NoError(t, l.SetPolicy(policy("2 per hour")))
	h := l.Handler(ok)
	assert.Equal(t, []int{200, 200, 200, 200}, codes(h, with(), with(), with(), with()))
	changed := rule("r", "3 per hour")
	changed.Mode = ratelimit.Enforce
	require.NoError(t, l.SetRules(changed))
	assert.Equal(t, []int{200, 200, 200, 200}, codes(h, with(), with(), with(), with()), "it survives SetRules too")
	require.NoError(t, l.SetMode("r", ""))
	assert.Equal(t, []int{200, 200, 200, 429}, codes(h, with(), with(), with(), with()), "the mode of the rule itself")

	changed.Mode = ratelimit.DryRun
	require.NoError(t, l.SetRules(changed))
	assert.Equal(t, 200, serve(h, with()).Code, "a mode that was not set does not survive")
	decorated := l.With(rule("decorated", "1 per hour"))(ok)
	require.NoError(t, l.SetMode("decorated", ratelimit.DryRun))
	require.NoError(t, l.SetPolicy(policy("1 per hour")))
	assert.Equal(t, []int{200, 200}, codes(decorated, with(), with()), "rules of decorators have modes as well")
}

func TestSetRules(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{
		Rules:  []ratelimit.Rule{rule("other", "100 per hour"), rule("all", "5 per hour")},
		Routes: map[string][]ratelimit.Rule{"/a": {rule("beside", "100 per hour"), rule("route", "5 per hour")}},
	})
	h, decorated := l.Handler(ok), l.With(rule("first", "5 per hour"), rule("second", "5 per hour"))(ok)
	guard, err := login.New(l, login.Config{Account: func(*http.Request) string { return "alice" }})
	require.NoError(t, err)
	require.Equal(t, []int{200, 200}, codes(h, at("/a"), at("/b")))
	require.Equal(t, 200, serve(decorated, with()).Code)

	require.NoError(t, l.SetRules(
		rule("route", "2 per hour"), rule("all", "3 per hour"), rule("second", "2 per hour"), rule("login-total", "1 per hour")))
	for name, want := range map[string]int64{"other": 98, "all": 1, "beside": 99, "route": 1, "first": 4, "second": 1, "login-total": 1} {
		assert.Equal(t, want, remaining(t, l, name), "what %s has spent stays", name)
	}
	w := serve(h, at("/a"))
	assert.Equal(t, `"other";q=100;w=3600, "all";q=3;w=3600, "beside";q=100;w=3600, "route";q=2;w=3600`, w.Header().Get("RateLimit-Policy"))
	assert.Equal(t, 429, serve(h, at("/a")).Code)
	assert.Equal(t, 429, serve(h, at("/b")).Code)
	w = serve(decorated, with())
	assert.Equal(t, `"first";q=5;w=3600, "second";q=2;w=3600`, w.Header().Get("RateLimit-Policy"))
	assert.Equal(t, 429, serve(decorated, with()).Code)
	assert.Equal(t, []int{200, 429}, codes(guard.Handler(ok), with(), with()), "a rule of a login")
}

func TestSetRulesWithMistakesReplacesNothing(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{
		Rules:   []ratelimit.Rule{rule("all", "5 per hour")},
		Routes:  map[string][]ratelimit.Rule{"/a": {rule("route", "5 per hour")}},
		Budgets: []ratelimit.Budget{{Name: "budget", Limits: ratelimit.MustParse("5 per hour")}},
	})
	decorated := l.With(rule("decorated", "5 per hour"))(ok)
	good := []ratelimit.Rule{rule("all", "1 per hour"), rule("route", "1 per hour"), rule("decorated", "1 per hour")}
	for _, tc := range []struct {
		name  string
		rules []ratelimit.Rule
		want  []string
		none  bool // ErrNoRule
	}{
		{
			"unknown names",
			[]ratelimit.Rule{rule("x", "1 per hour"), rule("y", "1 per hour")},
			[]string{`no such rule: "x"`, `no such rule: "y"`},
			true,
		},
		{"no name", []ratelimit.Rule{{}}, []string{`no such rule: ""`}, true},
		{"a budget", []ratelimit.Rule{rule("budget", "1 per hour")}, []string{`no such rule: "budget"`}, true},
		{"in the policy", []ratelimit.Rule{{Name: "all"}}, []string{"ratelimit: Rules[0].Limits: no limits"}, false},
		{
			"in a route and a decorator",
			[]ratelimit.Rule{{Name: "route", MaxWait: -1}, {Name: "decorated"}},
			[]string{`Routes["/a"][0].Limits`, `Routes["/a"][0].MaxWait`, "With[0].Limits"},
			false,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := l.SetRules(append(good[:3:3], tc.rules...)...)
			for _, want := range tc.want {
				require.ErrorContains(t, err, want)
			}
			require.Equal(t, tc.none, errors.Is(err, ratelimit.ErrNoRule))
			var one *ratelimit.ConfigError
			require.Equal(t, !tc.none, errors.As(err, &one))
			require.NoError(t, l.SetMode("all", ratelimit.Enforce), "this compiles what is in force again")
			for _, name := range []string{"all", "route", "decorated", "budget"} {
				require.Equal(t, int64(5), remaining(t, l, name), name)
			}
			require.Equal(t, []string{`"decorated";q=5;w=3600`}, serve(decorated, request("192.0.2.2:1")).Header()["Ratelimit-Policy"])
		})
	}
}

func TestSetEnabled(t *testing.T) {
	told := 0
	observed := rule("observed", "1 per hour")
	observed.Mode = ratelimit.DryRun
	busy := ratelimit.Rule{Name: "busy", InFlight: 1}
	list := listOf(t, []string{"192.0.2.9"})
	l := newLimiter(t, ratelimit.Config{
		Rules:   []ratelimit.Rule{rule("r", "1 per hour"), observed, busy},
		Budgets: []ratelimit.Budget{{Name: "budget", Limits: ratelimit.MustParse("1 per hour")}},
		Deny:    list,
		Hooks: ratelimit.Hooks{
			Decided: func(*http.Request, ratelimit.Decision, iter.Seq[ratelimit.Decision]) { told++ },
			DryRun:  func(*http.Request, ratelimit.Decision) { told++ },
		},
	})
	decorated := l.With(rule("decorated", "1 per hour"))(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, found := ratelimit.DecisionFrom(r.Context())
		assert.Equal(t, r.Header.Get("Enabled") != "", found)
	}))
	alice, bob := ratelimit.UserKey("alice"), ratelimit.UserKey("bob")
	_, err := l.Take(t.Context(), "budget", bob, 1)
	require.NoError(t, err)
	off := func(when string) {
		for _, h := range []http.Handler{l.Handler(ok), decorated, l.Handler(decorated)} {
			for _, r := range []*http.Request{with(), with(), request("192.0.2.9:1")} {
				w := serve(h, r)
				require.Equal(t, 200, w.Code, when)
				require.Equal(t, http.Header{}, w.Header(), when)
			}
		}
		for range 2 {
			d, err := l.Take(t.Context(), "budget", alice, 1)
			require.NoError(t, err, when)
			require.True(t, d.Allowed, when)
			d, err = l.Peek(t.Context(), "budget", bob)
			require.NoError(t, err, when)
			require.True(t, d.Allowed, when)
			require.NoError(t, l.Wait(t.Context(), "budget", alice, 2), when)
			ds, err := l.Apply(t.Context(), ratelimit.Change{Kind: store.Take, Rule: "r", Key: client(), Cost: 1})
			require.NoError(t, err, when)
			require.True(t, ds[0].Allowed, when)
		}
		require.Empty(t, l.Explain(with()), when)
		_, err = l.Take(t.Context(), "unknown", alice, 1)
		require.ErrorIs(t, err, ratelimit.ErrNoRule, when)
	}
	l.SetEnabled(false)
	off("switched off")
	require.NoError(t, l.SetPolicy(ratelimit.Policy{
		Rules:   []ratelimit.Rule{rule("r", "2 per hour"), observed, busy},
		Budgets: []ratelimit.Budget{{Name: "budget", Limits: ratelimit.MustParse("2 per hour")}},
	}))
	require.NoError(t, l.SetMode("decorated", ratelimit.Enforce))
	off("it stays off when the policy changes")
	assert.Zero(t, told, "no hook was called")
	assert.True(t, list.Contains(request("192.0.2.9:1")), "a list itself is never off")

	l.SetEnabled(true)
	on := func(r *http.Request) *http.Request { r.Header.Set("Enabled", "1"); return r }
	assert.Equal(t, []int{200, 200, 429, 403}, codes(l.Handler(ok), with(), with(), with(), request("192.0.2.9:1")), "nothing was counted")
	assert.Equal(t, []int{200, 429, 403}, codes(decorated, on(with()), with(), request("192.0.2.9:1")))
	assert.Equal(t, 8, told, "of 3 allowed and 2 denied by rules, 2 on the list and a dry run")
	for _, want := range []bool{true, true, false} {
		d, err := l.Take(t.Context(), "budget", alice, 1)
		require.NoError(t, err)
		assert.Equal(t, want, d.Allowed)
	}
	assert.Len(t, l.Explain(with()), 2)
}

// A request that was in flight when the limiter was switched off ends as it began.
func TestSetEnabledDuringARequest(t *testing.T) {
	busy := counting("busy", "5 per hour", ratelimit.Failures)
	busy.InFlight = 1
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{busy}})
	inside := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
		l.SetEnabled(false)
		assert.Equal(t, 200, serve(l.Handler(ok), with()).Code)
		l.SetEnabled(true)
		assert.Equal(t, 429, serve(l.Handler(ok), with()).Code, "the first request is still in flight")
		l.SetEnabled(false)
	})
	assert.Equal(t, 200, serve(l.Handler(inside), with()).Code)
	l.SetEnabled(true)
	assert.Equal(t, int64(5), remaining(t, l, "busy"), "its token was refunded")
	assert.Equal(t, 200, serve(l.Handler(ok), with()).Code, "its permit was released")
}

// Requests, changes and new decorators at the same time: for the race detector. No request is ever
// without rules.
func TestChangesWhileServing(t *testing.T) {
	policy := func(n int) ratelimit.Policy {
		return ratelimit.Policy{Rules: []ratelimit.Rule{rule("all", fmt.Sprint(1000+n, " per hour"))}}
	}
	l := newLimiter(t, ratelimit.Config{Rules: policy(0).Rules})
	h, decorated := l.Handler(ok), l.With(rule("decorated", "1000 per hour"))(ok)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 200 {
				assert.Contains(t, serve(h, with()).Header(), "Ratelimit")
				assert.Contains(t, serve(decorated, with()).Header(), "Ratelimit")
			}
		})
	}
	all.Go(func() {
		for n := range 100 {
			assert.NoError(t, l.SetPolicy(policy(n)))
			assert.NoError(t, l.SetMode("all", ratelimit.Enforce))
			assert.NoError(t, l.SetRules(rule("decorated", fmt.Sprint(1001+n, " per hour"))))
			l.SetEnabled(true)
			l.With(rule(fmt.Sprint("d", n), "1 per hour"))
		}
	})
	all.Wait()
	_, err := l.Peek(t.Context(), "d99", ratelimit.UserKey("a"))
	assert.NoError(t, err)
}
