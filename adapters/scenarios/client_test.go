package scenarios_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// A run is one scenario with one framework. It writes down all responses.
type run struct {
	t         *testing.T
	framework framework
	way       way
	fails     bool // a handler has failed, so that the way matters
	url       string
	answers   []string

	mu       sync.Mutex
	reported []string // errors that limiters have reported
}

// now is the time in all scenarios, so that the fields are equal.
var now = time.Unix(1_800_000_000, 0)

// limiter returns a limiter whose clock stands still.
func (r *run) limiter(cfg ratelimit.Config) *ratelimit.Limiter {
	cfg.Clock = func() time.Time { return now }
	cfg.Hooks.Error = func(_ context.Context, err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.reported = append(r.reported, err.Error())
	}
	l, err := ratelimit.New(cfg)
	require.NoError(r.t, err)
	return l
}

// rules returns a limiter with rules for everything.
func (r *run) rules(rules ...ratelimit.Rule) *ratelimit.Limiter {
	return r.limiter(ratelimit.Config{Rules: rules})
}

func (r *run) start(s site) { r.url = r.framework.start(r.t, s) }

// shown are the fields of a response that must be equal.
var shown = []string{
	"RateLimit", "RateLimit-Policy", "Retry-After", "Cache-Control", "Access-Control-Allow-Origin", "X-Handler",
	"X-Outer", "Set-Cookie",
}

// open sends a request. The caller closes the body.
func (r *run) open(method, path, body string, fields ...string) *http.Response {
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, strings.NewReader(body))
	require.NoError(r.t, err)
	if body == "" {
		req.Body, req.ContentLength = nil, 0
	}
	for i := 0; i < len(fields); i += 2 {
		req.Header.Add(fields[i], fields[i+1])
	}
	resp, err := client.Do(req)
	require.NoError(r.t, err)
	return resp
}

var client = &http.Client{
	Timeout:       10 * time.Second, // a test that fails must end, too
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// send sends a request, writes down the response and returns its status. Fields are names and
// values in turn.
func (r *run) send(method, path, body string, fields ...string) int {
	resp := r.open(method, path, body, fields...)
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	require.NoError(r.t, err)
	answer := fmt.Sprint(method, " ", path, " -> ", resp.StatusCode)
	for _, name := range shown {
		if lines := resp.Header.Values(name); len(lines) > 0 {
			answer += fmt.Sprintf("; %s: %q", name, lines)
		}
	}
	denial := resp.Header.Get("Retry-After") != ""
	if denial {
		answer += "; Content-Type: " + resp.Header.Get("Content-Type")
	}
	if denial || resp.StatusCode < 400 { // each framework has its own errors
		answer += "; " + string(text)
	}
	r.answers = append(r.answers, answer)
	return resp.StatusCode
}

// statuses sends the same request n times and returns the statuses.
func (r *run) statuses(n int, method, path string) (all []int) {
	for range n {
		all = append(all, r.send(method, path, ""))
	}
	return all
}

// post sends a login form.
func (r *run) post(path, email, password string) int {
	return r.send(http.MethodPost, path, "email="+email+"&password="+password,
		"Content-Type", "application/x-www-form-urlencoded")
}

// note writes down something that must be equal, too.
func (r *run) note(format string, args ...any) {
	r.answers = append(r.answers, fmt.Sprintf(format, args...))
}

// fail answers a failure in the way of this run.
func (r *run) fail(x exchange, status int) error {
	r.fails = true
	return r.way.fail(x, status)
}
