package replay_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/clientip"
	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/accesslog"
	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/replay"
	"github.com/ratelimit-go/ratelimit/login"
)

var midnight = time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)

// entry returns an entry of the client 192.0.2.1 after midnight.
func entry(t testing.TB, after time.Duration, method, target string, status int) *accesslog.Entry {
	e, err := accesslog.NewEntry(method, target, netip.MustParseAddr("192.0.2.1"))
	require.NoError(t, err)
	e.Time, e.Status = midnight.Add(after), status
	return e
}

func newEngine(t testing.TB, p replay.Policy, opts replay.Options) *replay.Engine {
	e, err := replay.New(p, opts)
	require.NoError(t, err)
	return e
}

// deny returns whether the engine denies each of the entries.
func deny(t *testing.T, e *replay.Engine, entries ...*accesslog.Entry) []bool {
	var denied []bool
	for _, one := range entries {
		r, err := e.Serve(one)
		require.NoError(t, err)
		denied = append(denied, r.Denied)
	}
	e.Finish()
	return denied
}

func rules(rules ...ratelimit.Rule) replay.Policy {
	return replay.Policy{Config: ratelimit.Config{Rules: rules}}
}

// A log that names no host does not say which routes of a host its requests meet.
func TestLinesWithoutAHost(t *testing.T) {
	t.Parallel()
	one := []ratelimit.Rule{{Name: "api", Limits: ratelimit.MustParse("1 per minute")}}
	policy := replay.Policy{Config: ratelimit.Config{Routes: map[string][]ratelimit.Rule{"GET api.example/": one}}}
	const note = "Some lines name no host, so they meet the routes of every host: see -host."
	for _, row := range []struct {
		host, inLog string
		denied      []bool
		notes       []string
	}{
		{"", "", []bool{false, true}, []string{note}},
		{"api.example", "", []bool{false, true}, nil},
		{"other.example", "", []bool{false, false}, nil},
		{"other.example", "api.example", []bool{false, true}, nil},
	} {
		e := newEngine(t, policy, replay.Options{Host: row.host})
		a, b := entry(t, 0, "GET", "/", 200), entry(t, time.Second, "GET", "/", 200)
		a.Host, b.Host = row.inLog, row.inLog
		assert.Equal(t, row.denied, deny(t, e, a, b), row)
		assert.Equal(t, row.notes, e.Notes(), row)
	}
	plain := newEngine(t, rules(one...), replay.Options{})
	deny(t, plain, entry(t, 0, "GET", "/", 200))
	assert.Empty(t, plain.Notes(), "no route has a host")
}

func TestMistakesAreReportedBeforeTheFirstEntry(t *testing.T) {
	t.Parallel()
	_, err := replay.New(rules(ratelimit.Rule{Name: "a"}), replay.Options{})
	assert.ErrorContains(t, err, "Rules[0].Limits")
	_, err = replay.New(replay.Policy{Decorators: map[string]replay.Decorator{"d": {
		Rules: []ratelimit.Rule{{Name: "a", Limits: ratelimit.MustParse("1/s")}}, Routes: []string{"GET x y"},
	}}}, replay.Options{})
	assert.ErrorContains(t, err, `decorator "d": route "GET x y"`)
}

func TestTheClockNeverGoesBack(t *testing.T) {
	t.Parallel()
	e := newEngine(t, rules(ratelimit.Rule{Name: "a", Limits: ratelimit.MustParse("1 per minute")}), replay.Options{})
	assert.Equal(t, []bool{false, true, false, true}, deny(t, e,
		entry(t, time.Hour, "GET", "/", 200), entry(t, time.Minute, "GET", "/", 200),
		entry(t, time.Hour+time.Minute, "GET", "/", 200), entry(t, 0, "GET", "/", 200)))
}

func TestStatusDecidesWhatCounts(t *testing.T) {
	t.Parallel()
	e := newEngine(t, rules(ratelimit.Rule{
		Name: "a", Limits: ratelimit.MustParse("1 per minute"), CountOnly: ratelimit.Failures,
	}), replay.Options{})
	assert.Equal(t, []bool{false, false, false, true}, deny(t, e,
		entry(t, 0, "GET", "/", 200), entry(t, 1, "GET", "/", 304), entry(t, 2, "GET", "/", 404), entry(t, 3, "GET", "/", 200)))
	assert.Equal(t, []bool{false, true}, deny(t, newEngine(t, rules(ratelimit.Rule{
		Name: "a", Limits: ratelimit.MustParse("1 per minute"), CountOnly: ratelimit.Failures,
	}), replay.Options{}), entry(t, 0, "GET", "/", 0), entry(t, 1, "GET", "/", 200)), "an unknown status counts")
}

