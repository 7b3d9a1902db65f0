package ratelimit_test

import (
	"context"
	"iter"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/clientip"
)

// A copier is the handler of a limiter, for adapters of frameworks that have other requests.
type copier interface {
	Next() http.Handler
	ServeCopy(c interface {
		Copy(shown, lasts bool) (http.ResponseWriter, *http.Request)
	})
}

// An adapted request notes what an adapter is told. It is the ResponseWriter, too.
type adapted struct {
	http.ResponseWriter
	shown, lasts bool
	whole        *http.Request
	before       func() // is called once Copy has been told
}

func (a *adapted) Copy(shown, lasts bool) (http.ResponseWriter, *http.Request) {
	a.shown, a.lasts = shown, lasts
	if a.before != nil {
		a.before()
	}
	r := request("192.0.2.1:1")
	r.Pattern = "/x"
	return a, r
}

func (a *adapted) Whole(*http.Request) *http.Request { return a.whole }

// serveCopy serves a request through h as an adapter does.
func serveCopy(h http.Handler, before func()) *adapted {
	a := &adapted{ResponseWriter: httptest.NewRecorder(), whole: request("192.0.2.1:1"), before: before}
	h.(copier).ServeCopy(a)
	return a
}

// A limiter tells an adapter whether a function of the user can see a request, and whether it does
// anything when the response has ended.
func TestUseOfACopy(t *testing.T) {
	user := func(*http.Request) string { return "alice" }
	yes := func(*http.Request) bool { return true }
	trusted := clientip.TrustedHops(1)
	type config = ratelimit.Config
	type one = ratelimit.Rule
	for _, tc := range []struct {
		name string
		rule one
		edit func(cfg *config)
		want string
	}{
		{name: "the address"},
		{name: "a field", rule: one{Key: ratelimit.ByHeader("X-Key")}},
		{name: "a field that copies are without", rule: one{Key: ratelimit.ByHeader("user-agent")}, want: "shown"},
		{name: "several keys, one of such a field", rule: one{Key: ratelimit.AllOf(ratelimit.ByClientIP(),
			ratelimit.FirstOf(ratelimit.ByHeader("A"), ratelimit.ByHeader("Accept")))}, want: "shown"},
		{name: "several keys", rule: one{Key: ratelimit.FirstOf(ratelimit.ByCookie("a"),
			ratelimit.AllOf(ratelimit.ByPattern(), ratelimit.Global("all"), ratelimit.ByIP(clientip.ForwardedFor(trusted))))}},
		{name: "ByUser", rule: one{Key: ratelimit.ByUser(user)}, want: "shown"},
		{name: "ByValue", rule: one{Key: ratelimit.ByValue("tenant", user)}, want: "shown"},
		{name: "ByUser inside", rule: one{Key: ratelimit.AllOf(ratelimit.ByClientIP(),
			ratelimit.FirstOf(ratelimit.ByHeader("A"), ratelimit.ByUser(user)))}, want: "shown"},
		{name: "KeyFunc", rule: one{Key: ratelimit.KeyFunc(func(*http.Request) (ratelimit.Key, error) {
			return ratelimit.UserKey("a"), nil
		})}, want: "shown"},
		{name: "Cost", rule: one{Cost: func(*http.Request) int64 { return 1 }}, want: "shown"},
		{name: "Skip", rule: one{Skip: yes}, want: "shown"},
		{name: "LimitsFor", rule: one{LimitsFor: func(context.Context, ratelimit.Key) ratelimit.Limits { return nil }}},
		{name: "Methods, MaxWait, Mode", rule: one{
			Methods: []string{"GET"}, MaxWait: 1e12, Mode: ratelimit.DryRun, OnMissingKey: ratelimit.DenyRequest,
		}},
		{name: "a Block by limits", rule: one{Block: &ratelimit.Block{After: ratelimit.Per(9, 1e9)}}},
		{name: "CountOnly", rule: one{CountOnly: ratelimit.Failures}, want: "lasts"},
		{name: "ResponseCost", rule: one{ResponseCost: func(ratelimit.Response) int64 { return 1 }}, want: "lasts"},
		{name: "When", rule: one{Block: &ratelimit.Block{
			After: ratelimit.Per(9, 1e9), When: ratelimit.StatusIn(404),
		}}, want: "lasts"},
		{name: "InFlight", rule: one{InFlight: 9}, want: "lasts"},
		{name: "both", rule: one{InFlight: 9, Skip: yes}, want: "shown lasts"},
		{name: "a route", edit: func(cfg *config) {
			other := rule("other", "9 per hour")
			other.InFlight, other.Key = 1, ratelimit.ByUser(user)
			cfg.Routes = map[string][]ratelimit.Rule{"/other": {other}}
		}, want: "shown lasts"},
		{name: "Exempt", edit: func(cfg *config) { cfg.Exempt = yes }, want: "shown"},
		{name: "ExemptRoutes", edit: func(cfg *config) { cfg.ExemptRoutes = []string{"/x"} }},
		{name: "lists", edit: func(cfg *config) {
			cfg.Allow, cfg.Deny = &ratelimit.List{Key: ratelimit.ByHeader("A")}, &ratelimit.List{}
		}},
		{name: "a list with a function", edit: func(cfg *config) {
			cfg.Deny = &ratelimit.List{Key: ratelimit.ByUser(user)}
		}, want: "shown"},
		{name: "ClientIP", edit: func(cfg *config) { cfg.ClientIP = clientip.ForwardedFor(trusted) }},
		{name: "ClientIP with If", edit: func(cfg *config) {
			cfg.ClientIP = clientip.ForwardedFor(trusted.If(yes))
		}, want: "shown"},
		{name: "ClientIP of a list with If", edit: func(cfg *config) {
			cfg.Allow = &ratelimit.List{ClientIP: clientip.ForwardedFor(trusted.If(yes))}
		}, want: "shown"},
		{name: "ClientIP by a field that copies are without", edit: func(cfg *config) {
			cfg.ClientIP = clientip.Header("Referer", trusted)
		}, want: "shown"},
		{name: "a list by such fields", edit: func(cfg *config) {
			cfg.Deny = &ratelimit.List{ClientIP: clientip.Header("Priority", trusted)}
		}, want: "shown"},
		{name: "a list of such a field", edit: func(cfg *config) {
			cfg.Deny = &ratelimit.List{Key: ratelimit.ByHeader("Pragma")}
		}, want: "shown"},
		{name: "Decided", edit: func(cfg *config) {
			cfg.Hooks.Decided = func(*http.Request, ratelimit.Decision, iter.Seq[ratelimit.Decision]) {}
		}, want: "shown"},
		{name: "DryRun", edit: func(cfg *config) {
			cfg.Hooks.DryRun = func(*http.Request, ratelimit.Decision) {}
		}, want: "shown"},
		{name: "Denied and DenyHandler, which get a whole request", edit: func(cfg *config) {
			cfg.Hooks.Denied = func(*http.Request, ratelimit.Decision) {}
			cfg.DenyHandler = func(http.ResponseWriter, *http.Request, ratelimit.Decision) {}
		}},
		{name: "Error", edit: func(cfg *config) { cfg.Hooks.Error = func(context.Context, error) {} }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.rule.Name, tc.rule.Limits = "one", ratelimit.MustParse("9 per hour")
			cfg := config{Rules: []ratelimit.Rule{tc.rule}}
			if tc.edit != nil {
				tc.edit(&cfg)
			}
			assert.Equal(t, tc.want, used(serveCopy(newLimiter(t, cfg).Handler(ok), nil)))
			if tc.edit == nil {
				decorated := newLimiter(t, config{}).With(tc.rule)(ok)
				assert.Equal(t, tc.want, used(serveCopy(decorated, nil)), "a decorator")
			}
		})
	}
}

