package browser_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/browser"
)

func TestPreflight(t *testing.T) {
	header := func(fields ...string) http.Header {
		h := http.Header{}
		for i := 0; i < len(fields); i += 2 {
			h.Add(fields[i], fields[i+1])
		}
		return h
	}
	preflight := []string{"Origin", "https://app.example", "Access-Control-Request-Method", "PUT"}
	with := func(more ...string) http.Header { return header(append(preflight[:4:4], more...)...) }
	for _, tc := range []struct {
		name   string
		method string
		header http.Header
		want   bool
	}{
		{"of a browser", "OPTIONS", with("Access-Control-Request-Headers", "x-a", "Accept", "*/*"), true},
		{"of an opaque origin", "OPTIONS", header("Origin", "null", "Access-Control-Request-Method", "PATCH"), true},
		{"of a method of one's own", "OPTIONS", header("Origin", "https://a.example", "Access-Control-Request-Method", "PURGE"), true},
		{"GET", "GET", with(), false},
		{"POST", "POST", with(), false},
		{"HEAD", "HEAD", with(), false},
		{"lower case", "options", with(), false},
		{"without an origin", "OPTIONS", header("Access-Control-Request-Method", "PUT"), false},
		{"without a method", "OPTIONS", header("Origin", "https://app.example"), false},
		{"an empty origin", "OPTIONS", header("Origin", "", "Access-Control-Request-Method", "PUT"), false},
		{"an empty method", "OPTIONS", header("Origin", "https://app.example", "Access-Control-Request-Method", ""), false},
		{"no such method", "OPTIONS", header("Origin", "https://app.example", "Access-Control-Request-Method", "PUT, GET"), false},
		{"two origins", "OPTIONS", with("Origin", "https://other.example"), false},
		{"two methods", "OPTIONS", with("Access-Control-Request-Method", "GET"), false},
		{"a cookie", "OPTIONS", with("Cookie", "session=1"), false},
		{"credentials", "OPTIONS", with("Authorization", "Bearer x"), false},
		{"nothing", "OPTIONS", http.Header{}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodOptions, "/", nil)
			r.Method, r.Header = tc.method, tc.header
			assert.Equal(t, tc.want, browser.Preflight(r))
		})
	}
	t.Run("a body", func(t *testing.T) {
		r := httptest.NewRequest(http.MethodOptions, "/login", strings.NewReader(`{"password":"x"}`))
		r.Header = with()
		assert.False(t, browser.Preflight(r))
		r.ContentLength = -1
		assert.False(t, browser.Preflight(r), "of unknown length")
		r.ContentLength, r.TransferEncoding = 0, []string{"chunked"}
		assert.False(t, browser.Preflight(r), "in chunks")
	})
}

// The list has all fields about limits that a limiter writes, and no other field.
func TestFieldsAreThoseThatTheLimiterWrites(t *testing.T) {
	for _, form := range []ratelimit.Headers{
		"", ratelimit.DraftHeaders, ratelimit.Draft7Headers, ratelimit.Draft6Headers, ratelimit.LegacyHeaders, ratelimit.NoHeaders,
	} {
		t.Run(string(form), func(t *testing.T) {
			l, err := ratelimit.New(ratelimit.Config{
				Headers: form, Rules: []ratelimit.Rule{{Name: "r", Limits: ratelimit.MustParse("1 per hour")}},
			})
			require.NoError(t, err)
			h := l.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
			require.Equal(t, http.StatusTooManyRequests, w.Code)
			want := []string{"Cache-Control", "Content-Type", "X-Content-Type-Options"} // not about limits
			for _, name := range browser.Fields(form) {
				want = append(want, http.CanonicalHeaderKey(name))
			}
			var got []string
			for name := range w.Header() {
				got = append(got, name)
			}
			assert.ElementsMatch(t, want, got)
		})
	}
}

// Preflights take nothing from the clients, and a rule of their own bounds them.
func TestPreflightsHaveABucketOfTheirOwn(t *testing.T) {
	l, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{
		{Name: "per-client", Limits: ratelimit.MustParse("2 per hour"), Skip: browser.Preflight},
		{
			Name: "preflights", Limits: ratelimit.MustParse("5 per hour"),
			Skip: func(r *http.Request) bool { return !browser.Preflight(r) },
		},
	}})
	require.NoError(t, err)
	h := l.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	status := func(method string, fields ...string) int {
		r := httptest.NewRequest(method, "/", nil)
		for i := 0; i < len(fields); i += 2 {
			r.Header.Set(fields[i], fields[i+1])
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	preflight := func() int {
		return status("OPTIONS", "Origin", "https://app.example", "Access-Control-Request-Method", "PUT")
	}
	var got []int
	for range 5 {
		got = append(got, preflight())
	}
	assert.Equal(t, []int{200, 200, 200, 200, 200}, got)
	assert.Equal(t, 429, preflight(), "a flood of preflights")
	assert.Equal(t, []int{200, 200, 429}, []int{status("PUT"), status("OPTIONS"), status("PUT")}, "OPTIONS alone is no preflight")
}
