package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/storefake"
	"github.com/ratelimit-go/ratelimit/store"
)

// New finds mistakes that would silently mean something else, and says what was meant.
func TestPlausibleMistakes(t *testing.T) {
	type Rule = ratelimit.Rule
	change := func(change func(r *Rule)) []Rule {
		r := rule("r", "1/s")
		change(&r)
		return []Rule{r}
	}
	badMethod := func(r *Rule) { r.Methods = []string{"PROPFIND", "get"} }
	badHeader := func(r *Rule) { r.Key = ratelimit.ByHeader("host") }
	noName := func(r *Rule) { r.Key = ratelimit.Global("") }
	r := rule("r", "1/s")
	var none *ratelimit.MemoryStore
	for want, cfg := range map[string]ratelimit.Config{
		`Routes["post /login"]: method "post" matches no request: want POST`:   {Routes: map[string][]ratelimit.Rule{"post /login": {r}}},
		`Routes["post\t/login"]: method "post" matches no request: want POST`:  {Routes: map[string][]ratelimit.Rule{"post\t/login": {r}}},
		`ExemptRoutes[0]: method "Get" matches no request: want GET`:           {ExemptRoutes: []string{"Get /healthz"}},
		`Store: a nil *ratelimit.MemoryStore: want what its constructor`:       {Store: none},
		`Routes["ANY /x"]: method "ANY" matches no request: want no method`:    {Routes: map[string][]ratelimit.Rule{"ANY /x": {r}}},
		`Routes["/api*"]: "api*" matches only itself: want a whole segment`:    {Routes: map[string][]ratelimit.Rule{"/api*": {r}}},
		`Store: a MemoryStore that NewMemoryStore has not made: want`:          {Store: new(ratelimit.MemoryStore)},
		`StoreTimeout: 50ns: want at least 10µs, or 0 for 50ms`:                {StoreTimeout: 50, Rules: []ratelimit.Rule{r}},
		`Labels: -1: want 1 to 100000, or 0 for none`:                          {Labels: -1},
		`Labels: 100001: want 1 to 100000, or 0 for none`:                      {Labels: 100_001},
		`NearLimit: 20: want a part of a burst, less than 1, or 0 for 0.2`:     {NearLimit: 20},
		`NearLimit: 1: want a part of a burst, less than 1, or 0 for 0.2`:      {NearLimit: 1},
		`NearLimit: -0.1: want a part of a burst, less than 1, or 0 for 0.2`:   {NearLimit: -0.1},
		`NearLimit: NaN: want a part of a burst, less than 1, or 0 for 0.2`:    {NearLimit: math.NaN()},
		`LeaseTTL: 30ns: want 1s to 1h0m0s, or 0 for 30s`:                      {LeaseTTL: 30},
		`Rules[1].Name: "r" is the name of another rule: want another one`:     {Rules: []ratelimit.Rule{r, r}},
		`Rules[0].Methods: "get" matches no request: want GET`:                 {Rules: change(badMethod)},
		`Rules[0].MaxWait: 2ns: want 1ms to 1h0m0s, or 0 to deny at once`:      {Rules: change(func(r *Rule) { r.MaxWait = 2 })},
		`Rules[0].MaxWait: -1ns: want 1ms to 1h0m0s`:                           {Rules: change(func(r *Rule) { r.MaxWait = -1 })},
		`Rules[0].MaxWaiting: 5 without MaxWait`:                               {Rules: change(func(r *Rule) { r.MaxWaiting = 5 })},
		`Rules[0].MaxWaiting: -1: want a positive number, or 0 for 100`:        {Rules: change(func(r *Rule) { r.MaxWaiting = -1 })},
		`Rules[0].InFlight: -1: want 1 to 1000000, or 0 for any number`:        {Rules: change(func(r *Rule) { r.InFlight = -1 })},
		`Rules[0].Key: Global(""): want a name, such as "everybody"`:           {Rules: change(noName)},
		`Rules[0].Key: ByHeader("Host"): net/http does not keep it in Request`: {Rules: change(badHeader)},
		"Rules[0].Methods: \"get\" matches no request: want GET\nratelimit: Rules[1].Name: \"r\" is the name of another rule": {
			Rules: append(change(func(r *Rule) { r.Methods = []string{"get"} }), r),
		},
		"Deny.Key: nil, so that user:mallory is never found: want for example ByUser": {
			Deny: listOf(t, nil, ratelimit.UserKey("mallory")),
		},
		`ExemptRoutes[0]: "GET /" exempts every path: want "GET /{$}" for the path / alone`: {
			Rules: []ratelimit.Rule{r}, ExemptRoutes: []string{"GET /"},
		},
		`pattern "GET /a" conflicts with pattern "GET /a":`: {
			Routes: map[string][]ratelimit.Rule{"GET /a": {rule("other", "1/s")}}, ExemptRoutes: []string{"GET /a"},
		},
	} {
		_, err := ratelimit.New(cfg)
		require.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), ".go:")
	}
	l := newLimiter(t, ratelimit.Config{})
	assert.PanicsWithValue(t, "ratelimit: With: no rules: want at least one", func() { l.With() })
}

