package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

type outerKey struct{}

// errorsOutside is a framework: it answers 401 when a handler has returned an error, or panicked
// with one, to the ResponseWriter that it was given. The limiter is inside.
func errorsOutside(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var failed error
		func() {
			defer func() {
				if err, ok := recover().(error); ok {
					failed = err
				}
			}()
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), outerKey{}, &failed)))
		}()
		if failed != nil {
			http.Error(w, "wrong password", http.StatusUnauthorized)
		}
	})
}

// unseen are handlers of failed logins that errorsOutside answers.
var unseen = []struct {
	name  string
	serve http.HandlerFunc
}{
	{"an error that is returned", func(_ http.ResponseWriter, r *http.Request) {
		*r.Context().Value(outerKey{}).(*error) = errors.New("wrong password")
	}},
	{"an error, after header fields were set", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		*r.Context().Value(outerKey{}).(*error) = errors.New("wrong password")
	}},
	{"an error, after early hints", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		*r.Context().Value(outerKey{}).(*error) = errors.New("wrong password")
	}},
	{"a panic", func(http.ResponseWriter, *http.Request) { panic(errors.New("wrong password")) }},
}

// A response that is written outside of the limiter is never taken for a success. It counts under
// every rule that depends on responses.
func TestUnseenResponsesCount(t *testing.T) {
	for _, tc := range []struct {
		name string
		rule func(*ratelimit.Rule)
	}{
		{"failures", func(r *ratelimit.Rule) { r.CountOnly = ratelimit.Failures }},
		{"one status", func(r *ratelimit.Rule) { r.CountOnly = ratelimit.StatusIn(401) }},
		{"a function", func(r *ratelimit.Rule) {
			r.CountOnly = func(res ratelimit.Response) bool { return res.Header.Get("X-Failed") != "" }
		}},
		{"a cost", func(r *ratelimit.Rule) {
			r.ResponseCost = func(res ratelimit.Response) int64 { return res.Bytes / 1000 }
		}},
		{"violations", func(r *ratelimit.Rule) {
			r.Limits = ratelimit.MustParse("1000 per hour")
			r.Block = &ratelimit.Block{After: ratelimit.Per(5, time.Hour), When: ratelimit.StatusIn(401)}
		}},
	} {
		for _, how := range unseen {
			t.Run(tc.name+"/"+how.name, func(t *testing.T) {
				t.Parallel()
				r := rule("login", "5 per hour")
				tc.rule(&r)
				l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{r}, Hooks: unreported()})
				server := httptest.NewServer(errorsOutside(l.Handler(how.serve)))
				defer server.Close()
				statuses := map[int]int{}
				for range 30 {
					res, err := server.Client().Post(server.URL, "", nil)
					require.NoError(t, err)
					require.NoError(t, res.Body.Close())
					statuses[res.StatusCode]++
				}
				assert.Equal(t, map[int]int{401: 5, 429: 25}, statuses)
			})
		}
	}
}

// A handler that ends without a response is reported once per rule whose response decides. A panic
// is not: net/http, or who recovers it, reports it.
func TestUnseenResponsesAreReportedOnce(t *testing.T) {
	t.Parallel()
	const want = `ratelimit: rule "%s": a handler wrote no response, so its status is unknown, and the request ` +
		`counts as a failure: write a status in the handler, or put the limiter where your framework ` +
		`has rendered errors: see docs/abuse.md`
	var reports []string
	blocks := rule("blocks", "100 per hour")
	blocks.Block = &ratelimit.Block{After: ratelimit.Per(50, time.Hour), When: ratelimit.Failures}
	l := newLimiter(t, ratelimit.Config{
		Rules: []ratelimit.Rule{rule("plain", "100 per hour"), counting("counts", "100 per hour", ratelimit.Failures), blocks},
		Hooks: ratelimit.Hooks{Error: func(_ context.Context, err error) { reports = append(reports, err.Error()) }},
	})
	abort := l.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	assert.Panics(t, func() { serve(abort, with()) })
	assert.Empty(t, reports)
	for range 3 {
		serve(l.Handler(answering(200)), with())
	}
	assert.Empty(t, reports)
	for range 3 {
		serve(l.Handler(answering(0)), with())
		require.NoError(t, l.SetRules(rule("plain", "99 per hour"))) // what was reported stays reported
	}
	assert.Equal(t, []string{fmt.Sprintf(want, "counts"), fmt.Sprintf(want, "blocks")}, reports)
}

// A handler that ends its goroutine has answered nothing that was seen.
func TestGoexitIsNotASuccess(t *testing.T) {
	t.Parallel()
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{counting("r", "10 per hour", ratelimit.StatusIn(401))}})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		serve(l.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { runtime.Goexit() })), with())
	}()
	<-ended
	assert.Equal(t, int64(9), remaining(t, l, "r"))
}

// A client that http.TimeoutHandler has answered 503 has not seen the success of the handler, which
// ends later. Fields that a handler sets when the header was sent are not in the response.
func TestWhatTheClientDidNotGetIsNoSuccess(t *testing.T) {
	for name, tc := range map[string]struct {
		counts func(ratelimit.Response) bool
		answer http.HandlerFunc
	}{
		"too late": {ratelimit.Failures, func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(time.Minute)
			w.WriteHeader(http.StatusOK)
		}},
		"a field too late": {
			func(res ratelimit.Response) bool { return res.Header.Get("X-Signed-In") == "" },
			func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusUnauthorized)
				w.Header().Set("X-Signed-In", "1")
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{counting("r", "5 per day", tc.counts)}})
				h := http.TimeoutHandler(l.Handler(tc.answer), time.Second, "")
				statuses := map[int]int{}
				for range 10 {
					statuses[serve(h, with()).Code]++
					synctest.Wait()
					time.Sleep(2 * time.Minute)
				}
				assert.Equal(t, 5, statuses[429], "%v", statuses)
			})
		})
	}
}