func used(a *adapted) string {
	text := ""
	if a.shown {
		text = "shown"
	}
	if a.lasts && a.shown {
		text += " "
	}
	if a.lasts {
		text += "lasts"
	}
	return text
}

// The decorators of a limiter, and its rules for everything, do not matter to each other. A new
// policy matters from the next request on.
func TestUseOfACopyChanges(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("all", "9 per hour")}})
	byUser := rule("user", "9 per hour")
	byUser.Key, byUser.InFlight = ratelimit.ByUser(func(*http.Request) string { return "alice" }), 1
	all, decorated := l.Handler(ok), l.With(byUser)(ok)
	assert.Equal(t, "", used(serveCopy(all, nil)))
	assert.Equal(t, "shown lasts", used(serveCopy(decorated, nil)))

	changed := byUser
	changed.Name = "all"
	byUser.Key, byUser.InFlight = nil, 0
	require.NoError(t, l.SetRules(changed, byUser))
	assert.Equal(t, "shown lasts", used(serveCopy(all, nil)))
	assert.Equal(t, "", used(serveCopy(decorated, nil)))

	inner := http.NewServeMux()
	assert.Same(t, inner, l.Handler(inner).(copier).Next())
}

// Functions that see a denied request, and hooks that were added too late to be told to the
// adapter, see the whole request.
func TestFunctionsSeeTheWholeRequest(t *testing.T) {
	var seen []*http.Request
	denied := func(r *http.Request, _ ratelimit.Decision) { seen = append(seen, r) }
	decided := func(r *http.Request, _ ratelimit.Decision, _ iter.Seq[ratelimit.Decision]) { seen = append(seen, r) }
	dry := rule("dry", "1 per hour")
	dry.Mode = ratelimit.DryRun
	for name, tc := range map[string]struct {
		rule  ratelimit.Rule
		hooks ratelimit.Hooks
	}{
		"Denied":  {rule("one", "1 per hour"), ratelimit.Hooks{Denied: denied}},
		"Decided": {rule("one", "9 per hour"), ratelimit.Hooks{Decided: decided}},
		"DryRun":  {dry, ratelimit.Hooks{DryRun: denied}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{tc.rule}})
			h := l.Handler(ok)
			serveCopy(h, nil)
			seen = nil
			a := serveCopy(h, func() { l.Observe(tc.hooks) })
			assert.False(t, a.shown)
			require.Len(t, seen, 1)
			assert.Same(t, a.whole, seen[0])
		})
	}
	l := newLimiter(t, ratelimit.Config{
		Rules:       []ratelimit.Rule{rule("one", "1 per hour")},
		DenyHandler: func(_ http.ResponseWriter, r *http.Request, _ ratelimit.Decision) { seen = []*http.Request{r} },
	})
	serveCopy(l.Handler(ok), nil)
	a := serveCopy(l.Handler(ok), nil)
	assert.Same(t, a.whole, seen[0])
}

