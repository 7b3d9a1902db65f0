package policyfile_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/login"
	"github.com/ratelimit-go/ratelimit/policyfile"
	"github.com/ratelimit-go/ratelimit/shed"
)

func request(t *testing.T, method, target string, fields ...string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, http.NoBody)
	for i := 0; i < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	return r
}

// ruleOf parses a file with one rule, which has the given fields.
func ruleOf(t *testing.T, fields string) ratelimit.Rule {
	t.Helper()
	return parse(t, "version: 1\nrules: [{name: a, limits: 100/m, "+fields+"}]").Config().Rules[0]
}

func TestConfigOfTheFullFile(t *testing.T) {
	f := parse(t, string(contentOf(t, "testdata/good/full.yaml")))
	cfg := f.Config()
	assert.Equal(t, ratelimit.UseMemory, cfg.OnStoreFailure)
	assert.Equal(t, 3, cfg.Instances)
	assert.Equal(t, 20*time.Millisecond, cfg.StoreTimeout)
	assert.Equal(t, 30*time.Second, cfg.LeaseTTL)
	assert.Equal(t, ratelimit.DraftHeaders, cfg.Headers)
	assert.True(t, cfg.MergeHeaders && cfg.SharedCache)
	assert.Equal(t, []string{"GET /healthz"}, cfg.ExemptRoutes)
	assert.True(t, cfg.Exempt(request(t, "GET", "/", "Internal", "1")))

	require.Len(t, cfg.Rules, 2)
	first, second := cfg.Rules[0], cfg.Rules[1]
	assert.Equal(t, ratelimit.EnforcePercent(10), first.Mode)
	assert.Equal(t, ratelimit.Per(10, 10*time.Minute), first.Block.After)
	assert.Equal(t, []time.Duration{time.Minute, time.Hour, 24 * time.Hour},
		[]time.Duration{first.Block.For, first.Block.Max, first.Block.Forget})
	assert.Equal(t, 200, second.InFlight)
	assert.True(t, second.OmitHeaders)
	assert.Equal(t, ratelimit.FailOpen, second.OnStoreFailure)

	search := cfg.Routes["GET /search"][0]
	assert.Equal(t, ratelimit.MustParse("1000 per minute burst 200; 10000 per hour"), search.Limits)
	assert.Equal(t, 2*time.Second, search.MaxWait)
	assert.Equal(t, 50, search.MaxWaiting)
	assert.Equal(t, ratelimit.MustParse("1000 per minute"), search.LimitsFor(t.Context(), ratelimit.UserKey("gold")))
	orders := cfg.Routes["POST /orders"]
	assert.Equal(t, ratelimit.DenyRequest, orders[0].OnMissingKey)
	assert.Equal(t, []string{"POST"}, orders[0].Methods)
	assert.Equal(t, ratelimit.DryRun, orders[1].Mode)
	require.Len(t, cfg.Budgets, 1)
	assert.Equal(t, ratelimit.FailClosed, cfg.Budgets[0].OnStoreFailure)
	assert.Equal(t, time.Minute, cfg.Budgets[0].MaxWait)

	uploads := f.Decorators()["uploads"]
	assert.Equal(t, []string{"POST /uploads"}, uploads.Routes)
	assert.Equal(t, ratelimit.Off, uploads.Rules[0].Mode)
	in := f.Logins()["login"]
	assert.Equal(t, []string{"POST /login"}, in.Routes)
	assert.Equal(t, "login", in.Config.Name)
	assert.Equal(t, 30*24*time.Hour, in.Config.Remember)
	assert.Equal(t, ratelimit.MustParse("600 per 10 minutes burst 50"), in.Config.Total)
	limiter, err := ratelimit.New(cfg)
	require.NoError(t, err)
	_, err = login.New(limiter, in.Config)
	require.NoError(t, err)
	assert.Empty(t, f.Unknown())
}

