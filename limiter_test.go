package ratelimit_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/clientip"
	"github.com/ratelimit-go/ratelimit/store"
)

// Request 101 of a real client is denied. After the wait that the response names, it is allowed.
func TestRequest101(t *testing.T) {
	clock := &fakeClock{time.Now()}
	server := httptest.NewServer(newLimiter(t, ratelimit.Config{
		Clock: clock.read, Rules: []ratelimit.Rule{rule("per-client", "100 per hour")},
	}).Handler(ok))
	defer server.Close()
	get := func() *http.Response {
		resp, err := server.Client().Get(server.URL)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return resp
	}
	for range 100 {
		require.Equal(t, 200, get().StatusCode)
	}
	denied := get()
	assert.Equal(t, 429, denied.StatusCode)
	assert.Equal(t, "36", denied.Header.Get("Retry-After"))
	clock.now = clock.now.Add(36*time.Second - 1)
	assert.Equal(t, 429, get().StatusCode)
	clock.now = clock.now.Add(1)
	assert.Equal(t, 200, get().StatusCode)
}

// The test compares the whole response. A request after the wait that it names is allowed.
func TestResponses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("p", "2 per minute; 10 per hour")}}).Handler(ok)
		assert.Equal(t, http.Header{
			"Ratelimit-Policy": {`"p-1";q=2;w=60, "p-2";q=10;w=3600`}, "Ratelimit": {`"p-1";r=1;t=30, "p-2";r=9;t=3240`},
		}, serve(h, request("192.0.2.1:1")).Header())
		serve(h, request("192.0.2.1:1"))
		w := serve(h, request("192.0.2.1:1"))
		assert.Equal(t, 429, w.Code)
		assert.Equal(t, http.Header{
			"Ratelimit-Policy": {`"p-1";q=2;w=60, "p-2";q=10;w=3600`}, "Ratelimit": {`"p-1";r=0;t=30, "p-2";r=8;t=2880`},
			"Retry-After": {"30"}, "Cache-Control": {"no-store"}, "Content-Type": {"application/problem+json"},
			"X-Content-Type-Options": {"nosniff"},
		}, w.Header())
		assert.Equal(t, `{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Too Many Requests",`+
			`"status":429,"detail":"Too many requests. Retry after 30 seconds.","violated-policies":["p-1"]}`+"\n", w.Body.String())
		text := serve(h, request("192.0.2.1:1", "Accept", "text/html, */*;q=0.1"))
		assert.Equal(t, "Too many requests. Retry after 30 seconds.\n", text.Body.String())
		time.Sleep(30 * time.Second)
		assert.Equal(t, 200, serve(h, request("192.0.2.1:1")).Code)
	})
}

func TestHeaderForms(t *testing.T) {
	for form, want := range map[ratelimit.Headers]http.Header{
		ratelimit.Draft7Headers: {"Ratelimit-Policy": {"2;w=60"}, "Ratelimit": {"limit=2, remaining=1, reset=30"}},
		ratelimit.Draft6Headers: {"Ratelimit-Limit": {"2"}, "Ratelimit-Remaining": {"1"}, "Ratelimit-Reset": {"30"}},
		ratelimit.LegacyHeaders: {"X-Ratelimit-Limit": {"2"}, "X-Ratelimit-Remaining": {"1"}, "X-Ratelimit-Reset": {"946684830"}},
		ratelimit.NoHeaders:     {},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := newLimiter(t, ratelimit.Config{Headers: form, Rules: []ratelimit.Rule{rule("p", "2 per minute")}})
			h := l.Handler(l.With(rule("wide", "10 per minute"))(ok))
			assert.Equal(t, want, serve(h, request("192.0.2.1:1")).Header(), "nested: the strictest wins")
		})
	}
}

