package rpclimit_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/rpclimit"
)

func TestDenial(t *testing.T) {
	perMinute := ratelimit.Per(10, time.Minute)
	tests := []struct {
		name                       string
		d                          rpclimit.Denial
		code                       uint32
		pushback, retryAfter, text string
	}{
		{
			"limit",
			rpclimit.Denial{Decision: ratelimit.Decision{
				Reason: ratelimit.ReasonLimit, Rule: "calls", Limit: perMinute, RetryAfter: 1_500_000_001,
			}},
			8, "1501", "2", `too many calls for "calls" (10 per minute); retry after 1.501s`,
		},
		{
			"more than the burst",
			rpclimit.Denial{Decision: ratelimit.Decision{
				Reason: ratelimit.ReasonExceedsBurst, Rule: "calls", Limit: perMinute,
			}},
			8, "-1", "", `the call costs more than the limit can ever allow for "calls" (10 per minute)`,
		},
		{
			"in flight",
			rpclimit.Denial{Decision: ratelimit.Decision{
				Reason: ratelimit.ReasonInFlight, Rule: "streams", RetryAfter: time.Second,
			}},
			8, "1000", "1", `too many calls at the same time for "streams"; retry after 1s`,
		},
		{
			"capacity",
			rpclimit.Denial{Decision: ratelimit.Decision{
				Reason: ratelimit.ReasonCapacity, Rule: "all", RetryAfter: time.Second,
			}},
			14, "1000", "1", `too many calls at the same time for "all"; retry after 1s`,
		},
		{
			"blocked",
			rpclimit.Denial{Decision: ratelimit.Decision{
				Reason: ratelimit.ReasonBlocked, Rule: "calls", RetryAfter: time.Minute,
			}},
			8, "60000", "60", `the client is blocked for "calls"; retry after 1m0s`,
		},
		{
			"store",
			rpclimit.Denial{Decision: ratelimit.Decision{Reason: ratelimit.ReasonStore, Rule: "calls"}},
			14, "", "", "the rate limiter is out of order",
		},
		{
			"no key",
			rpclimit.Denial{Decision: ratelimit.Decision{Reason: ratelimit.ReasonNoKey, Rule: "calls"}},
			7, "-1", "", "the call does not say who makes it",
		},
		{
			"deny list",
			rpclimit.Denial{Decision: ratelimit.Decision{Reason: ratelimit.ReasonDenied}},
			7, "-1", "", "the client is on the deny list",
		},
		{
			"deadline",
			rpclimit.Denial{Err: context.DeadlineExceeded},
			4, "", "", "left while waiting for tokens: context deadline exceeded",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.code, tt.d.Code())
			assert.Equal(t, tt.pushback, tt.d.Pushback())
			assert.Equal(t, tt.retryAfter, tt.d.RetryAfter())
			assert.Equal(t, tt.text, tt.d.Message())
			assert.EqualError(t, &tt.d, tt.text)
		})
	}
}

// TestHiddenRule keeps a rule out of everything that a client sees.
func TestHiddenRule(t *testing.T) {
	g := guard(t, rpclimit.Config{
		Limiter: budgets(t, "1 per minute", "9 per minute"), Fields: true,
		Rules:    []rpclimit.Rule{{Name: "a", Hidden: true}, {Name: "b"}},
		InFlight: []rpclimit.InFlight{{Name: "f", Max: 1, Hidden: true}},
	})
	s, d := g.Begin(t.Context(), callOf(method), nil, false)
	require.Nil(t, d)
	policy, limit := s.Fields()
	assert.Equal(t, `"b";q=9;w=60`, policy)
	assert.Equal(t, `"b";r=8;t=54`, limit)
	assert.Equal(t, "too many calls at the same time; retry after 1s", begin(t.Context(), g, method).Message())
	s.End(0, true)
	d = begin(t.Context(), g, method)
	assert.Contains(t, d.Message(), "too many calls; retry after ")
	_, ok := d.Quota()
	assert.False(t, ok)
	policy, _ = d.Fields()
	assert.Equal(t, `"b";q=9;w=60`, policy)
}

func TestFields(t *testing.T) {
	tests := []struct {
		name, limit, policy, first, second, third string
	}{
		{"a token left", "2 per minute", `"a";q=2;w=60`, `"a";r=1;t=30`, `"a";r=0;t=30`, `"a";r=0;t=30`},
		{"part of a second", "3 per 1500ms burst 2", `"a";q=4;w=2`, `"a";r=1;t=1`, `"a";r=0;t=1`, `"a";r=0;t=1`},
		{"no limit", "unlimited", "", "", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			now := time.Now()
			l := limiter(t, ratelimit.Config{
				Clock:   func() time.Time { return now },
				Budgets: []ratelimit.Budget{{Name: "a", Limits: ratelimit.MustParse(tt.limit)}},
			})
			g := guard(t, rpclimit.Config{Limiter: l, Rules: []rpclimit.Rule{{Name: "a"}}, Fields: true})
			for _, want := range []string{tt.first, tt.second} {
				s, _ := g.Begin(t.Context(), callOf(method), nil, false)
				policy, limit := s.Fields()
				assert.Equal(t, tt.policy, policy)
				assert.Equal(t, want, limit)
			}
			if _, d := g.Begin(t.Context(), callOf(method), nil, false); d != nil {
				_, limit := d.Fields()
				assert.Equal(t, tt.third, limit)
			}
		})
	}
}

func TestNoFields(t *testing.T) {
	g := guard(t, rpclimit.Config{
		Limiter: budgets(t, "1 per hour"), Rules: []rpclimit.Rule{{Name: "a"}},
	})
	s, d := g.Begin(t.Context(), callOf(method), nil, false)
	require.Nil(t, d)
	policy, limit := s.Fields()
	assert.Empty(t, policy+limit)
	policy, limit = begin(t.Context(), g, method).Fields()
	assert.Empty(t, policy+limit)
}
