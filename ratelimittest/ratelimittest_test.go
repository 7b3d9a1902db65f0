package ratelimittest_test

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/ratelimittest"
)

func newService(t testing.TB, cfg ratelimit.Config, limits string) http.Handler {
	t.Helper()
	cfg.Rules = []ratelimit.Rule{{Name: "r", Limits: ratelimit.MustParse(limits)}}
	l, err := ratelimit.New(cfg)
	require.NoError(t, err)
	return l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, r.RemoteAddr, r.Header["X-Tenant"])
	}))
}

// A limit of a day is tested in no time.
func TestInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newService(t, ratelimit.Config{}, "2 per day")
		a, b := ratelimittest.NewClient(), ratelimittest.NewClient()
		for range 2 {
			ratelimittest.Allowed(t, a.Do(h, "GET", "/"))
		}
		wait := ratelimittest.Denied(t, a.Do(h, "GET", "/"))
		assert.Equal(t, 12*time.Hour, wait)
		ratelimittest.Allowed(t, b.Do(h, "GET", "/"))
		time.Sleep(wait)
		ratelimittest.Allowed(t, a.Do(h, "GET", "/"))
	})
}

func TestClientsAreDifferent(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		c := ratelimittest.NewClient()
		c.Header["x-TENANT"] = []string{"acme"}
		r := c.Request("POST", "/items?q=1")
		assert.False(t, seen[r.RemoteAddr])
		seen[r.RemoteAddr] = true
		assert.Equal(t, "POST /items?q=1 acme", r.Method+" "+r.URL.String()+" "+r.Header.Get("X-Tenant"))
	}
}

// failures is a testing.TB that counts failures instead of failing.
type failures struct {
	testing.TB
	texts []string
}

func (f *failures) Helper() {}

func (f *failures) Errorf(format string, args ...any) {
	f.texts = append(f.texts, fmt.Sprintf(format, args...))
}

func TestAssertionsFail(t *testing.T) {
	response := func(status int, retryAfter ...string) *http.Response {
		h := http.Header{}
		if len(retryAfter) > 0 {
			h["Retry-After"] = retryAfter
		}
		return &http.Response{Status: fmt.Sprint(status), StatusCode: status, Header: h}
	}
	for _, tc := range []struct {
		name string
		call func(t testing.TB)
		want []string
	}{
		{"allowed 200", func(t testing.TB) { ratelimittest.Allowed(t, response(200)) }, nil},
		{"allowed 404", func(t testing.TB) { ratelimittest.Allowed(t, response(404)) }, nil},
		{"allowed 429", func(t testing.TB) { ratelimittest.Allowed(t, response(429, "7")) }, []string{
			`the request was denied: status 429, Retry-After "7"`,
		}},
		{"allowed 503", func(t testing.TB) { ratelimittest.Allowed(t, response(503)) }, []string{
			`the request was denied: status 503, Retry-After ""`,
		}},
		{"denied 200", func(t testing.TB) { ratelimittest.Denied(t, response(200)) }, []string{
			`the request was not denied: status 200, want 429`,
		}},
		{"denied for good", func(t testing.TB) { ratelimittest.Denied(t, response(429)) }, nil},
		{"denied with a date", func(t testing.TB) { ratelimittest.Denied(t, response(429, "Fri, 27 Nov")) }, []string{
			`Retry-After is "Fri, 27 Nov": want seconds, at least 1`,
		}},
		{"denied for nothing", func(t testing.TB) { ratelimittest.Denied(t, response(429, "0")) }, []string{
			`Retry-After is "0": want seconds, at least 1`,
		}},
	} {
		f := &failures{TB: t}
		tc.call(f)
		assert.Equal(t, tc.want, f.texts, tc.name)
	}
}
