package ratelimit_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

func TestExplainOfExemptRequests(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{
		Rules: []ratelimit.Rule{rule("all", "2 per hour")}, Exempt: func(r *http.Request) bool { return r.Method == "OPTIONS" },
		ExemptRoutes: []string{"/free"},
	})
	for _, r := range []*http.Request{httptest.NewRequest("OPTIONS", "/", nil), at("/free")} {
		assert.Empty(t, l.Explain(r))
		assert.Empty(t, serve(l.Handler(ok), r).Header())
	}
}

// Explain returns one decision for each limit, and takes no token.
func TestExplain(t *testing.T) {
	deny := rule("deny", "1 per hour")
	deny.Key, deny.OnMissingKey = ratelimit.ByUser(field("User")), ratelimit.DenyRequest
	costly := rule("costly", "5 per hour; 1 per second")
	costly.Cost = func(*http.Request) int64 { return 2 }
	off := rule("off", "1 per hour")
	off.Mode = ratelimit.Off
	l := newLimiter(t, ratelimit.Config{
		Rules:  []ratelimit.Rule{rule("all", "9 per hour"), off},
		Routes: map[string][]ratelimit.Rule{"/costly": {costly}, "/deny": {deny}},
	})
	key := client()
	perHour := func(n int64) ratelimit.Limit { return ratelimit.Limit{Count: n, Period: time.Hour, Burst: n} }
	want := []ratelimit.Decision{
		{Allowed: true, Rule: "all", Mode: ratelimit.Enforce, Limit: perHour(9), Key: key, Remaining: 9},
		{Allowed: true, Rule: "costly", Mode: ratelimit.Enforce, Limit: perHour(5), Key: key, Remaining: 5},
		{
			Rule: "costly", Mode: ratelimit.Enforce, Limit: ratelimit.Limit{Count: 1, Period: time.Second, Burst: 1}, Key: key,
			Remaining: 1,
			Reason:    ratelimit.ReasonExceedsBurst,
		},
	}
	for range 2 {
		assert.Equal(t, want, l.Explain(at("/costly")))
		assert.Equal(t, want[:1], l.Explain(at("/")))
	}
	assert.Empty(t, l.Explain(at("/deny")), "the request has no key")
	assert.Equal(t, 429, serve(l.Handler(ok), at("/costly")).Code)
}

// While the store fails, the decisions of Explain and Take say what the policy decides.
func TestExplainWhileTheStoreFails(t *testing.T) {
	l := deadLimiter(t, ratelimit.Config{Rules: []ratelimit.Rule{rule("all", "2 per hour")}})
	all := l.Explain(with())
	require.Len(t, all, 1)
	require.ErrorContains(t, all[0].StoreErr, "a secret")
	all[0].StoreErr = nil
	assert.Equal(t, ratelimit.Decision{
		Allowed: true, Reason: ratelimit.ReasonStore, Rule: "all", Mode: ratelimit.Enforce,
		Key: client(), Limit: ratelimit.Limit{Count: 2, Period: time.Hour, Burst: 2},
	}, all[0])
	d, err := l.Take(context.Background(), "all", ratelimit.UserKey("a"), 1)
	require.NoError(t, err)
	require.ErrorContains(t, d.StoreErr, "a secret")
	d.StoreErr = nil
	assert.Equal(t, ratelimit.Decision{Allowed: true, Reason: ratelimit.ReasonStore, Rule: "all", Mode: ratelimit.Enforce}, d)
}