func TestAnyNameAcceptsAndListsNames(t *testing.T) {
	f, err := policyfile.Parse(contentOf(t, "testdata/good/full.yaml"), policyfile.Options{AnyName: true})
	require.NoError(t, err)
	assert.Equal(t, []string{
		"key user", "limits_for plans", "request condition from-cdn", "request condition internal",
	}, f.Unknown())
	cfg := f.Config()
	assert.Nil(t, cfg.Routes["GET /search"][0].LimitsFor(t.Context(), ratelimit.UserKey("gold")))
	assert.False(t, cfg.Exempt(request(t, "GET", "/", "Internal", "1")))
	key, err := cfg.Routes["GET /search"][0].Key.Key(request(t, "GET", "/search"))
	assert.Error(t, err, "%v: the address needs a rule", key)
}

func TestKeyersFindNames(t *testing.T) {
	var asked []string
	options := policyfile.Options{Keyers: func(name string) ratelimit.Keyer {
		asked = append(asked, name)
		if name == "user" {
			return ratelimit.Global("someone")
		}
		return nil
	}}
	_, err := policyfile.Parse([]byte("version: 1\nrules: [{name: a, limits: 1/s, key: user}, "+
		"{name: b, limits: 1/s, key: tenant}]"), options)
	assert.EqualError(t, err, `2:72: rules[1].key: the program has no key "tenant": want client_ip or pattern`)
	assert.Equal(t, []string{"user", "tenant"}, asked)
}

func TestKeys(t *testing.T) {
	r := request(t, "GET", "/", "User", "alice", "Tenant", "acme", "X-Api-Key", "k", "Cookie", "session=s")
	other := request(t, "GET", "/", "Tenant", "acme")
	tenant := ratelimit.ValueKey("tenant", "acme")
	for text, want := range map[string]struct{ full, other ratelimit.Keyer }{
		"user":                      {ratelimit.ByUser(func(*http.Request) string { return "alice" }), nil},
		"{header: X-Api-Key}":       {ratelimit.ByHeader("X-Api-Key"), nil},
		"{cookie: session}":         {ratelimit.ByCookie("session"), nil},
		"{global: all}":             {ratelimit.Global("all"), ratelimit.Global("all")},
		"{all_of: [user, tenant]}":  {keyer(ratelimit.JoinKeys(ratelimit.UserKey("alice"), tenant)), nil},
		"{first_of: [user,tenant]}": {keyer(ratelimit.UserKey("alice")), keyer(tenant)},
	} {
		k := ruleOf(t, "key: "+text).Key
		for req, want := range map[*http.Request]ratelimit.Keyer{r: want.full, other: want.other} {
			got, err := k.Key(req)
			if want == nil {
				assert.ErrorIs(t, err, ratelimit.ErrNoKey, text)
				continue
			}
			require.NoError(t, err)
			wanted, err := want.Key(req)
			require.NoError(t, err)
			assert.Equal(t, wanted, got, text)
		}
	}
	assert.Equal(t, ratelimit.ByClientIP(), ruleOf(t, "key: client_ip").Key)
	assert.Equal(t, ratelimit.ByPattern(), ruleOf(t, "key: pattern").Key)
}

func keyer(k ratelimit.Key) ratelimit.Keyer {
	return ratelimit.KeyFunc(func(*http.Request) (ratelimit.Key, error) { return k, nil })
}