// The rules of a route and the rules for everything make one decision. Patterns choose the route.
func TestRoutesAndMethods(t *testing.T) {
	login := rule("login", "1 per hour")
	onlyGet := rule("get", "3 per hour")
	onlyGet.Methods = []string{"GET"}
	l := newLimiter(t, ratelimit.Config{
		Rules:        []ratelimit.Rule{rule("all", "10 per hour"), onlyGet},
		Routes:       map[string][]ratelimit.Rule{"POST /login/{name}": {login}},
		ExemptRoutes: []string{"GET /healthz"},
	})
	h := l.Handler(ok)
	do := func(method, path string) int {
		r := httptest.NewRequest(method, path, nil)
		return serve(h, r).Code
	}
	assert.Equal(t, 200, do("POST", "/login/a"))
	assert.Equal(t, 429, do("POST", "/login/b"), "B2: one bucket for all names")
	all := l.Explain(httptest.NewRequest("POST", "/login/c", nil))
	require.Len(t, all, 2)
	assert.Equal(t, int64(9), all[0].Remaining, "a refusal costs nothing anywhere")
	assert.Equal(t, []int{200, 200, 200, 429}, []int{do("GET", "/x"), do("HEAD", "/x"), do("GET", "/none"), do("HEAD", "/")}, "B3")
	assert.Equal(t, 200, do("FOO", "/x"), "B4: only the rule for everything")
	for range 20 {
		assert.Equal(t, 200, do("GET", "/healthz"))
	}
}

// A decorator refunds what the outer limiter charged. Handlers see the decision.
func TestDecorators(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("all", "10 per hour")}})
	seen := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		d, found := ratelimit.DecisionFrom(r.Context())
		assert.True(t, found)
		assert.Equal(t, "1 per hour", d.Rule)
	})
	first, second := l.Limit("1/hour", ratelimit.ByClientIP()), l.Limit("1 per hour", ratelimit.ByClientIP())
	h := l.Handler(first(seen))
	r := request("192.0.2.1:1")
	assert.Equal(t, `"all";r=9;t=3240, "1 per hour";r=0;t=3600`, serve(h, r).Header().Get("RateLimit"))
	assert.Equal(t, 429, serve(h, r).Code)
	assert.Equal(t, 200, serve(second(ok), r).Code, "each call is a budget of its own")
	key, _ := ratelimit.ByIP(clientip.Remote()).Key(r)
	d, err := l.Peek(context.Background(), "all", key)
	require.NoError(t, err)
	assert.Equal(t, int64(9), d.Remaining)
	require.NoError(t, l.Reset(context.Background(), "1 per hour", key))
	assert.Equal(t, 200, serve(h, r).Code, "unblocked by hand")
	assert.Panics(t, func() { l.Limit("1 per fortnight", ratelimit.ByClientIP()) })
	assert.Panics(t, func() { l.With(rule("all", "1 per hour")) })
	_, found := ratelimit.DecisionFrom(context.Background())
	assert.False(t, found)
}

// User functions fail and panic, and keys are missing.
func TestUserFunctions(t *testing.T) {
	var reported []string
	failing := ratelimit.Rule{
		Name: "f", Limits: ratelimit.MustParse("5 per hour"),
		Key:       ratelimit.KeyFunc(func(*http.Request) (ratelimit.Key, error) { panic("key") }),
		Cost:      func(*http.Request) int64 { return -1 },
		Skip:      func(*http.Request) bool { panic("skip") },
		LimitsFor: func(context.Context, ratelimit.Key) ratelimit.Limits { return ratelimit.Limits{{}} },
	}
	cfg := ratelimit.Config{
		Rules: []ratelimit.Rule{failing}, Exempt: func(*http.Request) bool { panic("exempt") },
		Hooks: ratelimit.Hooks{Error: func(_ context.Context, err error) { reported = append(reported, err.Error()); panic("reporting") }},
	}
	w := serve(newLimiter(t, cfg).Handler(ok), request("@"))
	assert.Equal(t, 200, w.Code)
	assert.Equal(t, `"f";r=4;t=2880`, w.Header().Get("RateLimit"), "counted with cost 1 in the shared bucket")
	assert.Len(t, reported, 5)
	for choice, status := range map[ratelimit.MissingKey]int{ratelimit.DenyRequest: 403, ratelimit.SkipRule: 200} {
		anonymous := rule("a", "1 per hour")
		anonymous.OnMissingKey = choice
		h := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{anonymous}}).Handler(ok)
		serve(h, request("@"))
		assert.Equal(t, status, serve(h, request("@")).Code)
	}
}