func TestBytesOfTheLogAreTheBytesOfTheResponse(t *testing.T) {
	t.Parallel()
	var seen []int64
	e := newEngine(t, rules(ratelimit.Rule{
		Name: "a", Limits: ratelimit.MustParse("1000000 per minute"),
		ResponseCost: func(res ratelimit.Response) int64 { seen = append(seen, res.Bytes); return res.Bytes },
	}), replay.Options{})
	a, b := entry(t, 0, "GET", "/", 200), entry(t, 1, "GET", "/", 200)
	a.Bytes = 123_456
	deny(t, e, a, b)
	assert.Equal(t, []int64{123_456, 0}, seen)
}

func TestDurationsKeepRequestsInFlight(t *testing.T) {
	t.Parallel()
	e := newEngine(t, rules(ratelimit.Rule{Name: "a", InFlight: 1}), replay.Options{})
	slow := entry(t, 0, "GET", "/", 200)
	slow.Duration = 3 * time.Second
	assert.Equal(t, []bool{false, true, false}, deny(t, e, slow,
		entry(t, 2*time.Second, "GET", "/", 200), entry(t, 3*time.Second, "GET", "/", 200)))
}

func TestResponsesAreViolationsWhenTheyEnd(t *testing.T) {
	t.Parallel()
	block := &ratelimit.Block{After: ratelimit.Per(1, time.Hour), For: time.Hour, When: ratelimit.StatusIn(401)}
	e := newEngine(t, rules(ratelimit.Rule{Name: "a", Limits: ratelimit.MustParse("9 per second"), Block: block}), replay.Options{})
	slow := entry(t, 0, "GET", "/", 401)
	slow.Duration = 3 * time.Second
	assert.Equal(t, []bool{false, false, true}, deny(t, e, slow,
		entry(t, 2*time.Second, "GET", "/", 200), entry(t, 4*time.Second, "GET", "/", 200)))
	assert.EqualValues(t, 1, e.Blocks())
}

func TestLoginsCountFailuresOfTheirRoutes(t *testing.T) {
	t.Parallel()
	p := replay.Policy{Logins: map[string]replay.Login{"login": {
		Config: login.Config{Succeeded: ratelimit.StatusIn(200), PerPair: ratelimit.MustParse("2 per hour")},
		Routes: []string{"POST /login"},
	}}}
	e := newEngine(t, p, replay.Options{})
	other := entry(t, 5, "POST", "/login", 401)
	other.Client = netip.MustParseAddr("198.51.100.1")
	assert.Equal(t, []bool{false, false, true, false, false}, deny(t, e,
		entry(t, 0, "POST", "/login", 401), entry(t, 1, "POST", "/login", 401), entry(t, 2, "POST", "/login", 401),
		entry(t, 3, "POST", "/elsewhere", 401), other))
	require.Len(t, e.Notes(), 1)
	assert.Contains(t, e.Notes()[0], "logs have no accounts")
}

func TestDecoratorsApplyOnTheirRoutes(t *testing.T) {
	t.Parallel()
	e := newEngine(t, replay.Policy{Decorators: map[string]replay.Decorator{
		"d": {Rules: []ratelimit.Rule{{Name: "a", Limits: ratelimit.MustParse("1 per hour")}}, Routes: []string{"GET /a/{id}"}},
		"e": {Rules: []ratelimit.Rule{{Name: "b", Limits: ratelimit.MustParse("1 per hour")}}},
	}}, replay.Options{})
	assert.Equal(t, []bool{false, true, false}, deny(t, e,
		entry(t, 0, "GET", "/a/1", 200), entry(t, 1, "GET", "/a/2", 200), entry(t, 2, "GET", "/b", 200)))
	assert.Equal(t, []string{`decorator "e": the policy names no routes for it, so it is not replayed.`}, e.Notes())
}