func TestCosts(t *testing.T) {
	fixed, query := ruleOf(t, "cost: 7").Cost, ruleOf(t, "cost: {query: limit, default: 10, max: 100}").Cost
	for target, want := range map[string]int64{
		"/": 10, "/?limit=5": 5, "/?limit=0": 1, "/?limit=100": 100, "/?limit=101": 100, "/?limit=-5": 100,
		"/?limit=": 100, "/?limit=ten": 100, "/?limit=5&limit=50": 50, "/?limit=5&limit=x": 100, "/?Limit=5": 10,
		"/?limit=1e9": 100, "/?limit=99999999999999999999": 100, "/?limit=5;a": 100, "/?%6cimit=7": 7, "/?limit=%zz": 100,
	} {
		r := request(t, "GET", "/")
		r.URL.RawQuery = target[min(2, len(target)):]
		assert.Equal(t, want, query(r), target)
		assert.EqualValues(t, 7, fixed(r))
	}
	assert.EqualValues(t, 1, ruleOf(t, "cost: {query: limit, max: 100}").Cost(request(t, "GET", "/")))
	final := ruleOf(t, "response_cost: {header: x-cost, max: 10}").ResponseCost
	for _, one := range []struct {
		want  int64
		lines []string
	}{
		{3, nil},
		{0, []string{"0"}},
		{8, []string{"8"}},
		{10, []string{"11"}},
		{10, []string{"-1"}},
		{10, []string{"1", "1"}},
		{10, []string{""}},
	} {
		assert.Equal(t, one.want, final(ratelimit.Response{Header: http.Header{"X-Cost": one.lines}, Cost: 3}), one.lines)
	}
}

func TestConditionsOnResponses(t *testing.T) {
	for text, want := range map[string][]int{
		"failures": {0, 401, 500}, "server-error": {500}, "[401, 5xx]": {401, 500}, "[200]": {200}, "[2xx, 4xx]": {200, 401},
	} {
		count := ruleOf(t, "count_only: "+text).CountOnly
		var got []int
		for _, status := range []int{0, 200, 302, 401, 500} {
			if count(ratelimit.Response{Status: status}) {
				got = append(got, status)
			}
		}
		assert.Equal(t, want, got, text)
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"1500ms": 1500 * time.Millisecond, "1m30s": 90 * time.Second, "15 minutes": 15 * time.Minute,
		"1 hour": time.Hour, "minute": time.Minute,
	} {
		assert.Equal(t, want, ruleOf(t, "max_wait: "+text).MaxWait, text)
	}
	for _, text := range []string{"0s", "1", "5 minutes burst 3", "1m; 2 per hour", "forever", "1 per minute", "1e400s"} {
		_, err := policyfile.Parse([]byte("version: 1\nrules: [{name: a, limits: 100/m, max_wait: "+text+"}]"), program())
		assert.ErrorContains(t, err, "want a time above 0 with its unit", text)
	}
}

func TestClientIP(t *testing.T) {
	for text, want := range map[string]string{
		"": "192.0.2.1",
		"client_ip: {header: X-Forwarded-For, trusted_proxies: [192.0.2.0/24]}":                     "203.0.113.9",
		"client_ip: {header: forwarded, trusted_hops: 1}":                                           "203.0.113.8",
		"client_ip: {header: CF-Connecting-IP, trusted_proxies: [192.0.2.1]}":                       "203.0.113.7",
		"client_ip: {header: CF-Connecting-IP, trusted_proxies: [192.0.2.1], trusted_if: from-cdn}": "192.0.2.1",
		"client_ip: {header: X-Forwarded-For, trusted_proxies: [198.51.100.1]}":                     "192.0.2.1",
		"client_ip: {header: X-Forwarded-For, trusted_proxies: [192.0.2.1, unix], ipv6_prefix: 48}": "203.0.113.9",
	} {
		source := parse(t, "version: 1\n"+text).Config().ClientIP
		addr, err := source.Addr(request(t, "GET", "/", "X-Forwarded-For", "203.0.113.9", "Forwarded", "for=203.0.113.8",
			"CF-Connecting-IP", "203.0.113.7"))
		require.NoError(t, err)
		assert.Equal(t, netip.MustParseAddr(want), addr, text)
	}
}