// Values that no constant has, and too many of them.
func TestImpossibleValues(t *testing.T) {
	failing, many, lost := rule("r", "1/s"), rule("r", "1/s"), rule("r", "1/s")
	failing.OnStoreFailure, lost.OnMissingKey = "ajar", "ignore"
	many.Limits = nil
	for n := range 17 {
		many.Limits = append(many.Limits, ratelimit.Per(int64(n+1), time.Hour))
	}
	for want, cfg := range map[string]ratelimit.Config{
		`OnStoreFailure: unknown policy "ajar": want FailOpen, FailClosed or UseMemory`:          {OnStoreFailure: "ajar"},
		`Instances: -1: want 1 to 1000000, or 0 for 1`:                                           {Instances: -1},
		`Instances: 1000001: want 1 to 1000000, or 0 for 1`:                                      {Instances: 1_000_001},
		`Headers: unknown form "draft-12": want DraftHeaders or another of the constants`:        {Headers: "draft-12"},
		`Rules[0].OnStoreFailure: unknown policy "ajar": want FailOpen, FailClosed or UseMemory`: {Rules: []ratelimit.Rule{failing}},
		`Rules[0].OnMissingKey: unknown choice "ignore": want ShareKey, DenyRequest or SkipRule`: {Rules: []ratelimit.Rule{lost}},
		"Rules[0].Limits: 17 limits: want at most 16":                                            {Rules: []ratelimit.Rule{many}},
	} {
		_, err := ratelimit.New(cfg)
		require.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), "\n", "no other mistake")
	}
}

func TestConfigErrorTellsItsCause(t *testing.T) {
	_, err := ratelimit.New(ratelimit.Config{Instances: -1})
	var one *ratelimit.ConfigError
	require.ErrorAs(t, err, &one)
	assert.Equal(t, "Instances", one.Field)
	require.EqualError(t, one, "ratelimit: Instances: "+one.Err.Error())
	assert.Equal(t, one.Err, errors.Unwrap(one))
}

