package ratelimit_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// A Denied of one's own can answer with the status of the default response.
func TestStatusIsThatOfTheDefaultResponse(t *testing.T) {
	for reason, want := range map[ratelimit.Reason]int{
		ratelimit.ReasonLimit: 429, ratelimit.ReasonNever: 429, ratelimit.ReasonInFlight: 429, ratelimit.ReasonBlocked: 429,
		ratelimit.ReasonUnidentified: 403, ratelimit.ReasonDenied: 403,
		ratelimit.ReasonStore: 503, ratelimit.ReasonCapacity: 503, ratelimit.ReasonOverload: 503,
	} {
		assert.Equal(t, want, ratelimit.Decision{Reason: reason}.Status(), "reason %d", reason)
	}
	assert.Equal(t, 200, ratelimit.Decision{Allowed: true, Reason: ratelimit.ReasonStore}.Status())

	nobody := ratelimit.ByUser(func(*http.Request) string { return "" })
	l := newLimiter(t, ratelimit.Config{
		Rules:  []ratelimit.Rule{{Name: "r", Limits: ratelimit.MustParse("1/s"), Key: nobody, Unidentified: ratelimit.RefuseUnidentified}},
		Denied: func(w http.ResponseWriter, _ *http.Request, d ratelimit.Decision) { w.WriteHeader(d.Status()) },
	})
	w := httptest.NewRecorder()
	l.Handler(ok).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	assert.Equal(t, http.StatusForbidden, w.Code)
}

// Mistakes that would silently mean something else are found, and the message says what was meant.
func TestPlausibleMistakes(t *testing.T) {
	r := rule("r", "1/s")
	lower, hasty := r, r
	lower.Methods, hasty.MaxWait = []string{"PROPFIND", "get"}, 2
	other := rule("other", "1/s")
	unheld := r
	unheld.MaxWaiting = 5
	nobody, again := r, r
	nobody.Key, again.Methods = ratelimit.Constant(""), []string{"get"}
	var none *ratelimit.MemoryStore
	host := r
	host.Key = ratelimit.ByHeader("host")
	for want, cfg := range map[string]ratelimit.Config{
		`Routes["post /login"]: method "post" matches no request: want POST`:                                                  {Routes: map[string][]ratelimit.Rule{"post /login": {r}}},
		`Routes["post\t/login"]: method "post" matches no request: want POST`:                                                 {Routes: map[string][]ratelimit.Rule{"post\t/login": {r}}},
		`Rules[0].Key: Constant(""): want a name, such as "everybody"`:                                                        {Rules: []ratelimit.Rule{nobody}},
		"Rules[0].Methods: \"get\" matches no request: want GET\nratelimit: Rules[1].Name: \"r\" is the name of another rule": {Rules: []ratelimit.Rule{again, r}},
		`Rules[0].Key: ByHeader("Host"): net/http does not keep it in Request.Header: want a KeyFunc`:                         {Rules: []ratelimit.Rule{host}},
		`Store: a nil *MemoryStore: want NewMemoryStore, or no Store at all`:                                                  {Store: none},
		`Store: a MemoryStore that NewMemoryStore has not made: want NewMemoryStore`:                                          {Store: new(ratelimit.MemoryStore)},
		`ExemptRoutes[0]: method "Get" matches no request: want GET`:                                                          {ExemptRoutes: []string{"Get /healthz"}},
		`Rules[0].Methods: "get" matches no request: want GET`:                                                                {Rules: []ratelimit.Rule{lower}},
		`Rules[0].MaxWait: 2ns: want 1ms to 1h0m0s, or 0 to refuse at once`:                                                   {Rules: []ratelimit.Rule{hasty}},
		`Rules[0].MaxWaiting: 5 without MaxWait`:                                                                              {Rules: []ratelimit.Rule{unheld}},
		`StoreTimeout: 50ns: want at least 10µs, or 0 for 50ms`:                                                               {StoreTimeout: 50, Rules: []ratelimit.Rule{r}},
		`Rules[1].Name: "r" is the name of another rule: want another one`:                                                    {Rules: []ratelimit.Rule{r, r}},
		`pattern "GET /a" conflicts with pattern "GET /a":`: {
			Routes: map[string][]ratelimit.Rule{"GET /a": {other}}, ExemptRoutes: []string{"GET /a"},
		},
	} {
		_, err := ratelimit.New(cfg)
		require.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), ".go:")
	}
	l := newLimiter(t, ratelimit.Config{})
	assert.PanicsWithValue(t, "ratelimit: With: no rules: want at least one", func() { l.With() })
	assert.PanicsWithValue(t, `ratelimit: FormField(""): want the name of the field that has the account`, func() { ratelimit.FormField("") })
	assert.PanicsWithValue(t, `ratelimit: JSONField(""): want the name of the field that has the account`, func() { ratelimit.JSONField("") })
}