// Every function of a Config, and of what it consists of, is known to TestUseOfACopy. If this test
// fails, say there whether the new function can see a request.
func TestFunctionsOfAConfigAreKnown(t *testing.T) {
	var functions []string
	for _, v := range []any{
		ratelimit.Config{},
		ratelimit.Hooks{},
		ratelimit.Rule{},
		ratelimit.Block{},
		ratelimit.Budget{},
		ratelimit.Policy{},
		ratelimit.List{},
		clientip.Proxies{},
	} {
		in := reflect.TypeOf(v)
		for i := range in.NumField() {
			f := in.Field(i)
			if k := f.Type.Kind(); f.Name != "_" && (k == reflect.Func || k == reflect.Interface) {
				functions = append(functions, in.Name()+"."+f.Name)
			}
		}
	}
	slices.Sort(functions)
	assert.Equal(t, []string{
		"Block.When", "Budget.LimitsFor", "Config.Clock", "Config.DenyHandler", "Config.Exempt", "Config.Store",
		"Hooks.Blocked", "Hooks.Decided", "Hooks.Denied", "Hooks.DryRun", "Hooks.Error", "Hooks.StoreState", "Hooks.Taken",
		"List.Key", "Policy.Exempt", "Proxies.cond", "Proxies.trust", "Rule.Cost", "Rule.CountOnly", "Rule.Key",
		"Rule.LimitsFor", "Rule.ResponseCost", "Rule.Skip",
	}, functions)
}