func TestARequestMeetsEveryPartOnItsRoute(t *testing.T) {
	t.Parallel()
	decorator := func(name, limits string, routes ...string) replay.Decorator {
		return replay.Decorator{
			Rules: []ratelimit.Rule{{Name: name, Limits: ratelimit.MustParse(limits)}}, Routes: routes,
		}
	}
	e := newEngine(t, replay.Policy{
		Logins: map[string]replay.Login{"login": {
			Config: login.Config{Succeeded: ratelimit.StatusIn(200), PerPair: ratelimit.MustParse("1 per hour")},
			Routes: []string{"POST /login"},
		}},
		Decorators: map[string]replay.Decorator{
			"all":   decorator("all", "6 per hour", "/"),
			"posts": decorator("posts", "4 per hour", "POST /{page}"),
			"same":  decorator("same", "3 per hour", "POST /login"),
			"tree":  decorator("tree", "1 per hour", "/tree/"),
		},
	}, replay.Options{})
	var denials []string
	for i, request := range []string{
		"eve POST /login 401", "eve POST /login 401", "bob POST /login 200", "bob POST /login 200",
		"bob POST /login 200", "bob POST /a 200", "bob POST /a 200", "bob GET /tree 301",
		"bob GET /tree/ 200", "bob GET /tree/ 200", "bob GET / 200",
	} {
		var user, method, target string
		var status int
		_, err := fmt.Sscan(request, &user, &method, &target, &status)
		require.NoError(t, err)
		one := entry(t, time.Duration(i), method, target, status)
		one.User = user
		r, err := e.Serve(one)
		require.NoError(t, err)
		if r.Denied {
			denials = append(denials, fmt.Sprint(request, ": ", r.Decision.Rule))
		}
	}
	e.Finish()
	assert.Equal(t, []string{
		"eve POST /login 401: login-pair", "bob POST /login 200: same", "bob POST /a 200: posts",
		"bob GET /tree/ 200: tree", "bob GET / 200: all",
	}, denials, "the decorator of /tree/ does not meet a redirect to it")
}

func TestEnforceEnforcesDryRuns(t *testing.T) {
	t.Parallel()
	p := rules(
		ratelimit.Rule{Name: "a", Limits: ratelimit.MustParse("1 per hour"), Mode: ratelimit.DryRun},
		ratelimit.Rule{Name: "off", Limits: ratelimit.MustParse("1 per year"), Mode: ratelimit.Off},
	)
	two := []*accesslog.Entry{entry(t, 0, "GET", "/", 200), entry(t, time.Hour/2, "GET", "/", 200), entry(t, time.Hour, "GET", "/", 200)}
	assert.Equal(t, []bool{false, false, false}, deny(t, newEngine(t, p, replay.Options{}), two...))
	assert.Equal(t, []bool{false, true, false}, deny(t, newEngine(t, p, replay.Options{Enforce: true}), two...))
}

func TestTheClientIsOfTheLogOrOfThePolicy(t *testing.T) {
	t.Parallel()
	p := rules(ratelimit.Rule{Name: "a", Limits: ratelimit.MustParse("1 per hour")})
	p.Config.ClientIP = clientip.ForwardedFor(clientip.TrustedProxies("10.0.0.0/8")).IPv6Prefix(48)
	forwarded := func(after time.Duration, client string) *accesslog.Entry {
		e := entry(t, after, "GET", "/", 200)
		e.Peer, e.Header = netip.MustParseAddr("10.0.0.1"), http.Header{"X-Forwarded-For": {client}}
		return e
	}
	same := []*accesslog.Entry{forwarded(0, "2001:db8:1:1::1"), forwarded(1, "2001:db8:1:2::1"), forwarded(2, "2001:db8:2::1")}
	assert.Equal(t, []bool{false, true, false}, deny(t, newEngine(t, p, replay.Options{}), same...))
	assert.Equal(t, []bool{false, true, true}, deny(t, newEngine(t, p, replay.Options{ClientFromLog: true}), same...))
	e := newEngine(t, p, replay.Options{ClientFromLog: true})
	near, far := entry(t, 0, "GET", "/", 200), entry(t, 1, "GET", "/", 200)
	near.Client, far.Client = netip.MustParseAddr("2001:db8:1:1::1"), netip.MustParseAddr("2001:db8:1:2::1")
	assert.Equal(t, []bool{false, true}, deny(t, e, near, far), "the prefixes are those that the policy counts")

	e = newEngine(t, p, replay.Options{ClientFromLog: true})
	r, err := e.Serve(same[0])
	require.NoError(t, err)
	assert.Equal(t, "addr:192.0.2.1", r.Client.String())
	assert.Equal(t, "2001:db8:1:1::1", same[0].Header.Get("X-Forwarded-For"), "the entry stays")
}

