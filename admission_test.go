package ratelimit_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// decisionsIn returns a handler that puts what it finds in its context into ds.
func decisionsIn(ds *[]ratelimit.Decision) http.Handler {
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		*ds = nil
		for d := range ratelimit.Decisions(r.Context()) {
			*ds = append(*ds, d)
		}
	})
}

// Decisions yields the decision of each rule, by its strictest limit. The rules of the innermost
// limiter or decorator come first, each in the order of its Config.
func TestDecisionsOfEachRule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		decision := func(name, limit string, left int64, reset time.Duration) ratelimit.Decision {
			n := ratelimit.MustParse(limit)[0]
			n.Burst = n.Count
			return ratelimit.Decision{
				Allowed: true, Rule: name, Mode: ratelimit.Enforce, Limit: n, Key: client(), Remaining: left, ResetAfter: reset,
			}
		}
		one := rule("one", "10 per hour")
		two := rule("two", "4 per minute; 100 per hour")
		quiet := rule("quiet", "5 per hour")
		quiet.OmitHeaders = true
		watched := rule("watched", "1 per hour")
		watched.Mode = ratelimit.DryRun
		off := rule("off", "1 per hour")
		off.Mode = ratelimit.Off
		skipped := rule("skipped", "1 per hour")
		skipped.Skip = func(*http.Request) bool { return true }
		outer := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("outer", "8 per hour")}})
		l := newLimiter(t, ratelimit.Config{
			Rules:  []ratelimit.Rule{one, watched, off, skipped, rule("unlimited", "unlimited")},
			Routes: map[string][]ratelimit.Rule{"/": {two, quiet}},
		})
		var got []ratelimit.Decision
		h := outer.Handler(l.Handler(l.With(rule("inner", "2 per hour"))(decisionsIn(&got))))
		require.Equal(t, 200, serve(h, with()).Code)
		dry := decision("watched", "1 per hour", 0, time.Hour)
		dry.Mode = ratelimit.DryRun
		want := []ratelimit.Decision{
			decision("inner", "2 per hour", 1, 30*time.Minute),
			decision("one", "10 per hour", 9, 6*time.Minute),
			decision("two", "4 per minute", 3, 15*time.Second),
			decision("quiet", "5 per hour", 4, 12*time.Minute),
			dry,
			decision("outer", "8 per hour", 7, 450*time.Second),
		}
		assert.Equal(t, want, got)

		require.Equal(t, 200, serve(h, with()).Code)
		var names []string
		for _, d := range got {
			names = append(names, d.Rule)
		}
		assert.Equal(t, []string{"inner", "one", "two", "quiet", "outer"}, names, "the dry run has not allowed this request")
	})
}

// A loop over Decisions can end early, start again, and call the limiter.
func TestLoopsOverDecisions(t *testing.T) {
	t.Parallel()
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("a", "9 per hour"), rule("b", "9 per hour")}})
	inner := l.With(rule("c", "9 per hour"), rule("d", "9 per hour"))
	serve(l.Handler(inner(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		all := ratelimit.Decisions(r.Context())
		for n := 1; n <= 4; n++ {
			var names string
			for d := range all {
				names += d.Rule
				assert.NoError(t, ratelimit.SetCost(r.Context(), d.Rule, 2))
				if len(names) == n {
					break
				}
			}
			assert.Equal(t, "cdab"[:n], names)
		}
		for d := range all {
			d.Allowed = false
			l.Deny(w, r, d)
			break
		}
	}))), with())
	assert.Equal(t, int64(9), remaining(t, l, "a"), "a denial refunds")
}

