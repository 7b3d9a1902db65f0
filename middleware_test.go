package ratelimit_test

import (
	"bytes"
	"context"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/internal/testsize"
	"github.com/ratelimit-go/ratelimit/login"
)

// limitedByRules returns a middleware with the rules for every request.
func limitedByRules(t testing.TB, rules ...ratelimit.Rule) func(http.Handler) http.Handler {
	t.Helper()
	return newLimiter(t, ratelimit.Config{Rules: rules}).Handler
}

// A rule that does not depend on the response leaves the ResponseWriter as it is.
func TestWriterIsPassedOnAsItIs(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(r *ratelimit.Rule)
		same   bool
	}{
		{name: "limits", change: func(*ratelimit.Rule) {}, same: true},
		{name: "several limits", change: func(r *ratelimit.Rule) { r.Limits = ratelimit.MustParse("9/s; 99/h") }, same: true},
		{name: "cost", change: func(r *ratelimit.Rule) { r.Cost = func(*http.Request) int64 { return 2 } }, same: true},
		{name: "requests in flight", change: func(r *ratelimit.Rule) { r.InFlight = 5 }, same: true},
		{name: "waiting", change: func(r *ratelimit.Rule) { r.MaxWait = time.Minute }, same: true},
		{name: "dry run", change: func(r *ratelimit.Rule) { r.Mode = ratelimit.DryRun }, same: true},
		{
			name:   "blocks for denials",
			change: func(r *ratelimit.Rule) { r.Block = &ratelimit.Block{After: ratelimit.Per(9, time.Hour)} },
			same:   true,
		},
		{
			name: "blocks for responses",
			change: func(r *ratelimit.Rule) {
				r.Block = &ratelimit.Block{After: ratelimit.Per(9, time.Hour), When: ratelimit.Failures}
			},
		},
		{name: "counted responses", change: func(r *ratelimit.Rule) { r.CountOnly = ratelimit.Failures }},
		{
			name: "cost of responses",
			change: func(r *ratelimit.Rule) {
				r.ResponseCost = func(res ratelimit.Response) int64 { return res.Cost }
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := rule("r", "9 per second")
			tc.change(&r)
			w, served := httptest.NewRecorder(), 0
			limitedByRules(t, r)(http.HandlerFunc(func(got http.ResponseWriter, _ *http.Request) {
				served++
				assert.Equal(t, tc.same, got == http.ResponseWriter(w))
				got.WriteHeader(http.StatusAccepted)
			})).ServeHTTP(w, with())
			assert.Equal(t, 1, served)
			assert.Equal(t, http.StatusAccepted, w.Code)
		})
	}
}

// In the forms of header fields that show one limit, nested limiters show the strictest.
func TestNestedLimitersShowTheStrictestLimit(t *testing.T) {
	t.Parallel()
	for form, tc := range map[ratelimit.Headers]struct{ field, allowed, denied string }{
		ratelimit.Draft7Headers: {"RateLimit", "limit=5, remaining=4, reset=12", "limit=1, remaining=0, reset=60"},
		ratelimit.Draft6Headers: {"RateLimit-Limit", "5", "1"},
		ratelimit.LegacyHeaders: {"X-RateLimit-Limit", "5", "1"},
	} {
		t.Run(string(form), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				nested := func(outer, inner string) http.Handler {
					h := newLimiter(t, ratelimit.Config{Headers: form, Rules: []ratelimit.Rule{rule("inner", inner)}}).Handler(ok)
					return newLimiter(t, ratelimit.Config{Headers: form, Rules: []ratelimit.Rule{rule("outer", outer)}}).Handler(h)
				}
				w := serve(nested("100 per minute", "5 per minute"), with())
				assert.Equal(t, http.StatusOK, w.Code)
				assert.Equal(t, tc.allowed, w.Header().Get(tc.field), "allowed by both, the inner is the stricter")
				w = serve(nested("5 per minute", "100 per minute"), with())
				assert.Equal(t, tc.allowed, w.Header().Get(tc.field), "allowed by both, the outer is the stricter")
				h := nested("2 per minute", "1 per minute")
				serve(h, with())
				w = serve(h, with())
				assert.Equal(t, http.StatusTooManyRequests, w.Code)
				assert.Equal(t, tc.denied, w.Header().Get(tc.field), "denied by the inner, with nothing left in either")
			})
		})
	}
}

// net/http removes the files of a form by the request that it has made, but a handler may have
// parsed the form in a copy of the request.
func TestUploadedFilesAreRemoved(t *testing.T) {
	inFlight := rule("in-flight", "10 per hour")
	inFlight.InFlight = 5
	chosen := rule("chosen", "10 per hour")
	chosen.LimitsFor = func(context.Context, ratelimit.Key) ratelimit.Limits {
		return ratelimit.MustParse("10 per second; 20 per minute; 30 per hour; 40 per day")
	}
	guard, err := login.New(newLimiter(t, ratelimit.Config{}), login.Config{Account: func(*http.Request) string { return "alice" }})
	require.NoError(t, err)
	for _, tc := range []struct {
		name string
		wrap func(http.Handler) http.Handler
	}{
		{name: "no limiter", wrap: func(h http.Handler) http.Handler { return h }},
		{name: "one rule", wrap: limitedByRules(t, rule("r", "10 per hour"))},
		{name: "two rules", wrap: limitedByRules(t, rule("r", "10 per hour"), rule("s", "10 per hour"))},
		{name: "limits chosen by key", wrap: limitedByRules(t, chosen)},
		{name: "requests in flight", wrap: limitedByRules(t, inFlight)},
		{name: "counted responses", wrap: limitedByRules(t, counting("r", "10 per hour", ratelimit.Failures))},
		{name: "login", wrap: guard.Handler},
		{
			name: "nested",
			wrap: func(h http.Handler) http.Handler {
				l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("r", "10 per hour")}})
				return l.Handler(l.Limit("10 per minute", ratelimit.ByClientIP())(h))
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			t.Setenv("TMPDIR", dir)
			t.Setenv("TMP", dir) // on Windows
			h := tc.wrap(fileHandler(t, dir))
			for _, ends := range []string{"returns", "returns", "panics", "exits"} { // the second is plain
				assert.Equal(t, http.StatusAccepted, upload(t, recovered(h), ends), ends)
				files, err := os.ReadDir(dir)
				require.NoError(t, err)
				assert.Empty(t, files, ends)
			}
		})
	}
}

