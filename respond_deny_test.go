package ratelimit_test

import (
	"fmt"
	"iter"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// exports returns a handler that takes from the budget "exports" and denies by Deny.
func exports(t *testing.T, l *ratelimit.Limiter) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d, err := l.Take(r.Context(), "exports", client(), 1)
		assert.NoError(t, err)
		if !d.Allowed {
			l.Deny(w, r, d)
		}
	})
}

// Deny answers as a rule does, for each form that a client accepts. It writes no RateLimit fields,
// and its body names no policy, because a budget is known to the handler only.
func TestDenyAnswersAsARule(t *testing.T) {
	for _, tc := range []struct {
		name, method, accept string
	}{
		{"a problem document", "GET", ""},
		{"JSON", "POST", "application/json"},
		{"text", "GET", "text/plain"},
		{"HEAD", "HEAD", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hidden := rule("exports", "1 per hour")
				hidden.OmitHeaders = true
				byRule := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{hidden}}).Handler(ok)
				l := newLimiter(t, ratelimit.Config{
					Budgets: []ratelimit.Budget{{Name: "exports", Limits: ratelimit.MustParse("1 per hour")}},
				})
				r := with("Accept", tc.accept)
				r.Method = tc.method
				assert.Equal(t, []int{200, 200}, []int{serve(byRule, r).Code, serve(exports(t, l), r).Code})
				want, got := serve(byRule, r), serve(exports(t, l), r)
				assert.Equal(t, 429, got.Code)
				assert.Equal(t, want.Code, got.Code)
				assert.Equal(t, []string{"3600"}, got.Header()["Retry-After"])
				assert.Equal(t, []string{"no-store"}, got.Header()["Cache-Control"])
				assert.Equal(t, want.Header(), got.Header())
				body := strings.Replace(want.Body.String(), `,"violated-policies":["exports"]`, "", 1)
				assert.Equal(t, body, got.Body.String())
				assert.Equal(t, tc.method == "HEAD", got.Body.Len() == 0)
			})
		})
	}
}

// Deny refunds what limiters took for the request, and calls Hooks.Denied, but not Hooks.Decided.
func TestDenyRefundsAndCallsTheHook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var denied []ratelimit.Decision
		decided := 0
		outer := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("outer", "9 per hour"), rule("second", "9 per hour")}})
		l := newLimiter(t, ratelimit.Config{
			Rules:   []ratelimit.Rule{rule("inner", "9 per hour")},
			Budgets: []ratelimit.Budget{{Name: "exports", Limits: ratelimit.MustParse("1 per hour")}},
			Hooks: ratelimit.Hooks{
				Denied:  func(_ *http.Request, d ratelimit.Decision) { denied = append(denied, d) },
				Decided: func(*http.Request, ratelimit.Decision, iter.Seq[ratelimit.Decision]) { decided++ },
			},
		})
		h := outer.Handler(l.Handler(exports(t, l)))
		assert.Equal(t, []int{200, 429, 429}, codes(h, with(), with(), with()))
		assert.Equal(t, []int64{8, 8, 8}, []int64{remaining(t, outer, "outer"), remaining(t, outer, "second"), remaining(t, l, "inner")})
		want := ratelimit.Decision{
			Reason: ratelimit.ReasonLimit, Rule: "exports", Mode: ratelimit.Enforce,
			Limit: ratelimit.Limit{Count: 1, Period: time.Hour, Burst: 1},
			Key:   client(), RetryAfter: time.Hour, ResetAfter: time.Hour,
		}
		assert.Equal(t, []ratelimit.Decision{want, want}, denied)
		assert.Equal(t, 3, decided, "of the rule, which allowed the requests")
	})
}

// With a DenyHandler, Deny calls it instead, after it has set the fields.
func TestDenyByADenyHandler(t *testing.T) {
	t.Parallel()
	var told ratelimit.Decision
	l := newLimiter(t, ratelimit.Config{DenyHandler: func(w http.ResponseWriter, _ *http.Request, d ratelimit.Decision) {
		told = d
		w.WriteHeader(d.Status())
		_, _ = fmt.Fprint(w, "wait")
	}})
	d := ratelimit.Decision{Reason: ratelimit.ReasonCapacity, Rule: "r", Key: client(), RetryAfter: 1500 * time.Millisecond}
	w := serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { l.Deny(w, r, d) }), with())
	assert.Equal(t, []any{503, "wait"}, []any{w.Code, w.Body.String()})
	assert.Equal(t, http.Header{"Retry-After": {"2"}, "Cache-Control": {"no-store"}}, w.Header())
	d.OmitHeaders = true // the limiter does not know the rule
	assert.Equal(t, d, told)
}

