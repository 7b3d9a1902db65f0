package dashboard

import (
	"errors"
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

// ok is a handler that writes a status.
var ok = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })

func everyone(*http.Request) bool { return true }

func alice(*http.Request) string { return "alice" }

// newLimiter returns a limiter of three requests per hour and user.
func newLimiter(t *testing.T, rules ...ratelimit.Rule) *ratelimit.Limiter {
	t.Helper()
	user := ratelimit.ByUser(func(r *http.Request) string { return r.Header.Get("User") })
	rules = append(rules, ratelimit.Rule{
		Name: "per-user", Limits: ratelimit.MustParse("3 per hour"), Key: user,
		Block: &ratelimit.Block{},
	})
	l, err := ratelimit.New(ratelimit.Config{Rules: rules})
	require.NoError(t, err)
	return l
}

func newPage(t *testing.T, l *ratelimit.Limiter, cfg Config) *Page {
	t.Helper()
	if cfg.Authorize == nil {
		cfg.Authorize = everyone
	}
	p, err := New(l, cfg)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p
}

// request sends n requests of a user to h and returns the last status.
func request(h http.Handler, user string, n int) (status int) {
	for range n {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("User", user)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		status = w.Code
	}
	return status
}

func get(h http.Handler, path string) (status int, body string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

// post sends a form with the given fields of the header.
func post(h http.Handler, path string, form url.Values, header ...string) (status int, body string) {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestNewReportsEveryMistake(t *testing.T) {
	_, err := New(nil, Config{Title: strings.Repeat("x", 81), MayAct: everyone, MaxStreams: 1001})
	require.Error(t, err)
	for _, text := range []string{
		"dashboard: no limiter",
		"dashboard.Authorize: no function: want a function that reports whether a request may see the page",
		"dashboard.Title: 81 bytes: want at most 80",
		"dashboard.Who: no function",
		"dashboard.MaxStreams: 1001: want 1 to 1000, or 0 for 100",
	} {
		assert.ErrorContains(t, err, text)
	}
	var mistake *ratelimit.ConfigError
	assert.True(t, errors.As(err, &mistake))

	_, err = New(newLimiter(t), Config{Authorize: everyone, Who: alice})
	assert.ErrorContains(t, err, "dashboard.MayAct: no function")
}

// A request that is not authorized gets nothing, on any path.
func TestUnauthorizedRequestsGetNothing(t *testing.T) {
	l := newLimiter(t)
	for name, authorize := range map[string]func(*http.Request) bool{
		"a function that says no": func(*http.Request) bool { return false },
		"a function that panics":  func(*http.Request) bool { panic("lost") },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPage(t, l, Config{Authorize: authorize, MayAct: everyone, Who: alice})
			for _, path := range []string{"/limits/", "/limits/app.js", "/limits/events", "/limits/nothing"} {
				status, body := get(p, path)
				assert.Equal(t, 403, status, path)
				assert.Empty(t, body, path)
			}
			status, body := post(p, "/limits/act", url.Values{"action": {"mode"}, "rule": {"per-user"}, "mode": {"off"}})
			assert.Equal(t, 403, status)
			assert.Empty(t, body)
		})
	}
}

func TestSnapshotShowsWhatHappens(t *testing.T) {
	l := newLimiter(t, ratelimit.Rule{
		Name: "trial", Limits: ratelimit.MustParse("2 per hour"), Mode: ratelimit.DryRun, Key: ratelimit.Global("all"),
	})
	p := newPage(t, l, Config{Title: "Orders, instance 7"})
	h := l.Handler(ok)
	assert.Equal(t, 429, request(h, "mallory", 7))
	request(h, "carol", 1)

	status, body := get(p, "/any/prefix/")
	require.Equal(t, 200, status)
	for _, text := range []string{
		"Orders, instance 7", "per-user", "3 per hour", "user:mallory", "user:carol", "trial", "dry-run",
		"the rule denies requests", "the rule would deny requests", "Read-only",
	} {
		assert.Contains(t, body, text)
	}
	v := p.view(now(), false)
	require.Len(t, v.Denied.List, 1)
	assert.Equal(t, clientView{Who: who{Text: "user:mallory"}, Rule: "per-user", Least: "4"}, v.Denied.List[0])
	require.Len(t, v.DryRun.List, 1)
	assert.Equal(t, "trial", v.DryRun.List[0].Rule)
	assert.Equal(t, "user:mallory", v.Asking.List[0].Who.Text)
}

// Decisions without a request are counted too.
func TestTakeIsShown(t *testing.T) {
	l := newLimiter(t)
	p := newPage(t, l, Config{})
	for range 5 {
		_, err := l.Take(t.Context(), "per-user", ratelimit.UserKey("batch"), 1)
		require.NoError(t, err)
	}
	v := p.view(now(), false)
	require.Len(t, v.Denied.List, 1)
	assert.Equal(t, "user:batch", v.Denied.List[0].Who.Text)
	assert.Equal(t, "5", v.Asking.List[0].Least)
}