func TestPlansAndCost(t *testing.T) {
	plan := rule("plan", "1 per hour")
	plan.Key = ratelimit.ByUser(func(r *http.Request) string { return r.Header.Get("Plan") + r.RemoteAddr })
	plan.LimitsFor = func(_ context.Context, key ratelimit.Key) ratelimit.Limits {
		switch key {
		case ratelimit.UserKey("pro192.0.2.1:1"):
			return ratelimit.Limits{ratelimit.Per(5, time.Hour)}
		case ratelimit.UserKey("free192.0.2.2:1"):
			return nil
		}
		return ratelimit.Limits{ratelimit.MustParse("unlimited")[0]}
	}
	plan.Cost = func(r *http.Request) int64 { return int64(len(r.Header["Unit"])) }
	h := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{plan}}).Handler(ok)
	assert.Equal(t, `"plan";r=3;t=2160`, serve(h, request("192.0.2.1:1", "Plan", "pro", "Unit", "1", "Unit",
		"2")).Header().Get("RateLimit"))
	never := serve(h, request("192.0.2.2:1", "Plan", "free", "Unit", "1", "Unit", "2"))
	assert.Equal(t, 429, never.Code)
	assert.Empty(t, never.Header().Get("Retry-After"), "promise 4: no false hope")
	assert.Empty(t, serve(h, request("192.0.2.1:1")).Header())
}

type failingStore struct{ err error }

func (s failingStore) Apply(context.Context, []store.Op) error {
	if s.err == nil {
		panic("store")
	}
	return s.err
}

func TestStoreFailure(t *testing.T) {
	for policy, want := range map[ratelimit.FailurePolicy][]int{
		ratelimit.FailOpen: {200, 200}, ratelimit.FailClosed: {503, 503}, ratelimit.UseMemory: {200, 429},
	} {
		for _, err := range []error{errors.New("down"), nil} {
			var reported []error
			h := newLimiter(t, ratelimit.Config{
				Rules: []ratelimit.Rule{rule("r", "1 per hour")}, Store: failingStore{err}, OnStoreFailure: policy,
				Hooks: ratelimit.Hooks{Error: func(_ context.Context, err error) { reported = append(reported, err) }},
			}).Handler(ok)
			got := []int{serve(h, request("192.0.2.1:1")).Code}
			w := serve(h, request("192.0.2.1:1"))
			assert.Equal(t, want, append(got, w.Code))
			assert.NotContains(t, w.Body.String(), "down", "the store's error stays out of the response")
			assert.Len(t, reported, 2)
		}
	}
}