// A DenyHandler is told which rules it must not name: rules with OmitHeaders, and budgets.
func TestDenyHandlerKnowsWhatToOmit(t *testing.T) {
	t.Parallel()
	hidden, shown := rule("hidden", "1 per hour"), rule("shown", "1 per hour")
	hiddenHere, shownHere := rule("hidden here", "1 per hour"), rule("shown here", "1 per hour")
	hidden.OmitHeaders, hiddenHere.OmitHeaders = true, true
	told := map[string]bool{}
	l := newLimiter(t, ratelimit.Config{
		Routes:  map[string][]ratelimit.Rule{"/hidden": {hidden}, "/shown": {shown}},
		Budgets: []ratelimit.Budget{{Name: "exports", Limits: ratelimit.MustParse("1 per hour")}},
		DenyHandler: func(_ http.ResponseWriter, _ *http.Request, d ratelimit.Decision) {
			told[d.Rule] = d.OmitHeaders
		},
	})
	at := func(path string) *http.Request {
		r := with()
		r.URL.Path = path
		return r
	}
	withHidden, withShown := l.With(hiddenHere)(ok), l.With(shownHere)(ok)
	for range 2 {
		serve(l.Handler(ok), at("/hidden"))
		serve(l.Handler(ok), at("/shown"))
		serve(withHidden, at("/"))
		serve(withShown, at("/"))
		serve(exports(t, l), at("/"))
	}
	assert.Equal(t, map[string]bool{
		"hidden": true, "shown": false, "hidden here": true, "shown here": false, "exports": true,
	}, told)
}

// If the decision allows the request, Deny answers as if a limit had denied it.
func TestDenyOfADecisionToAllow(t *testing.T) {
	for _, tc := range []struct {
		name string
		d    ratelimit.Decision
	}{
		{"the zero Decision", ratelimit.Decision{}},
		{"an ordinary decision", ratelimit.Decision{Allowed: true, Rule: "r", Remaining: 3}},
		{"the store failed", ratelimit.Decision{Allowed: true, Reason: ratelimit.ReasonStore, StoreErr: assert.AnError}},
		{"a dry run", ratelimit.Decision{Allowed: true, Rule: "r", Mode: ratelimit.DryRun, Reason: ratelimit.ReasonLimit}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var told []ratelimit.Decision
			l := newLimiter(t, ratelimit.Config{Hooks: ratelimit.Hooks{
				Denied: func(_ *http.Request, d ratelimit.Decision) { told = append(told, d) },
			}})
			w := serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { l.Deny(w, r, tc.d) }), with())
			assert.Equal(t, 429, w.Code)
			assert.Contains(t, w.Body.String(), "quota-exceeded")
			assert.NotContains(t, w.Header(), "Retry-After")
			require.Len(t, told, 1)
			assert.False(t, told[0].Allowed)
			assert.Equal(t, 429, told[0].Status())
		})
	}
}

// If the header has a Retry-After already, the longer is sent.
func TestLongerRetryAfterStays(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ there, want string }{
		{"100", "100"},
		{"10", "36"},
		{"36", "36"},
		{"soon", "36"},
	} {
		l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("r", "100 per hour burst 1")}})
		limited := l.Handler(ok)
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", tc.there)
			limited.ServeHTTP(w, r)
		})
		serve(h, with())
		w := serve(h, with())
		require.Equal(t, 429, w.Code)
		assert.Equal(t, []string{tc.want}, w.Header().Values("Retry-After"), "there was %s", tc.there)
		w = serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", tc.there)
			l.Deny(w, r, ratelimit.Decision{Reason: ratelimit.ReasonLimit, RetryAfter: 36 * time.Second})
		}), with())
		assert.Equal(t, []string{tc.want}, w.Header().Values("Retry-After"), "by Deny, there was %s", tc.there)
	}
}
