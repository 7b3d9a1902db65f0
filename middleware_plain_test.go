package ratelimit_test

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
)

// Rules that only take tokens have a faster way through the middleware. Responses, decisions and
// reports are the same as with rules that have a Skip, which take the general way.
func TestPlainWayAgrees(t *testing.T) {
	byUser := ratelimit.ByUser(field("User"))
	for _, tc := range []struct {
		name   string
		limits []string          // of one rule each
		keys   []ratelimit.Keyer // of the rules
		hidden bool              // the first rule omits its response fields
		cost   bool              // rules have a Cost
	}{
		{name: "one limit", limits: []string{"5 per hour burst 3"}},
		{name: "two limits", limits: []string{"4 per minute; 6 per hour"}},
		{name: "three limits", limits: []string{"9 per hour; 7 per 30 minutes; 5 per 10 minutes"}},
		{name: "four limits", limits: []string{"9 per hour; 7 per 30 minutes; 8 per 20 minutes; 5 per 10 minutes"}},
		{name: "unlimited", limits: []string{"unlimited", "5 per hour"}},
		{name: "costs", limits: []string{"5 per hour burst 3"}, cost: true},
		{name: "costs under three limits", limits: []string{"9 per hour; 7 per 30 minutes; 5 per 10 minutes"}, cost: true},
		{name: "two rules by address", limits: []string{"9 per hour", "5 per 10 minutes"}},
		{name: "three rules by address", limits: []string{"9 per hour", "5 per 10 minutes", "7 per 30 minutes"}, cost: true},
		{name: "two rules by two keys", limits: []string{"9 per hour", "5 per 10 minutes"}, keys: []ratelimit.Keyer{nil, byUser}},
		{name: "two rules by two other keys", limits: []string{"9 per hour", "5 per 10 minutes"}, keys: []ratelimit.Keyer{byUser, nil}},
		{name: "a global rule", limits: []string{"9 per hour", "40 per hour"}, keys: []ratelimit.Keyer{nil, ratelimit.Global("all")}},
		{name: "hidden limits", limits: []string{"5 per hour", "9 per hour"}, hidden: true},
		{name: "all limits hidden", limits: []string{"5 per hour"}, hidden: true, cost: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var plain, general []ratelimit.Rule
				for i, limits := range tc.limits {
					r := rule(fmt.Sprint("r", i), limits)
					if tc.keys != nil {
						r.Key = tc.keys[i]
					}
					if tc.cost {
						r.Cost = func(r *http.Request) int64 { return r.ContentLength }
					}
					r.OmitHeaders = tc.hidden && i == 0
					plain = append(plain, r)
					r.Skip = func(*http.Request) bool { return false }
					general = append(general, r)
				}
				agree(t, ratelimit.Config{Rules: plain}, ratelimit.Config{Rules: general})
				routes := map[string][]ratelimit.Rule{"/": plain}
				agree(t, ratelimit.Config{Routes: routes, Headers: ratelimit.LegacyHeaders},
					ratelimit.Config{Rules: general, Headers: ratelimit.LegacyHeaders})
			})
		})
	}
}

// agree sends the same random requests through both limiters.
func agree(t *testing.T, a, b ratelimit.Config) {
	t.Helper()
	first, second := newRecordedHandler(t, a), newRecordedHandler(t, b)
	rng, statuses := rand.New(rand.NewPCG(1, 2)), map[int]int{}
	for range 150 {
		r := request([]string{"192.0.2.1:1", "192.0.2.2:1", "[2001:db8::1]:1", "@"}[rng.IntN(4)],
			"User", []string{"", "alice", "bob"}[rng.IntN(3)])
		r.Method = []string{http.MethodGet, http.MethodGet, http.MethodGet, http.MethodPut}[rng.IntN(4)]
		r.ContentLength = []int64{1, 1, 1, 2, 0, 1000, -1}[rng.IntN(7)]
		s := r.Clone(r.Context())
		x, y := serve(first, r), serve(second, s)
		require.Equal(t, s.Pattern, r.Pattern)
		require.Equal(t, y.Code, x.Code)
		require.Equal(t, y.Header(), x.Header())
		require.Equal(t, y.Body.String(), x.Body.String())
		require.Equal(t, second.seen, first.seen)
		first.seen, second.seen = nil, nil
		statuses[x.Code]++
		time.Sleep(time.Duration(rng.IntN(120)) * time.Second)
	}
	assert.Equal(t, second.reports, first.reports)
	assert.Greater(t, statuses[http.StatusOK], 10)
	assert.Greater(t, statuses[http.StatusTooManyRequests], 10)
}

// recordedHandler is a handler behind a limiter. It records what handlers and hooks see.
type recordedHandler struct {
	http.Handler
	seen    []ratelimit.Decision
	reports []string
}

func newRecordedHandler(t *testing.T, cfg ratelimit.Config) *recordedHandler {
	t.Helper()
	rec := new(recordedHandler)
	cfg.Hooks.Error = func(_ context.Context, err error) { rec.reports = append(rec.reports, err.Error()) }
	cfg.Hooks.Denied = func(_ *http.Request, d ratelimit.Decision) { rec.seen = append(rec.seen, d) }
	cfg.Hooks.Decided = func(_ *http.Request, d ratelimit.Decision, rules iter.Seq[ratelimit.Decision]) {
		rec.seen = slices.AppendSeq(append(rec.seen, d), rules)
	}
	rec.Handler = newLimiter(t, cfg).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		r.Pattern = "seen"
		if d, ok := ratelimit.DecisionFrom(r.Context()); assert.True(t, ok) {
			rec.seen = append(rec.seen, d)
		}
		rec.seen = slices.AppendSeq(rec.seen, ratelimit.Decisions(r.Context()))
	}))
	return rec
}
