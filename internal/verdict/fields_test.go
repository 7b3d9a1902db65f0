package verdict

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/ratelimit-go/ratelimit/internal/pace"
	"github.com/ratelimit-go/ratelimit/internal/respond"
	"github.com/ratelimit-go/ratelimit/store"
)

func TestLevelOfALimit(t *testing.T) {
	large := pace.Limit{Count: 1, Period: time.Nanosecond, Burst: 2_000_000_000_000_000}
	for _, test := range []struct {
		name   string
		limit  pace.Limit
		result store.Result
		want   string
	}{
		{"tokens left", tenPerMinute, store.Result{Allowed: true, Remaining: 5, ResetAfter: 29 * time.Second}, "r=5;t=30"},
		{"one left", tenPerMinute, store.Result{Allowed: true, Remaining: 1, ResetAfter: 50 * time.Second}, "r=1;t=6"},
		{"none left", tenPerMinute, store.Result{Allowed: true, ResetAfter: 57 * time.Second}, "r=0;t=6"},
		{"none left, soon full", tenPerMinute, store.Result{Allowed: true, ResetAfter: 4 * time.Second}, "r=0;t=4"},
		{"denied", tenPerMinute, store.Result{RetryAfter: 3500 * time.Millisecond, ResetAfter: 57 * time.Second}, "r=0;t=4"},
		{"denied with tokens left", tenPerMinute, store.Result{Remaining: 2, RetryAfter: 9 * time.Second}, "r=2;t=9"},
		{"more than the burst", tenPerMinute, store.Result{ExceedsBurst: true, Remaining: 5}, "r=5;t=30"},
		{"more than the burst, none left", tenPerMinute, store.Result{ExceedsBurst: true, ResetAfter: time.Minute}, "r=0;t=6"},
		{"more than a field holds", large, store.Result{Allowed: true, Remaining: 2e15}, "r=999999999999999;t=1000000"},
	} {
		p := policyOf(newRule("api"), test.limit)
		assert.Equal(t, `"api";`+test.want, string(p.appendLevel(nil, &test.result)), test.name)
	}
}

func TestSetDraft(t *testing.T) {
	quiet := newRule("quiet")
	quiet.Quiet = true
	policies := []*Policy{
		policyOf(newRule("a"), tenPerMinute), policyOf(quiet, tenPerMinute),
		policyOf(newRule("b"), pace.Limit{Count: 3, Period: time.Second}),
	}
	results := []store.Result{
		{Allowed: true, Remaining: 5}, {Allowed: true, Remaining: 1}, {RetryAfter: time.Second},
	}
	v, h := answered(policies, results...), http.Header{}
	v.SetDraft(h, nil, new(respond.Values))
	assert.Equal(t, http.Header{
		"Ratelimit":        {`"a";r=5;t=30, "b";r=0;t=1`},
		"Ratelimit-Policy": {`"a";q=10;w=60, "b";q=3;w=1`},
	}, h)

	v.Field = `"made";q=1;w=1` // already
	h = http.Header{}
	v.SetDraft(h, nil, new(respond.Values))
	assert.Equal(t, `"made";q=1;w=1`, h.Get("RateLimit-Policy"))

	v, h = answered(policies[1:2], results[1]), http.Header{}
	v.SetDraft(h, nil, new(respond.Values))
	assert.Empty(t, h)
	assert.Empty(t, v.policyField(nil))
}

func TestSetStrictest(t *testing.T) {
	quiet, held := newRule("quiet"), newRule("held")
	quiet.Quiet, held.MaxWait = true, time.Minute
	policies := []*Policy{
		policyOf(quiet, tenPerMinute), policyOf(newRule("loose"), tenPerMinute),
		policyOf(held, pace.Limit{Count: 120, Period: time.Minute, Burst: 40}), policyOf(newRule("free"), tenPerMinute),
	}
	results := []store.Result{
		{Allowed: true}, // the strictest, but quiet
		{Allowed: true, Remaining: 9, ResetAfter: 6 * time.Second},
		{Allowed: true, Remaining: 8, ResetAfter: 16 * time.Second},
		{Allowed: true, Remaining: 10},
	}
	now := func() time.Time { return time.Unix(1_000_000, 1) }
	for form, want := range map[string]http.Header{
		"draft-7": {"Ratelimit": {"limit=40, remaining=8, reset=16"}, "Ratelimit-Policy": {"120;w=60"}},
		"draft-6": {"Ratelimit-Limit": {"40"}, "Ratelimit-Remaining": {"8"}, "Ratelimit-Reset": {"16"}},
		"legacy":  {"X-Ratelimit-Limit": {"40"}, "X-Ratelimit-Remaining": {"8"}, "X-Ratelimit-Reset": {"1000017"}},
	} {
		h := http.Header{}
		answered(policies, results...).SetStrictest(h, form, now)
		assert.Equal(t, want, h, form)
	}
	h := http.Header{}
	answered(policies[:1], results[0]).SetStrictest(h, "draft-6", now)
	assert.Empty(t, h, "all are quiet")
	for _, i := range []int{1, 3} { // the other limit comes later, and then earlier
		pair := answered([]*Policy{policies[i], policies[4-i]}, results[i], results[4-i])
		h = http.Header{}
		pair.SetStrictest(h, "draft-6", now)
		assert.Equal(t, "9", h.Get("RateLimit-Remaining"))
	}
}

// A denial is shown though an outer limiter has fewer tokens left. The reset is its wait.
func TestSetStrictestOfADenial(t *testing.T) {
	p := policyOf(newRule("api"), tenPerMinute)
	outer := func() http.Header {
		return http.Header{"Ratelimit-Limit": {"3"}, "Ratelimit-Remaining": {"0"}, "Ratelimit-Reset": {"1"}}
	}
	for _, test := range []struct {
		name   string
		result store.Result
		want   []string
	}{
		{"wait", store.Result{Remaining: 1, RetryAfter: 5 * time.Second, ResetAfter: 54 * time.Second}, []string{"10", "1", "5"}},
		{"burst", store.Result{ExceedsBurst: true, Remaining: 4, ResetAfter: 36 * time.Second}, []string{"10", "4", "36"}},
		{"allowed", store.Result{Allowed: true, Remaining: 4, ResetAfter: 36 * time.Second}, []string{"3", "0", "1"}},
	} {
		h := outer()
		answered([]*Policy{p}, test.result).SetStrictest(h, "draft-6", time.Now)
		got := []string{h.Get("RateLimit-Limit"), h.Get("RateLimit-Remaining"), h.Get("RateLimit-Reset")}
		assert.Equal(t, test.want, got, test.name)
	}
}

func TestAppendViolated(t *testing.T) {
	quiet := newRule("quiet")
	quiet.Quiet = true
	policies := []*Policy{
		policyOf(newRule("a"), tenPerMinute), policyOf(newRule("b"), tenPerMinute),
		policyOf(quiet, tenPerMinute), policyOf(newRule("c"), tenPerMinute),
	}
	v := answered(policies, store.Result{}, store.Result{Allowed: true}, store.Result{}, store.Result{})
	assert.Equal(t, `,"violated-policies":["a","c"]`, string(v.AppendViolated(nil)))
	v = answered(policies[2:3], store.Result{})
	assert.Empty(t, v.AppendViolated(nil))
}
