package respond

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestCheckHandler(t *testing.T) {
	CheckHandler("ratelimit", http.NotFoundHandler())
	CheckHandler("ratelimit", http.NewServeMux())
	for _, h := range []http.Handler{nil, http.HandlerFunc(nil)} {
		assert.PanicsWithValue(t, "ratelimit: nil handler", func() { CheckHandler("ratelimit", h) })
	}
}

func TestFormsByName(t *testing.T) {
	s := Standing{Quota: 10, Window: 60, Limit: 20, Remaining: 5, Reset: 90 * time.Second, Allowed: true}
	now := func() time.Time { return time.Unix(1_000_000, 0) }
	for form, want := range map[string]http.Header{
		"draft-7": {"Ratelimit": {"limit=20, remaining=5, reset=90"}, "Ratelimit-Policy": {"10;w=60"}},
		"draft-6": {"Ratelimit-Limit": {"20"}, "Ratelimit-Remaining": {"5"}, "Ratelimit-Reset": {"90"}},
		"legacy":  {"X-Ratelimit-Limit": {"20"}, "X-Ratelimit-Remaining": {"5"}, "X-Ratelimit-Reset": {"1000090"}},
	} {
		h := http.Header{}
		SetStanding(h, form, s, now)
		assert.Equal(t, want, h, form)
	}
	for form, want := range map[string][]string{
		"none":    {"Retry-After"},
		"draft-6": {"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Retry-After"},
		"legacy":  {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "Retry-After"},
		"draft-7": {"RateLimit", "RateLimit-Policy", "Retry-After"},
		"":        {"RateLimit", "RateLimit-Policy", "Retry-After"},
	} {
		assert.Equal(t, want, FieldNames(form), form)
	}
}

func TestListsOfOneAndTwoMembers(t *testing.T) {
	assert.Equal(t, `"a";r=1;t=2`, string(AppendLevel(nil, `"a";r=`, 1, 2)))
	assert.Equal(t, `x, "a";r=1;t=2`, string(AppendLevel([]byte("x"), `"a";r=`, 1, 2)))
	one := AppendViolated(nil, `"a"`)
	assert.Equal(t, `,"violated-policies":["a"]`, string(one))
	assert.Equal(t, `,"violated-policies":["a","b"]`, string(AppendViolated(one, `"b"`)))
	assert.Equal(t, `"b"`, Join("", `"b"`))
	assert.Equal(t, `"a", "b"`, Join(`"a"`, `"b"`))
}

func TestNamesOfLimits(t *testing.T) {
	assert.Equal(t, "api", PolicyName("api", 0, 1))
	assert.Equal(t, "api-1", PolicyName("api", 0, 2))
	assert.Equal(t, "api-2", PolicyName("api", 1, 2))
	n := Names{}
	assert.NoError(t, n.Add("unlimited", 0, 0))
	assert.NoError(t, n.Add("api", 2, 2))
	assert.Equal(t, Names{"api-1": "api", "api-2": "api"}, n)
	assert.NoError(t, n.Add("some", 1, 2))
	assert.EqualError(t, n.Add("api-2", 1, 1),
		`"api-2": fields of a response would name a limit "api-2", as one of rule "api": want another name`)
	assert.NoError(t, n.Add("api", 0, 1), "one limit, whose name is free")
}

// An outer limiter that left as many tokens stays, also with two digits.
func TestAsManyTokensAsAnOuterLimiterLeft(t *testing.T) {
	s := Standing{Quota: 10, Window: 60, Limit: 20, Remaining: 10, Reset: time.Minute, Allowed: true}
	h := http.Header{"Ratelimit": {"limit=12, remaining=10, reset=7"}, "Ratelimit-Policy": {"12;w=7"}}
	want := h.Clone()
	SetDraft7(h, s)
	assert.Equal(t, want, h)
	h = http.Header{"Ratelimit-Limit": {"12"}, "Ratelimit-Remaining": {"10"}, "Ratelimit-Reset": {"7"}}
	want = h.Clone()
	SetDraft6(h, s)
	assert.Equal(t, want, h)
}
