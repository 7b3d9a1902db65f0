package clients

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/rs/cors"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/browser"
)

// newPage opens a page in Chromium whose origin differs from the origin of every other server.
func newPage(t *testing.T) context.Context {
	t.Helper()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<!doctype html><title>page</title>"))
	}))
	t.Cleanup(page.Close)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.UserDataDir(t.TempDir()), chromedp.WSURLReadTimeout(time.Minute))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium has no sandbox for root
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(func() { _ = chromedp.Cancel(ctx); cancel() })
	_, err := chromedp.Run(ctx, chromedp.Navigate(page.URL))
	require.NoError(t, err, "is Chromium installed? make clients installs it")
	return ctx
}

// seen is what a script sees of a response.
type seen struct {
	Status int               // 0 if the browser hides the response
	Fields map[string]string // that the script can read
}

// put sends a PUT with a field of its own, which needs a preflight, as a script of the page.
func put(t *testing.T, page context.Context, url string) seen {
	t.Helper()
	const script = `fetch(%q, {method: "PUT", headers: {"X-Own": "1"}}).then(
		res => ({status: res.status, fields: Object.fromEntries(res.headers)}), () => ({status: 0, fields: {}}))`
	got, err := chromedp.Run(page, chromedp.Evaluate[seen](fmt.Sprintf(script, url), chromedp.EvalAwaitPromise))
	require.NoError(t, err)
	return got
}

// A service counts the requests of each kind that it gets from the browser.
type service struct {
	*httptest.Server
	preflights, others atomic.Int32
}

func newService(t *testing.T, h http.Handler) *service {
	t.Helper()
	s := new(service)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodOptions {
			s.preflights.Add(1)
			assert.True(t, browser.Preflight(r), "%v", r.Header)
		} else {
			s.others.Add(1)
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// withCORS returns h behind a CORS middleware that lets pages read the named fields. Browsers do
// not remember its answers to preflights, so each request has one.
func withCORS(h http.Handler, exposed []string) http.Handler {
	return cors.New(cors.Options{
		AllowedOrigins: []string{"*"}, AllowedMethods: []string{"PUT"}, AllowedHeaders: []string{"X-Own"},
		ExposedHeaders: exposed, MaxAge: -1,
	}).Handler(h)
}

// twoPerHour returns a limiter of two requests per hour.
func twoPerHour(t *testing.T, form ratelimit.Headers, skip func(*http.Request) bool) *ratelimit.Limiter {
	t.Helper()
	l, err := ratelimit.New(ratelimit.Config{
		Headers: form,
		Rules:   []ratelimit.Rule{{Name: "per-client", Limits: ratelimit.MustParse("2 per hour"), Skip: skip}},
	})
	require.NoError(t, err)
	return l
}

var ok = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

func TestPageReadsADenial(t *testing.T) {
	page := newPage(t)
	for _, form := range []ratelimit.Headers{
		ratelimit.DraftHeaders, ratelimit.Draft7Headers, ratelimit.Draft6Headers, ratelimit.LegacyHeaders, ratelimit.NoHeaders,
	} {
		t.Run(string(form), func(t *testing.T) {
			s := newService(t, withCORS(twoPerHour(t, form, nil).Handler(ok), browser.Fields(form)))
			var got seen
			for _, want := range []int{200, 200, 429} {
				got = put(t, page, s.URL)
				assert.Equal(t, want, got.Status)
			}
			assert.Equal(t, int32(3), s.preflights.Load(), "no preflight took a token")
			for _, name := range browser.Fields(form) {
				assert.NotEmpty(t, got.Fields[strings.ToLower(name)], "%s in %v", name, got.Fields)
			}
			assert.Regexp(t, `^(1800|179\d)$`, got.Fields["retry-after"])
			if form == ratelimit.DraftHeaders {
				assert.Equal(t, `"per-client";q=2;w=3600`, got.Fields["ratelimit-policy"])
				assert.Regexp(t, `^"per-client";r=0;t=1\d\d\d$`, got.Fields["ratelimit"])
			}
		})
	}
}

// The list is needed: without it the page reads the status, and none of the fields.
func TestPageReadsNoFieldsThatAreNotExposed(t *testing.T) {
	page := newPage(t)
	s := newService(t, withCORS(twoPerHour(t, "", nil).Handler(ok), nil))
	var got seen
	for range 3 {
		got = put(t, page, s.URL)
	}
	assert.Equal(t, 429, got.Status)
	for _, name := range browser.Fields("") {
		assert.NotContains(t, got.Fields, strings.ToLower(name))
	}
}

// Preflights are never denied, however many there are, while the client itself is denied.
func TestPreflightsAreNeverDenied(t *testing.T) {
	page := newPage(t)
	s := newService(t, withCORS(twoPerHour(t, "", nil).Handler(ok), browser.Fields("")))
	for i := range 20 {
		got := put(t, page, s.URL)
		assert.Equal(t, map[bool]int{true: 200, false: 429}[i < 2], got.Status, "a denied preflight would hide the response")
	}
	assert.Equal(t, []int32{20, 20}, []int32{s.preflights.Load(), s.others.Load()})
}

// Outside of the CORS middleware, preflights take tokens and pages cannot see why they fail.
func TestLimiterOutsideOfCORS(t *testing.T) {
	page := newPage(t)
	s := newService(t, twoPerHour(t, "", nil).Handler(withCORS(ok, browser.Fields(""))))
	assert.Equal(t, 200, put(t, page, s.URL).Status, "a preflight and a PUT")
	assert.Equal(t, 0, put(t, page, s.URL).Status, "the preflight is denied")
	assert.Equal(t, []int32{2, 1}, []int32{s.preflights.Load(), s.others.Load()})
}

// With Preflight as the Skip of its rules, such a limiter lets preflights pass. Its denials are
// still hidden from pages.
func TestLimiterOutsideOfCORSThatSkipsPreflights(t *testing.T) {
	page := newPage(t)
	s := newService(t, twoPerHour(t, "", browser.Preflight).Handler(withCORS(ok, browser.Fields(""))))
	var got []int
	for range 4 {
		got = append(got, put(t, page, s.URL).Status)
	}
	assert.Equal(t, []int{200, 200, 0, 0}, got)
	assert.Equal(t, []int32{4, 4}, []int32{s.preflights.Load(), s.others.Load()}, "all preflights passed")
}