// New reports all mistakes at once, each with its place.
func TestConfigMistakes(t *testing.T) {
	_, err := ratelimit.New(ratelimit.Config{
		Rules: []ratelimit.Rule{
			{},
			{
				Name: "a\n", Limits: ratelimit.Limits{{Count: -1}},
				Key: ratelimit.ByIP(clientip.ForwardedFor(clientip.TrustedProxies("10.0.0.0/x", "0.0.0.0/0"))),
			},
			{
				Name: "b", Limits: ratelimit.Limits{ratelimit.MustParse("unlimited")[0], ratelimit.Per(1, 24*time.Hour)},
				Key: ratelimit.FirstOf(nil, ratelimit.ByUser(nil), ratelimit.AllOf()),
			},
			rule("c", "1/s"), rule("c", "1/s"),
			{
				Name: "d", Limits: ratelimit.MustParse("1/s"), Key: ratelimit.ByIP(clientip.Remote().IPv6Prefix(8)),
				Methods: []string{" "}, OnMissingKey: "x",
			},
		},
		Routes: map[string][]ratelimit.Rule{"nonsense pattern": {}},
		Store:  failingStore{}, StoreTimeout: -1, Headers: "x",
	})
	var one *ratelimit.ConfigError
	require.ErrorAs(t, err, &one)
	for _, want := range []string{
		"OnStoreFailure", "StoreTimeout", "Headers", "Rules[0].Name", "Rules[0].Limits", "Rules[1].Name", "Rules[1].Limits",
		`"10.0.0.0/x"`, `"0.0.0.0/0" trusts everybody`, "unlimited beside", "argument 1", "argument 2: ByUser(nil)", "argument 3",
		"Rules[4].Name",
		"IPv6Prefix(8)", "Rules[5].Methods", "Rules[5].OnMissingKey", `Routes["nonsense pattern"]`,
	} {
		assert.ErrorContains(t, err, want)
	}
}

// The handler gets the server's own ResponseWriter.
func TestResponseWriterIsNotWrapped(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("r", "9/s")}})
	server := httptest.NewServer(l.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		require.NoError(t, http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute)))
		_, hijacker := w.(http.Hijacker)
		assert.True(t, hijacker)
		_, _ = io.WriteString(w, "x")
		w.(http.Flusher).Flush()
	})))
	defer server.Close()
	resp, err := server.Client().Get(server.URL)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, "x", string(body))
}

func TestTakeWithoutHTTP(t *testing.T) {
	var denied ratelimit.Decision
	l := newLimiter(t, ratelimit.Config{
		Rules: []ratelimit.Rule{
			rule("emails", "2 per hour"),
			{Name: "hidden", Limits: ratelimit.MustParse("1 per hour"), Key: ratelimit.ByClientIP(), OmitHeaders: true},
		},
		Hooks: ratelimit.Hooks{Denied: func(_ *http.Request, d ratelimit.Decision) { denied = d }},
		DenyHandler: func(w http.ResponseWriter, _ *http.Request, d ratelimit.Decision) {
			http.Error(w, d.Rule, http.StatusTeapot)
		},
	})
	ctx, alice := context.Background(), ratelimit.UserKey("alice")
	d, err := l.Take(ctx, "emails", alice, 2)
	require.NoError(t, err)
	assert.Equal(t, ratelimit.Decision{
		Allowed: true, Rule: "emails", Mode: ratelimit.Enforce,
		Limit: ratelimit.Limit{Count: 2, Period: time.Hour, Burst: 2}, Key: alice, ResetAfter: time.Hour,
	}, d)
	d, err = l.Take(ctx, "emails", alice, 1)
	require.NoError(t, err)
	assert.Equal(t, ratelimit.ReasonLimit, d.Reason)
	require.NoError(t, l.Refund(ctx, "emails", alice, 1))
	_, err = l.Take(ctx, "nothing", alice, 1)
	require.Error(t, err)
	_, err = l.Take(ctx, "emails", alice, -1)
	require.ErrorIs(t, err, store.ErrInvalidOp)
	h := l.Handler(ok)
	assert.Equal(t, `"emails";r=1;t=1800`, serve(h, request("192.0.2.1:1")).Header().Get("RateLimit"), "an address is no user")
	w := serve(h, request("192.0.2.1:1"))
	assert.Equal(t, 418, w.Code)
	assert.Equal(t, "hidden", strings.TrimSpace(w.Body.String()))
	assert.Equal(t, "hidden", denied.Rule)
}

// ctxStore is a Store that would give up if its context were done.
type ctxStore struct{ ratelimit.Store }

func (s ctxStore) Apply(ctx context.Context, ops []store.Op) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, limited := ctx.Deadline(); !limited {
		return errors.New("no deadline")
	}
	return s.Store.Apply(ctx, ops)
}