// Values that no constant has, and too many of them.
func TestImpossibleValues(t *testing.T) {
	r := rule("r", "1/s")
	failing, many := r, r
	failing.OnStoreFailure = 9
	many.Limits = nil
	for n := range 17 {
		many.Limits = append(many.Limits, ratelimit.PerHour(int64(n+1)))
	}
	for want, cfg := range map[string]ratelimit.Config{
		"OnStoreFailure: unknown policy 9: want FailOpen, FailClosed or UseMemory": {OnStoreFailure: 9},
		"Instances: -1: want 1 to": {Instances: -1},
		"Rules[0].OnStoreFailure: unknown policy 9: want FailOpen, FailClosed or UseMemory, or 0 for that of the Config": {Rules: []ratelimit.Rule{failing}},
		"Rules[0].Limits: 17 limits: want at most 16":                                                                    {Rules: []ratelimit.Rule{many}},
	} {
		_, err := ratelimit.New(cfg)
		require.ErrorContains(t, err, want)
	}
}

// Every mistake in a Keyer is found by New, and using it all the same is an error.
func TestKeyerMistakes(t *testing.T) {
	trusted := ratelimit.TrustedProxies("10.0.0.1")
	for want, by := range map[string]ratelimit.Keyer{
		`header name "a b"`:      ratelimit.ByIPHeader("a b", trusted),
		"holds one address":      ratelimit.ByIPHeader("X-Ip", ratelimit.TrustedHops(2)),
		"TrustedHops(0)":         ratelimit.ByForwardedFor(ratelimit.TrustedHops(0)),
		"TrustedProxiesFunc":     ratelimit.ByForwardedFor(ratelimit.TrustedProxiesFunc(nil)),
		"Proxies.If(nil)":        ratelimit.ByForwardedFor(trusted.If(nil)),
		"no trusted proxies":     ratelimit.ByForwarded(ratelimit.Proxies{}),
		"ByUser(nil)":            ratelimit.ByUser(nil),
		`ByHeader("")`:           ratelimit.ByHeader(""),
		`ByCookie("a b")`:        ratelimit.ByCookie("a b"),
		"a nil KeyFunc":          ratelimit.KeyFunc(nil),
		"FirstOf(): want":        ratelimit.FirstOf(),
		"Combine, argument 1: a": ratelimit.Combine(ratelimit.KeyFunc(nil)),
	} {
		_, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{{Name: "r", Limits: ratelimit.MustParse("1/s"), Key: by}}})
		require.ErrorContains(t, err, want)
		var one *ratelimit.ConfigError
		require.ErrorAs(t, err, &one)
		assert.Equal(t, "Rules[0].Key", one.Field)
		require.Error(t, errors.Unwrap(one))
	}
	_, err := ratelimit.ByForwarded(ratelimit.Proxies{}).Key(request("192.0.2.1:1"))
	require.Error(t, err)
	_, err = ratelimit.ByUser(nil).Key(request("192.0.2.1:1"))
	require.Error(t, err)
	broken := ratelimit.KeyFunc(func(*http.Request) (ratelimit.Key, error) { return ratelimit.Key{}, errors.New("broken") })
	_, err = ratelimit.FirstOf(broken, ratelimit.ByRemoteIP()).Key(request("192.0.2.1:1"))
	require.ErrorContains(t, err, "broken")
}

func TestTrustByFunction(t *testing.T) {
	by := ratelimit.ByForwardedFor(ratelimit.TrustedProxiesFunc(netip.Addr.IsLoopback))
	addr, err := by.Addr(request("127.0.0.1:1", "X-Forwarded-For", "203.0.113.7, 127.0.0.2"))
	require.NoError(t, err)
	assert.Equal(t, "203.0.113.7", addr.String())
}

func TestExplain(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{
		Rules: []ratelimit.Rule{rule("all", "2 per hour")}, Exempt: func(r *http.Request) bool { return r.Method == "OPTIONS" },
		ExemptRoutes: []string{"/free"},
	})
	for _, r := range []*http.Request{httptest.NewRequest("OPTIONS", "/", nil), httptest.NewRequest("GET", "/free", nil)} {
		all, err := l.Explain(r)
		require.NoError(t, err)
		assert.Empty(t, all)
		assert.Empty(t, serve(l.Handler(ok), r).Header())
	}
	down := newLimiter(t, ratelimit.Config{
		Rules: []ratelimit.Rule{rule("all", "2 per hour")}, Store: failingStore{errors.New("down")}, OnStoreFailure: ratelimit.FailOpen,
	})
	_, err := down.Explain(request("192.0.2.1:1"))
	require.ErrorContains(t, err, "down")
	d, err := down.Take(context.Background(), "all", ratelimit.UserKey("a"), 1)
	require.ErrorContains(t, err, "down")
	assert.Equal(t, ratelimit.Decision{Allowed: true, Reason: ratelimit.ReasonStore, StoreFailed: true}, d)
}

// Nested limiters: the longest wait wins, and JSON is for those who ask for it.
func TestNestedRefusal(t *testing.T) {
	inner := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("in-1", "1 per hour"), rule("in-2", "1 per day")}}).Handler(ok)
	h := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("out", "9 per hour")}}).Handler(inner)
	r := request("192.0.2.1:1", "Accept", "text/plain, application/json")
	serve(h, r)
	w := serve(h, r)
	assert.Equal(t, "86400", w.Header().Get("Retry-After"))
	assert.Contains(t, w.Body.String(), `"violated-policies":["in-1","in-2"]`)
	l := named(t, "r", 3, "1 per day")
	assert.Equal(t, []any{"r", 3}, []any{l.Rule(), l.Index()})
}