// TestMaxWaitDecidesAsWaitingDoes compares a replay with a limiter that really holds requests.
func TestMaxWaitDecidesAsWaitingDoes(t *testing.T) {
	t.Parallel()
	rule := ratelimit.Rule{Name: "a", Limits: ratelimit.MustParse("20 per second burst 5"), MaxWait: 2 * time.Second}
	const n = 2000
	random := rand.New(rand.NewPCG(3, 4))
	var at []time.Duration
	for range n {
		at = append(at, time.Duration(random.IntN(60_000))*time.Millisecond+time.Duration(random.IntN(1e6)))
	}
	slices.Sort(at)
	want := make([]bool, n)
	synctest.Test(t, func(t *testing.T) {
		limiter, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{rule}})
		require.NoError(t, err)
		h := limiter.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) }))
		start := time.Now()
		var all sync.WaitGroup
		for i := range n {
			time.Sleep(time.Until(start.Add(at[i])))
			all.Go(func() {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), "GET", "/", nil))
				want[i] = w.Code == 429
			})
			synctest.Wait()
		}
		all.Wait()
	})
	var entries []*accesslog.Entry
	for i := range n {
		entries = append(entries, entry(t, at[i], "GET", "/", 200))
	}
	e := newEngine(t, rules(rule), replay.Options{})
	assert.Equal(t, want, deny(t, e, entries...))
	assert.Contains(t, want, true)
	assert.Contains(t, fmt.Sprint(e.Notes()), "a replay does not wait")
}

func TestAppliedCountsEveryRuleThatApplies(t *testing.T) {
	t.Parallel()
	list := new(ratelimit.List)
	require.NoError(t, list.Replace([]string{"198.51.100.1"}))
	limits := ratelimit.MustParse
	e := newEngine(t, replay.Policy{
		Config: ratelimit.Config{
			Deny: list,
			Rules: []ratelimit.Rule{
				{Name: "all", Limits: limits("4 per hour")},
				{Name: "dry", Limits: limits("1 per hour"), Mode: ratelimit.DryRun},
				{Name: "busy", InFlight: 1},
				{Name: "off", Limits: limits("1 per hour"), Mode: ratelimit.Off},
				{Name: "post", Limits: limits("1 per hour"), Methods: []string{"POST"}},
			},
		},
		Decorators: map[string]replay.Decorator{
			"d": {Rules: []ratelimit.Rule{{Name: "inner", Limits: limits("1 per hour")}}, Routes: []string{"GET /in"}},
		},
	}, replay.Options{ClientFromLog: true})
	slow, listed := entry(t, 0, "GET", "/", 200), entry(t, 5, "GET", "/", 200)
	slow.Duration, listed.Client = time.Second, netip.MustParseAddr("198.51.100.1")
	assert.Equal(t, []bool{false, true, true, false, true, false, false, true}, deny(t, e,
		slow, entry(t, time.Millisecond, "GET", "/", 200), // one is in flight
		listed, entry(t, time.Second, "GET", "/in", 200), entry(t, time.Second, "GET", "/in", 200), // by inner
		entry(t, time.Second, "GET", "/", 200), entry(t, time.Second, "POST", "/", 200),
		entry(t, time.Second, "GET", "/", 200))) // by all
	assert.Equal(t, map[string]int64{
		"all": 6, "dry": 5, "busy": 6, "off": 0, "post": 1, "inner": 2, "": 1,
	}, e.Applied())
}

func TestDryRunsTellTheirKeys(t *testing.T) {
	t.Parallel()
	e := newEngine(t, rules(ratelimit.Rule{
		Name: "dry", Limits: ratelimit.MustParse("1 per hour"), Mode: ratelimit.DryRun, Key: ratelimit.ByHeader("X-Api-Key"),
	}), replay.Options{})
	r, err := e.Serve(entry(t, 0, "GET", "/", 200))
	require.NoError(t, err)
	assert.Empty(t, r.Dry)
	r, err = e.Serve(entry(t, 1, "GET", "/", 200))
	require.NoError(t, err)
	require.Len(t, r.Dry, 1)
	assert.True(t, r.Dry[0].Missing())
}

// Clients choose how long a line is, so the lines in flight are bounded in bytes too.
func TestFlightsAreBoundedInBytes(t *testing.T) {
	t.Parallel()
	e := newEngine(t, rules(ratelimit.Rule{Name: "a", InFlight: 1100}), replay.Options{})
	line := strings.Repeat("x", 64<<10)
	for i := range 1500 {
		one := entry(t, time.Duration(i), "GET", "/", 200)
		one.Duration, one.Line = time.Hour, line
		r, err := e.Serve(one)
		require.NoError(t, err)
		require.False(t, r.Denied, "at most 64 MiB are in flight, which are 1,024 lines")
	}
	e.Finish()
	assert.Equal(t, []string{"More than 100,000 requests, or 64 MiB of their lines, were in flight. Some ended early."}, e.Notes())
}