// Each hook is told of its requests, before the response.
func TestHooks(t *testing.T) {
	var told []string
	tell := func(what string, r *http.Request, d ratelimit.Decision) {
		told = append(told, fmt.Sprint(what, " ", r.URL.Path, " ", d.Rule, " ", d.Reason))
	}
	observed, blocked := rule("observed", "1 per hour"), blocking(ratelimit.Block{After: ratelimit.Per(2, time.Hour)})
	observed.Mode = ratelimit.DryRun
	deny := listOf(t, []string{"192.0.2.9"})
	l := newLimiter(t, ratelimit.Config{
		Rules: []ratelimit.Rule{observed, rule("many", "9 per hour")}, Routes: map[string][]ratelimit.Rule{"/blocked": {blocked}},
		ExemptRoutes: []string{"/free"}, Deny: deny,
		Hooks: ratelimit.Hooks{
			Decided: func(r *http.Request, d ratelimit.Decision, rules iter.Seq[ratelimit.Decision]) {
				tell("decided", r, d)
				for rule := range rules {
					told = append(told, fmt.Sprint("by ", rule.Rule, " ", rule.Allowed))
				}
			},
			Denied: func(r *http.Request, d ratelimit.Decision) { tell("denied", r, d) },
			DryRun: func(r *http.Request, d ratelimit.Decision) { tell("dry run", r, d) },
			Blocked: func(_ context.Context, b ratelimit.Blocked) {
				told = append(told, fmt.Sprint("blocked ", b.Rule, " ", b.Key, " ", b.Times))
			},
		},
		DenyHandler: func(http.ResponseWriter, *http.Request, ratelimit.Decision) { told = append(told, "response") },
	})
	h := l.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { told = append(told, "response") }))
	for _, tc := range []struct {
		r    *http.Request
		want []string
	}{
		{at("/free"), []string{"response"}},
		{at("/blocked"), []string{"decided /blocked p ", "by many true", "by p true", "by observed true", "response"}},
		{at("/blocked"), []string{"decided /blocked p limit", "by many true", "by p false", "denied /blocked p limit", "response"}},
		{
			at("/blocked"),
			[]string{
				"blocked p addr:192.0.2.1 1", "decided /blocked p blocked", "by many true", "by p false",
				"denied /blocked p blocked", "response",
			},
		},
		{at("/blocked"), []string{"decided /blocked p blocked", "denied /blocked p blocked", "response"}},
		{at("/x"), []string{"dry run /x observed limit", "decided /x many ", "by many true", "response"}},
		{request("192.0.2.9:1"), []string{"decided /  denied", "denied /  denied", "response"}},
	} {
		told = nil
		serve(h, tc.r)
		assert.Equal(t, tc.want, told)
	}
}

// Errors and panics of hooks are reported, and change no response.
func TestHooksThatPanic(t *testing.T) {
	var reported []string
	observed := rule("observed", "1 per hour")
	observed.Mode = ratelimit.DryRun
	l := newLimiter(t, ratelimit.Config{
		Rules: []ratelimit.Rule{observed, blocking(ratelimit.Block{After: ratelimit.Per(1, time.Hour)})},
		Hooks: ratelimit.Hooks{
			Decided: func(*http.Request, ratelimit.Decision, iter.Seq[ratelimit.Decision]) { panic("1") },
			Denied:  func(*http.Request, ratelimit.Decision) { panic("2") },
			DryRun:  func(*http.Request, ratelimit.Decision) { panic("3") },
			Blocked: func(context.Context, ratelimit.Blocked) { panic("4") },
			Error: func(_ context.Context, err error) {
				reported = append(reported, err.Error())
				panic("5")
			},
		},
	})
	h := l.Handler(ok)
	assert.Equal(t, []int{200, 429}, codes(h, with(), with()))
	require.NoError(t, l.SetMode("p", ratelimit.Off))
	assert.Equal(t, 200, serve(h, with()).Code)
	assert.Equal(t, []string{
		"ratelimit: Decided: panic: 1", "ratelimit: Blocked: panic: 4", "ratelimit: Decided: panic: 1", "ratelimit: Denied: panic: 2",
		"ratelimit: DryRun: panic: 3", "ratelimit: Decided: panic: 1",
	}, reported)
}

// fakeClock is a clock that stands still until it is moved.
type fakeClock struct{ now time.Time }

func (c *fakeClock) read() time.Time { return c.now }