// Without a limiter, and for a request that is exempt, there is no decision.
func TestNoDecisions(t *testing.T) {
	list := new(ratelimit.List)
	require.NoError(t, list.Replace([]string{"192.0.2.1"}))
	for _, tc := range []struct {
		name  string
		cfg   ratelimit.Config
		found bool
	}{
		{"an exempt route", ratelimit.Config{ExemptRoutes: []string{"/{$}"}}, false},
		{"an exempt request", ratelimit.Config{Exempt: func(*http.Request) bool { return true }}, false},
		{"a client on the list Allow", ratelimit.Config{Allow: list}, false},
		{"a limiter that is switched off", ratelimit.Config{}, false},
		{"no rule that applies", ratelimit.Config{Rules: []ratelimit.Rule{}}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if !tc.found {
				tc.cfg.Rules = []ratelimit.Rule{rule("r", "1 per hour")}
			}
			l := newLimiter(t, tc.cfg)
			l.SetEnabled(tc.name != "a limiter that is switched off")
			w := serve(l.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				d, found := ratelimit.DecisionFrom(r.Context())
				assert.Equal(t, tc.found, found)
				assert.Equal(t, ratelimit.Decision{Allowed: tc.found}, d)
				for d := range ratelimit.Decisions(r.Context()) {
					assert.Fail(t, "a decision", d)
				}
			})), with())
			assert.Equal(t, http.Header{}, w.Header(), "no field is written")
		})
	}
	_, found := ratelimit.DecisionFrom(context.Background())
	assert.False(t, found)
	for d := range ratelimit.Decisions(context.Background()) {
		assert.Fail(t, "a decision", d)
	}
}

// The handler gets a copy of the request, whose context has the decision and all values of the
// outer context. The request that the limiter was given does not change.
func TestContextOfTheHandler(t *testing.T) {
	t.Parallel()
	type name struct{}
	l := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("r", "3 per hour")}})
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), name{}, "value"))
	r := with("X-Field", "x").WithContext(ctx)
	var given *http.Request
	w := serve(l.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		given = r
		cancel()
		<-r.Context().Done()
		assert.Equal(t, context.Canceled, r.Context().Err())
	})), r)
	require.Equal(t, 200, w.Code)
	assert.NotSame(t, r, given)
	assert.Equal(t, "value", given.Context().Value(name{}))
	assert.Equal(t, []any{r.URL, r.Header, r.RemoteAddr}, []any{given.URL, given.Header, given.RemoteAddr})
	d, found := ratelimit.DecisionFrom(given.Context())
	assert.True(t, found)
	assert.Equal(t, []any{"r", int64(2)}, []any{d.Rule, d.Remaining}, "also after the response")
	_, found = ratelimit.DecisionFrom(r.Context())
	assert.False(t, found)
	assert.Equal(t, ctx, r.Context())
}

// Of several limiters, DecisionFrom returns the decision of the innermost, even if an outer limiter
// is stricter. If the inner limiter denies, the outer limiter refunds.
func TestDecisionOfTheInnermostLimiter(t *testing.T) {
	t.Parallel()
	outer := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("outer", "2 per hour")}})
	inner := newLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("loose", "9 per hour"), rule("inner", "5 per hour burst 1")}})
	var got []ratelimit.Decision
	h := outer.Handler(inner.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d, found := ratelimit.DecisionFrom(r.Context())
		assert.True(t, found)
		got = append(got, d)
	})))
	assert.Equal(t, []int{200, 429}, codes(h, with(), with()))
	require.Len(t, got, 1)
	assert.Equal(t, []any{true, "inner", int64(0)}, []any{got[0].Allowed, got[0].Rule, got[0].Remaining}, "the strictest of its rules")
	assert.Equal(t, int64(1), remaining(t, outer, "outer"), "the denied request is refunded")
	assert.Equal(t, int64(8), remaining(t, inner, "loose"))
}

// While the store fails, only rules that decide in memory have a decision of their own.
func TestDecisionsWhileTheStoreFails(t *testing.T) {
	t.Parallel()
	l := deadLimiter(t, ratelimit.Config{
		Rules:  []ratelimit.Rule{onFailure("open", "9 per hour", ratelimit.FailOpen)},
		Routes: map[string][]ratelimit.Rule{"/memory": {onFailure("here", "9 per hour", ratelimit.UseMemory)}},
	})
	var got []ratelimit.Decision
	require.Equal(t, 200, serve(l.Handler(decisionsIn(&got)), at("/memory")).Code)
	require.Len(t, got, 1)
	assert.Equal(t, []any{true, "here", true, int64(8)}, []any{got[0].Allowed, got[0].Rule, got[0].Local, got[0].Remaining})
	require.EqualError(t, got[0].StoreErr, "ratelimit: store: a secret")
	require.Equal(t, 200, serve(l.Handler(decisionsIn(&got)), at("/")).Code)
	assert.Empty(t, got)
}