// A client that hangs up is still charged, within a deadline that is not its own.
func TestClientThatHangsUpIsCharged(t *testing.T) {
	h := newLimiter(t, ratelimit.Config{
		Rules: []ratelimit.Rule{rule("r", "1 per hour")}, Store: ctxStore{ratelimit.NewMemoryStore(ratelimit.MemoryConfig{})},
		OnStoreFailure: ratelimit.FailOpen, Hooks: ratelimit.Hooks{Error: func(_ context.Context, err error) { t.Error(err) }},
	}).Handler(ok)
	gone, hangUp := context.WithCancel(context.Background())
	hangUp()
	assert.Equal(t, 200, serve(h, request("192.0.2.1:1").WithContext(gone)).Code)
	assert.Equal(t, 429, serve(h, request("192.0.2.1:1")).Code)
}

// Take needs a key and a cost even where there is nothing to take.
func TestTakeOfNothing(t *testing.T) {
	busy := ratelimit.Rule{Name: "busy", Key: ratelimit.ByClientIP(), InFlight: 1}
	feared := busy
	feared.Name, feared.Block = "feared", &ratelimit.Block{After: ratelimit.Per(1, time.Hour), When: ratelimit.Failures}
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("unlimited", "unlimited"), busy, feared}})
	for _, name := range []string{"unlimited", "busy", "feared"} {
		d, err := l.Take(t.Context(), name, ratelimit.UserKey("a"), 1)
		require.NoError(t, err)
		assert.True(t, d.Allowed)
		_, err = l.Take(t.Context(), name, ratelimit.UserKey("a"), -1)
		require.ErrorIs(t, err, store.ErrInvalidOp)
		_, err = l.Take(t.Context(), name, ratelimit.Key{}, 1)
		require.ErrorIs(t, err, store.ErrInvalidOp)
	}
}

// A path for which a ServeMux would redirect to an exempt one is not exempt: what is behind the
// limiter may be no ServeMux, and serve it. Rules of routes apply to it, since they would be
// escaped.
func TestUncleanPathsAreNotExempt(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{
		Rules:        []ratelimit.Rule{rule("all", "4 per hour")},
		Routes:       map[string][]ratelimit.Rule{"/login": {rule("login", "1 per hour")}},
		ExemptRoutes: []string{"GET /healthz", "/public/"},
	})
	codes := func(path string) []int {
		var all []int
		for range 3 {
			r := request("192.0.2.1:1")
			r.URL.Path = path
			all = append(all, serve(l.Handler(ok), r).Code)
		}
		return all
	}
	assert.Equal(t, []int{200, 200, 200}, codes("/healthz"))
	assert.Equal(t, []int{200, 200, 200}, codes("/public/a"))
	assert.Equal(t, []int{200, 429, 429}, codes("//login"))
	assert.Equal(t, []int{200, 200, 200}, codes("/search/../healthz"))
	for _, path := range []string{"//healthz", "/public", "/x/../healthz"} {
		assert.Equal(t, []int{429, 429, 429}, codes(path), path)
	}
}

// Response fields of an outer middleware do not break the denial. Its fields about limits stay.
func TestDenialWithinAnotherMiddleware(t *testing.T) {
	h := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("r", "1 per hour")}}).Handler(ok)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "5")
		w.Header()["Ratelimit"] = []string{`"a";r=1;t=1`, `"b";r=0;t=9`}
		if r.URL.Path == "/first" {
			w.Header().Del("Content-Length")
		}
		h.ServeHTTP(w, r)
	}))
	defer srv.Close()
	for _, path := range []string{"/first", "/second"} {
		resp, err := http.Get(srv.URL + path)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		_ = resp.Body.Close()
		assert.Equal(t, []string{`"a";r=1;t=1, "b";r=0;t=9, "r";r=0;t=3600`}, resp.Header["Ratelimit"])
		if path == "/second" {
			assert.Equal(t, 429, resp.StatusCode)
			assert.Contains(t, string(body), "quota-exceeded")
		}
	}
}
