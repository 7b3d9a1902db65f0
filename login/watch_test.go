package login_test

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/login"
)

// A Config that never or always finds what it looks for is reported once, after 100 attempts.
func TestWrongConfigIsReportedOnce(t *testing.T) {
	always := func(ratelimit.Response) bool { return true }
	for _, tc := range []struct {
		name              string
		succeeded, failed func(ratelimit.Response) bool
		want              string // empty: nothing is reported
	}{
		{"nothing says what a success is", nil, nil, "call login.Succeeded(r.Context(), account)"},
		{"Succeeded is never true", ratelimit.StatusIn(999), nil, "Config.Succeeded was false"},
		{"Succeeded is always true", always, nil, "each of the first 100 attempts has succeeded"},
		{"Failed is never true", ratelimit.StatusIn(303), ratelimit.StatusIn(999), "Config.Failed was false"},
		{"Succeeded is right", ratelimit.StatusIn(303), nil, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var errs []string
				cfg, n := byHandler(), 0
				cfg.Succeeded, cfg.Failed = tc.succeeded, tc.failed
				h := bare(t, cfg, errorsInto(&errs)).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					n++
					w.WriteHeader([]int{200, 303}[n%2])
				}))
				for i := range 300 {
					serve(h, attempt(address(i<<8), fmt.Sprint("user", i), "x"))
					time.Sleep(time.Second)
					if i < 100 {
						require.Empty(t, errs)
					}
				}
				if tc.want == "" {
					assert.Empty(t, errs)
					return
				}
				require.NotEmpty(t, errs)
				assert.Contains(t, errs[0], tc.want)
				assert.LessOrEqual(t, len(errs), 2, "once per problem")
			})
		})
	}
}

// A handler that reports other accounts than Account finds is reported, unless it calls Found or
// they are the same sometimes.
func TestSuccessesOfOtherAccountsAreReported(t *testing.T) {
	for name, tc := range map[string]struct {
		found, same bool
		want        int
	}{"other accounts": {want: 1}, "found before": {found: true}, "not always": {same: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var errs []string
				h := bare(t, byHandler(), errorsInto(&errs)).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					id := "id-of-" + r.PostFormValue("user")
					if tc.found {
						login.Found(r.Context(), id)
					}
					if tc.same && r.PostFormValue("user") == "user7" {
						id = "user7"
					}
					login.Succeeded(r.Context(), id)
					w.WriteHeader(http.StatusOK)
				}))
				for i := range 40 {
					serve(h, attempt(address(i<<8), fmt.Sprint("user", i), "x"))
					if i < 20 {
						require.Empty(t, errs)
					}
				}
				require.Len(t, errs, tc.want)
				if tc.want > 0 {
					assert.Contains(t, errs[0], "call login.Found(r.Context(), account)")
				}
			})
		})
	}
}

// If Succeeded or Failed panics, the attempt has failed, and each panic is reported once.
func TestPanicOfSucceeded(t *testing.T) {
	panics := func(ratelimit.Response) bool { panic("boom") }
	for name, cfg := range map[string]login.Config{"Succeeded": {Succeeded: panics}, "Failed": {Failed: panics}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var errs []string
				s := newRoute(t, newLimiter(t, ratelimit.Config{Hooks: errorsInto(&errs)}), cfg)
				for range 10 {
					s.try("10.0.0.1", "alice", "secret")
				}
				assert.Equal(t, int64(5), s.checks.Load())
				require.Len(t, errs, 5)
				assert.Contains(t, errs[0], "login."+name+": boom")
			})
		})
	}
}
