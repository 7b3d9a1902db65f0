package dashboard

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

func TestFindsTheKeyThatARuleCounts(t *testing.T) {
	l := newLimiter(t)
	r, err := http.NewRequest(http.MethodGet, "/", nil)
	require.NoError(t, err)
	r.Header.Set("X-API-Key", "sk-123")
	r.AddCookie(&http.Cookie{Name: "session", Value: "s-456"})
	header, err := ratelimit.ByHeader("X-API-Key").Key(r)
	require.NoError(t, err)
	cookie, err := ratelimit.ByCookie("session").Key(r)
	require.NoError(t, err)
	long := strings.Repeat("long", 20)
	for _, c := range []struct {
		form findForm
		want string
	}{
		{findForm{"text", "", "user:alice"}, "user:alice"},
		{findForm{"", "", " addr:192.0.2.1 "}, "addr:192.0.2.1"},
		{findForm{"user", "", " alice "}, "user:alice"},
		{findForm{"user", "", long}, ratelimit.UserKey(long).String()},
		{findForm{"text", "", ratelimit.UserKey(long).String()}, ratelimit.UserKey(long).String()},
		{findForm{"addr", "", "192.0.2.1"}, "addr:192.0.2.1"},
		{findForm{"addr", "", "::ffff:192.0.2.1"}, "addr:192.0.2.1"},
		{findForm{"addr", "", "2001:db8::1"}, "addr:2001:db8::/64"},
		{findForm{"header", "x-api-key", "sk-123"}, header.String()},
		{findForm{"cookie", "session", "s-456"}, cookie.String()},
		{findForm{"value", "tenant", "acme"}, "tenant:acme"},
	} {
		k, err := c.form.key(l)
		require.NoError(t, err, "%+v", c.form)
		assert.Equal(t, c.want, k.String(), "%+v", c.form)
	}
}

func TestFindSaysWhatIsWrong(t *testing.T) {
	p := newPage(t, newLimiter(t), Config{})
	for _, c := range []struct {
		kind, name, text, want string
	}{
		{"text", "", "", "type what to look for"},
		{"text", "", "alice", "Write a key as the page shows it"},
		{"text", "", "none", "this text is no key"},
		{"addr", "", "300.1.1.1", "is no address, such as 192.0.2.1"},
		{"header", "", "x", "type the name"},
		{"cookie", "bad name", "x", "is no cookie that a request can have"},
		{"text", "", `"` + strings.Repeat("x", 5000), "ratelimit: key"},
	} {
		status, body := post(p, "/find", url.Values{"kind": {c.kind}, "name": {c.name}, "text": {c.text}})
		assert.Equal(t, 400, status, "%+v", c)
		assert.Contains(t, body, c.want, "%+v", c)
	}
	status, _ := post(p, "/find", url.Values{"kind": {"user"}, "text": {"x"}}, "Sec-Fetch-Site", "cross-site")
	assert.Equal(t, 403, status, "a search of another site tells nothing")
}

func TestFindShowsThePlan(t *testing.T) {
	l := newLimiter(t,
		ratelimit.Rule{
			Name: "plan", Limits: ratelimit.MustParse("10 per hour"),
			LimitsFor: func(_ context.Context, k ratelimit.Key) ratelimit.Limits {
				if k == ratelimit.UserKey("pro") {
					return ratelimit.MustParse("1000 per hour")
				}
				return nil
			},
		},
		ratelimit.Rule{Name: "spent", Limits: ratelimit.MustParse("10 per hour")},
		ratelimit.Rule{Name: "trial", Limits: ratelimit.MustParse("10 per hour"), Mode: ratelimit.DryRun},
		ratelimit.Rule{Name: "flights", InFlight: 3},
	)
	k := ratelimit.UserKey("pro")
	take := func(rule string, n int64) {
		_, err := l.Take(t.Context(), rule, k, n)
		require.NoError(t, err)
	}
	take("plan", 100)
	take("spent", 9)
	take("trial", 10)
	require.NoError(t, l.Block(t.Context(), "per-user", k, 90*time.Minute))
	p := newPage(t, l, Config{})
	got := map[string]standing{}
	result := p.find(t.Context(), k)
	for _, s := range result.Used {
		got[s.Rule] = s
	}
	assert.Equal(t, standing{
		Rule: "plan", Mode: "enforce", Limit: "1000 per hour", Left: "900", Burst: "1,000",
		Share: 90, Full: "6 min", Class: "info",
	}, got["plan"])
	assert.Equal(t, "warn", got["spent"].Class)
	assert.Equal(t, "bad", got["trial"].Class)
	assert.NotEmpty(t, got["trial"].Wait)
	assert.True(t, got["per-user"].Blocked)
	assert.Equal(t, "1 h 30 min", got["per-user"].BlockLeft)
	require.Len(t, result.Full, 1)
	assert.Equal(t, standing{
		Rule: "flights", Mode: "enforce", Limit: "3 in flight", Left: "3", Burst: "3", Share: 100,
	}, result.Full[0])

	status, body := post(p, "/find", url.Values{"kind": {"user"}, "text": {"pro"}})
	assert.Equal(t, 200, status)
	assert.Contains(t, body, "900 of 1,000")
	assert.Contains(t, body, "blocked until")
}

// A rule that bounds requests in flight shows how many places of the key are free.
func TestFindShowsPlaces(t *testing.T) {
	l := newLimiter(t, ratelimit.Rule{Name: "flights", InFlight: 2, Key: ratelimit.ByHeader("Plane")})
	p := newPage(t, l, Config{})
	k, err := named("header", "Plane", "a")
	require.NoError(t, err)
	entered, leave := make(chan struct{}), make(chan struct{})
	h := l.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { entered <- struct{}{}; <-leave }))
	defer close(leave)
	for _, want := range []standing{
		{Left: "1", Share: 50, Class: "info"}, {Left: "0", Class: "bad", Note: "denied until a request ends"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Plane", "a")
		go h.ServeHTTP(httptest.NewRecorder(), r)
		<-entered
		want.Rule, want.Mode, want.Limit, want.Burst = "flights", "enforce", "2 in flight", "2"
		result := p.find(t.Context(), k)
		require.Len(t, result.Used, 1)
		assert.Equal(t, want, result.Used[0])
	}
	_, body := post(p, "/find", url.Values{"kind": {"header"}, "name": {"Plane"}, "text": {"a"}})
	assert.Contains(t, body, "2 in flight")
	assert.Contains(t, body, "denied until a request ends")
	assert.NotContains(t, body, "invalid limit")
}