// Text of clients and of the program stays text.
func TestTextIsEscaped(t *testing.T) {
	const evil = `<script>alert(1)</script>`
	l := newLimiter(t, ratelimit.Rule{Name: "<img_src=x>", Limits: ratelimit.MustParse("1 per hour")})
	p := newPage(t, l, Config{Title: evil, MayAct: everyone, Who: func(*http.Request) string { return evil }})
	k := ratelimit.UserKey(strings.Repeat(evil, 3))
	p.Label(k, evil+"\u202e\x00")
	for range 5 {
		_, _ = l.Take(t.Context(), "per-user", k, 1)
		_, _ = l.Take(t.Context(), "<img_src=x>", ratelimit.UserKey("<b>x</b>"), 1)
	}
	_, page := get(p, "/")
	_, found := post(p, "/find", url.Values{"kind": {"text"}, "text": {k.String()}})
	_, wrong := post(p, "/find", url.Values{"kind": {"addr"}, "text": {evil}})
	_, asked := post(p, "/confirm", url.Values{"action": {"reset"}, "key": {k.String()}})
	for _, body := range []string{page, found, wrong, asked} {
		assert.NotContains(t, body, evil)
		assert.NotContains(t, body, "<img_src")
		assert.NotContains(t, body, "<b>x")
		assert.NotContains(t, body, "\u202e")
		assert.Contains(t, body, "&lt;script&gt;")
	}
}

func TestPathsAndMethods(t *testing.T) {
	p := newPage(t, newLimiter(t), Config{})
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/", 200},
		{"HEAD", "/a/b/", 200},
		{"GET", "/a/app.js", 200},
		{"GET", "/style.css", 200},
		{"GET", "/icon.svg", 200},
		{"GET", "/debug/limits", 404},
		{"GET", "/a/unknown", 404},
		{"GET", "/../../etc/passwd", 404},
		{"GET", "/act", 405},
		{"GET", "/find", 405},
		{"POST", "/", 405},
		{"POST", "/events", 405},
		{"DELETE", "/act", 405},
		{"POST", "/act", 403},
	} {
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequest(c.method, c.path, nil))
		assert.Equal(t, c.status, w.Code, "%s %s", c.method, c.path)
		assert.Contains(t, w.Header().Get("Content-Security-Policy"), "default-src 'none'", "%s %s", c.method, c.path)
		assert.NotContains(t, w.Header().Get("Content-Security-Policy"), "unsafe")
	}
}

func TestNoInlineCode(t *testing.T) {
	l := newLimiter(t)
	request(l.Handler(ok), "mallory", 9)
	p := newPage(t, l, Config{MayAct: everyone, Who: alice})
	_, body := get(p, "/")
	for _, text := range []string{" style=", " onclick=", " onload=", "javascript:", "<style", "http://", "https://", `href="/`, `src="/`} {
		assert.NotContains(t, body, text)
	}
	assert.Equal(t, 1, strings.Count(body, "<script"))
}

func TestLabels(t *testing.T) {
	p := newPage(t, newLimiter(t), Config{})
	long := ratelimit.UserKey(strings.Repeat("long", 20))
	p.Label(long, "someone@example.com")
	p.Label(ratelimit.UserKey("short"), "ignored")
	assert.Equal(t, "someone@example.com", p.who(long).Label)
	assert.Empty(t, p.who(ratelimit.UserKey("short")).Label)
	for i := range 3 * maxLabels {
		p.Label(ratelimit.UserKey(strings.Repeat("x", 30)+string(rune('a'+i%26))+strings.Repeat("y", i/26)), "some text")
	}
	assert.LessOrEqual(t, len(p.labels.current)+len(p.labels.old), 2*maxLabels)
	assert.Empty(t, p.who(long).Label, "it was not set again for a long time")
	p.Label(long, strings.Repeat("ü", maxLabel))
	assert.LessOrEqual(t, len(p.who(long).Label), maxLabel+4)
}

// The page shows the names that the limiter remembers.
func TestLabelsOfTheLimiter(t *testing.T) {
	name := strings.Repeat("long", 10) + "\u202e@example.com"
	l, err := ratelimit.New(ratelimit.Config{Labels: 10, Rules: []ratelimit.Rule{{
		Name: "per-user", Limits: ratelimit.MustParse("1 per hour"),
		Key: ratelimit.ByUser(func(*http.Request) string { return name }),
	}}})
	require.NoError(t, err)
	p := newPage(t, l, Config{})
	request(l.Handler(ok), "", 2)
	got := p.view(now(), false).Denied.List[0].Who
	assert.True(t, strings.HasPrefix(got.Text, "user:#"), got.Text)
	assert.Contains(t, got.Label, "longlong")
	assert.NotContains(t, got.Label, "\u202e")
	p.Label(ratelimit.UserKey(name), "Alice")
	assert.Equal(t, "Alice", p.who(ratelimit.UserKey(name)).Label)
}

// Clients on the deny list are shown by what denied them, because no rule did.
func TestDenyListIsShown(t *testing.T) {
	deny := new(ratelimit.List)
	require.NoError(t, deny.Replace([]string{"192.0.2.0/24"}))
	l, err := ratelimit.New(ratelimit.Config{Deny: deny})
	require.NoError(t, err)
	p := newPage(t, l, Config{})
	assert.Equal(t, 403, request(l.Handler(ok), "", 3))
	got := p.view(now(), false).Denied.List
	require.Len(t, got, 1)
	assert.Equal(t, "(deny list)", got[0].Rule)
	assert.Equal(t, "3", got[0].Least)
	status, _ := get(p, "/")
	assert.Equal(t, 200, status)
}

func TestAfterClose(t *testing.T) {
	l := newLimiter(t)
	p := newPage(t, l, Config{})
	p.Close()
	p.Close()
	request(l.Handler(ok), "mallory", 9)
	assert.Empty(t, p.view(now(), false).Denied.List)
	status, _ := get(p, "/")
	assert.Equal(t, 200, status)
}

func now() time.Time { return time.Now() }