func TestClockOfTheConfig(t *testing.T) {
	clock := &fakeClock{time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)}
	l := newLimiter(t, ratelimit.Config{
		Clock: clock.read, Headers: ratelimit.LegacyHeaders,
		Rules: []ratelimit.Rule{
			rule("r", "1 per hour"), blocking(ratelimit.Block{
				After: ratelimit.Per(2, 24*time.Hour), For: 3 * time.Hour,
				Max: 3 * time.Hour,
			}),
		},
	})
	h := l.Handler(ok)
	w := serve(h, with())
	assert.Equal(t, 200, w.Code)
	assert.Equal(t, fmt.Sprint(clock.now.Add(time.Hour).Unix()), w.Header().Get("X-RateLimit-Reset"))
	assert.Equal(t, "3600", serve(h, with()).Header().Get("Retry-After"))
	clock.now = clock.now.Add(time.Hour - 1)
	w = serve(h, with())
	assert.Equal(t, 429, w.Code)
	assert.Equal(t, "10800", w.Header().Get("Retry-After"), "the second violation blocks")
	blocks := l.Blocked()
	require.Len(t, blocks, 1)
	assert.Equal(t, clock.now.Add(3*time.Hour), blocks[0].Until)
	assert.Equal(t, blocks, l.Blocked(client(), ratelimit.UserKey("nobody")))
	assert.Empty(t, l.Blocked(ratelimit.UserKey("nobody")))
	clock.now = clock.now.Add(3*time.Hour - 1)
	assert.Equal(t, 429, serve(h, with()).Code)
	clock.now = clock.now.Add(1)
	assert.Equal(t, 200, serve(h, with()).Code)
}

// A clock that is set back gives no tokens, and takes none.
// While the clock panics no time passes, and each panic is reported.
func TestClockOfTheConfigThatPanics(t *testing.T) {
	clock, broken := &fakeClock{time.Unix(1e9, 0)}, false
	var told []string
	l := newLimiter(t, ratelimit.Config{
		Clock: func() time.Time {
			if broken {
				panic("no time")
			}
			return clock.read()
		},
		Hooks: ratelimit.Hooks{Error: func(_ context.Context, err error) { told = append(told, err.Error()) }},
		Rules: []ratelimit.Rule{rule("r", "2 per hour")},
	})
	h := l.Handler(ok)
	assert.Equal(t, 200, serve(h, with()).Code)
	clock.now, broken = clock.now.Add(time.Hour), true
	assert.Equal(t, 200, serve(h, with()).Code)
	assert.Equal(t, 429, serve(h, with()).Code)
	assert.Contains(t, told, "ratelimit: Clock: panic: no time")
	broken = false
	assert.Equal(t, 200, serve(h, with()).Code)
}

func TestClockOfTheConfigThatIsSetBack(t *testing.T) {
	clock := &fakeClock{time.Unix(1e9, 0)}
	h := newLimiter(t, ratelimit.Config{Clock: clock.read, Rules: []ratelimit.Rule{rule("r", "2 per hour")}}).Handler(ok)
	assert.Equal(t, 200, serve(h, with()).Code)
	clock.now = clock.now.Add(-24 * time.Hour)
	assert.Equal(t, []int{200, 429}, codes(h, with(), with()))
}

// The memory of denials, the breaker and local memory go by the clock too. Only timeouts do not.
// A clock of a log has no time before the first line. Then tokens flow in as ever.
func TestClockOfTheConfigThatHadNoTime(t *testing.T) {
	clock := new(fakeClock)
	h := newLimiter(t, ratelimit.Config{Clock: clock.read, Rules: []ratelimit.Rule{rule("r", "2 per hour")}}).Handler(ok)
	clock.now = time.Unix(1e9, 0)
	assert.Equal(t, []int{200, 200, 429}, codes(h, with(), with(), with()))
	clock.now = clock.now.Add(30 * time.Minute)
	assert.Equal(t, []int{200, 429}, codes(h, with(), with()))
}

func TestClockOfTheConfigWithAStoreThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := &fakeClock{time.Unix(1e9, 0)}
		elsewhere := &storefake.Mortal{Store: ratelimit.NewMemoryStore(ratelimit.MemoryConfig{Clock: clock.read})}
		l := newLimiter(t, ratelimit.Config{
			Clock: clock.read, Store: elsewhere, OnStoreFailure: ratelimit.UseMemory, Hooks: unreported(),
			Rules: []ratelimit.Rule{rule("r", "1 per minute")},
		})
		h := l.Handler(ok)
		assert.Equal(t, []int{200, 429, 429}, codes(h, with(), with(), with()))
		assert.EqualValues(t, 2, elsewhere.Calls.Load(), "the second denial is remembered")
		time.Sleep(time.Hour)
		assert.Equal(t, 429, serve(h, with()).Code, "real time does not count")
		assert.EqualValues(t, 2, elsewhere.Calls.Load())
		clock.now = clock.now.Add(time.Minute)
		assert.Equal(t, 200, serve(h, with()).Code)
		assert.EqualValues(t, 3, elsewhere.Calls.Load())

		elsewhere.Dead.Store(true)
		other := request("192.0.2.2:1")
		for n := range 6 {
			assert.Equal(t, n == 0, serve(h, other).Code == 200, "local memory")
		}
		require.Equal(t, store.Down, l.Stats().Store.State)
		elsewhere.Dead.Store(false)
		calls := elsewhere.Calls.Load()
		time.Sleep(time.Hour)
		assert.Equal(t, 429, serve(h, other).Code, "real time does not count in local memory")
		assert.Equal(t, calls, elsewhere.Calls.Load(), "by the clock it is too early for a probe")
		clock.now = clock.now.Add(time.Minute)
		assert.Equal(t, 200, serve(h, other).Code)
		assert.Equal(t, calls+1, elsewhere.Calls.Load())
		assert.Equal(t, store.Recovering, l.Stats().Store.State)
	})
}

func TestClockOfAMemoryStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := &fakeClock{time.Unix(1e9, 0)}
		memory := ratelimit.NewMemoryStore(ratelimit.MemoryConfig{Clock: clock.read})
		limit := named(t, "r", 0, "1 per hour")
		take := func() store.Result {
			return apply(t, memory, store.Op{Limit: limit, Key: ratelimit.UserKey("a"), Cost: 1})[0].Result
		}
		assert.True(t, take().Allowed)
		time.Sleep(24 * time.Hour)
		clock.now = clock.now.Add(59 * time.Minute)
		assert.Equal(t, time.Minute, take().RetryAfter)
		clock.now = clock.now.Add(time.Minute)
		assert.True(t, take().Allowed)

		l := newLimiter(t, ratelimit.Config{Store: memory, Rules: []ratelimit.Rule{rule("r", "1 per hour")}})
		h := l.Handler(ok)
		assert.Equal(t, []int{200, 429}, codes(h, with(), with()))
		time.Sleep(24 * time.Hour)
		assert.Equal(t, 429, serve(h, with()).Code)
		clock.now = clock.now.Add(time.Hour)
		assert.Equal(t, 200, serve(h, with()).Code, "the clock of the store decides, not of the Config")
	})
}

// errors.Join joins a ConfigError for every mistake, without joins in joins.
func TestMistakesAreJoinedFlat(t *testing.T) {
	_, err := ratelimit.New(ratelimit.Config{
		Instances: -1, Headers: "none of them",
		Rules: []ratelimit.Rule{{Name: "r"}, {Name: "s", Limits: ratelimit.MustParse("1/s"), MaxWait: -1}},
	})
	joined, ok := err.(interface{ Unwrap() []error })
	require.True(t, ok)
	var fields []string
	for _, err := range joined.Unwrap() {
		one, ok := err.(*ratelimit.ConfigError)
		require.True(t, ok, "%T", err)
		fields = append(fields, one.Field)
	}
	assert.ElementsMatch(t, []string{"Instances", "Headers", "Rules[0].Limits", "Rules[1].MaxWait"}, fields)
}