func TestShedder(t *testing.T) {
	cfg, ok := parse(t, string(contentOf(t, "testdata/good/full.yaml"))).Shedder()
	require.True(t, ok)
	assert.Equal(t, 500, cfg.MaxInFlight)
	assert.Equal(t, 250*time.Millisecond, cfg.TargetLatency)
	for target, want := range map[string]shed.Priority{
		"/healthz": shed.Critical, "/export": shed.Sheddable, "/": shed.Normal, "/x/../healthz": shed.Normal,
		"/healthz/x": shed.Normal, "//healthz": shed.Normal,
	} {
		r := request(t, "GET", "/")
		r.URL.Path = target
		assert.Equal(t, want, cfg.Priority(r), target)
	}
	assert.Equal(t, shed.Normal, cfg.Priority(request(t, "POST", "/healthz")))
	assert.True(t, cfg.Exempt(request(t, "GET", "/events")))
	assert.False(t, cfg.Exempt(request(t, "GET", "/")))
	_, ok = parse(t, five).Shedder()
	assert.False(t, ok)
}

func TestTheProgramKeepsWhatNoFileHas(t *testing.T) {
	store := ratelimit.NewMemoryStore(ratelimit.MemoryConfig{})
	options := policyfile.Options{Config: ratelimit.Config{Store: store, Instances: 7, Headers: ratelimit.NoHeaders}}
	f, err := policyfile.Parse([]byte("version: 1\nheaders: legacy\n"), options)
	require.NoError(t, err)
	cfg := f.Config()
	assert.Same(t, store, cfg.Store)
	assert.Equal(t, 7, cfg.Instances)
	assert.Equal(t, ratelimit.LegacyHeaders, cfg.Headers)

	options.Config.Rules = []ratelimit.Rule{{Name: "a"}}
	options.Config.Deny = new(ratelimit.List)
	options.Keys = map[string]ratelimit.Keyer{"pattern": ratelimit.ByPattern()}
	_, err = policyfile.Parse([]byte("version: 1"), options)
	var mistakes policyfile.Mistakes
	require.ErrorAs(t, err, &mistakes)
	require.Len(t, mistakes, 3)
	assert.Equal(t, `Options.Config.Deny: set by the program: want it in the file, or rules in a decorator of the program`,
		mistakes[0].Error())
}

func TestMistakesAreBounded(t *testing.T) {
	for n, last := range map[int]string{
		100: "100:1: x100: unknown field", 101: "101:1: more mistakes from here on: 1",
		150: "101:1: more mistakes from here on: 50",
	} {
		var b strings.Builder
		for i := range n - 1 {
			fmt.Fprintf(&b, "x%d: 1\n", i+1)
		}
		fmt.Fprintf(&b, "x%d: 1\nversion: 1\n", n)
		_, err := policyfile.Parse([]byte(b.String()), program())
		var mistakes policyfile.Mistakes
		require.ErrorAs(t, err, &mistakes)
		require.Len(t, mistakes, min(n, 101))
		assert.Contains(t, mistakes[len(mistakes)-1].Error(), last)
	}
}

func TestTrueInEachSpelling(t *testing.T) {
	for text, want := range map[string]bool{
		"true": true, "True": true, "TRUE": true, "false": false, "False": false, "FALSE": false,
	} {
		f, err := policyfile.Parse([]byte(five+"merge_headers: "+text+"\n"), program())
		require.NoError(t, err, text)
		assert.Equal(t, want, f.Config().MergeHeaders, text)
	}
}

func TestReadIsBounded(t *testing.T) {
	path := t.TempDir() + "/policy.yaml"
	write(t, path, five+"#"+string(make([]byte, 2<<20)))
	_, err := policyfile.Read(path, program())
	assert.EqualError(t, err, "1:1: the file has 1048577 bytes or more: want at most 1048576")
	write(t, path, "\ufeff"+five+"#"+strings.Repeat("x", 1<<20)+"\nrules: [x]\n")
	_, err = policyfile.Read(path, program())
	assert.EqualError(t, err, "1:1: the file has 1048577 bytes or more: want at most 1048576",
		"the part after the bound is not read, so the file is not known")
	_, err = policyfile.Read(path+"x", program())
	assert.ErrorContains(t, err, "no such file")
	write(t, path, five)
	f, err := policyfile.Read(path, program())
	require.NoError(t, err)
	assert.Len(t, f.Config().Rules, 1)
}