// fileHandler returns a handler that parses an upload into dir, and ends as the path says.
func fileHandler(t *testing.T, dir string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.NoError(t, r.ParseMultipartForm(1))
		files, err := os.ReadDir(dir)
		assert.NoError(t, err)
		assert.Len(t, files, 1, "while the handler runs")
		switch r.URL.Path {
		case "/returns":
			w.WriteHeader(http.StatusAccepted)
		case "/panics":
			panic("handler")
		case "/exits":
			runtime.Goexit()
		}
	})
}

// recovered returns a handler that answers 202 when h panics or ends its goroutine.
func recovered(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		panicked, ended := true, make(chan struct{})
		go func() {
			defer close(ended)
			defer func() { _ = recover() }()
			h.ServeHTTP(w, r)
			panicked = false
		}()
		if <-ended; panicked {
			w.WriteHeader(http.StatusAccepted)
		}
	})
}

// upload posts a file to h, and returns the status of the response when the request has ended.
func upload(t *testing.T, h http.Handler, path string) int {
	t.Helper()
	srv := httptest.NewServer(h)
	defer srv.Close() // waits until the request has ended
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	file, err := form.CreateFormFile("f", "f")
	require.NoError(t, err)
	_, err = file.Write(make([]byte, 64<<10)) // more than fileHandler lets ParseMultipartForm keep
	require.NoError(t, err)
	require.NoError(t, form.Close())
	resp, err := http.Post(srv.URL+"/"+path, form.FormDataContentType(), &body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode
}

// A middleware around the limiter sees the pattern that a ServeMux within has found.
func TestPatternIsSeenOutside(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /items/{id}", func(w http.ResponseWriter, r *http.Request) { r.Form = url.Values{"a": {"1"}} })
	mux.HandleFunc("GET /broken/{id}", func(http.ResponseWriter, *http.Request) { panic("handler") })
	charge := counting("r", "10 per hour", ratelimit.Failures)
	for _, rule := range []ratelimit.Rule{rule("r", "10 per hour"), charge} {
		h := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule}, Hooks: unreported()}).Handler(mux)
		for range 2 { // the second one takes the plain way
			r := at("/items/7")
			serve(h, r)
			assert.Equal(t, "GET /items/{id}", r.Pattern)
			assert.Equal(t, "7", r.PathValue("id"))
			assert.Equal(t, url.Values{"a": {"1"}}, r.Form)
			r = at("/broken/8")
			assert.Panics(t, func() { serve(h, r) })
			assert.Equal(t, "8", r.PathValue("id"))
		}
	}
}

// A decision on a known key allocates nothing. A request allocates once if it is allowed, with both
// fields, or denied, with a body.
func TestAllocations(t *testing.T) {
	if testsize.Race {
		t.Log("the race detector makes pools forget") // make cover runs this without it
		return
	}
	plenty := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("per-client", "1_000_000 per second")}})
	two := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{
		rule("r", "1_000_000 per second"), rule("s", "1_000_000 per second"),
	}})
	three := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{
		rule("r", "1_000_000 per second; 50_000_000 per minute; 1_000_000_000 per hour"),
	}})
	spent := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("per-client", "1 per day")}})
	exempt := newLimiter(t, ratelimit.Config{ExemptRoutes: []string{"/exempt"}})
	off := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("per-client", "1 per day")}})
	off.SetEnabled(false)
	key, w := ratelimit.UserKey("alice"), &discard{http.Header{}}
	take := func(l *ratelimit.Limiter, name string) func() {
		return func() { _, _ = l.Take(context.Background(), name, key, 1) }
	}
	handle := func(l *ratelimit.Limiter, r *http.Request) func() {
		h := l.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		return func() {
			clear(w.h)
			h.ServeHTTP(w, r)
		}
	}
	for _, tc := range []struct {
		name string
		most float64
		f    func()
	}{
		{name: "take", most: 0, f: take(plenty, "per-client")},
		{name: "take under three limits", most: 0, f: take(three, "r")},
		{name: "denied take", most: 0, f: take(spent, "per-client")},
		{name: "allowed request", most: 1, f: handle(plenty, with())},
		{name: "allowed request under two rules", most: 1, f: handle(two, with())},
		{name: "allowed request under three limits", most: 1, f: handle(three, with())},
		{name: "denied request", most: 1, f: handle(spent, with())},
		{name: "exempt request", most: 0, f: handle(exempt, at("/exempt"))},
		{name: "request to a limiter without rules", most: 1, f: handle(newLimiter(t, ratelimit.Config{}), with())},
		{name: "request to a limiter that is turned off", most: 0, f: handle(off, with())},
	} {
		t.Run(tc.name, func(t *testing.T) {
			assert.LessOrEqual(t, testing.AllocsPerRun(1000, tc.f), tc.most)
		})
	}
}
