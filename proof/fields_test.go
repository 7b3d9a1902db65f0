package proof

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dunglas/httpsfv"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ratelimit-go/ratelimit"
)

// drawLimits draws the limits of a rule, all different.
func drawLimits(t *rapid.T) ratelimit.Limits {
	var limits ratelimit.Limits
	n := rapid.IntRange(1, 3).Draw(t, "limits")
	for i := range n {
		count := rapid.Int64Range(1, 1<<rapid.IntRange(1, 31).Draw(t, "bits")).Draw(t, "count")
		period := rapid.SampledFrom([]time.Duration{
			time.Millisecond, 700 * time.Millisecond, time.Second, time.Minute, 90 * time.Minute, time.Hour,
			24 * time.Hour, 365 * 24 * time.Hour,
		}).Draw(t, "period")
		limit := ratelimit.Limit{Count: count, Period: period + time.Duration(i)*time.Second}
		if rapid.Bool().Draw(t, "with burst") {
			limit.Burst = rapid.Int64Range(1, count).Draw(t, "burst")
		}
		limits = append(limits, limit)
	}
	return limits
}

// drawRules draws rules with all kinds of valid names.
func drawRules(t *rapid.T) []ratelimit.Rule {
	var rules []ratelimit.Rule
	for i := range rapid.IntRange(1, 3).Draw(t, "rules") {
		rules = append(rules, ratelimit.Rule{
			Name:        fmt.Sprint(i) + rapid.StringMatching(`[ -~]{0,12}`).Draw(t, "name"),
			Limits:      drawLimits(t),
			OmitHeaders: rapid.IntRange(0, 4).Draw(t, "omit headers") == 0,
			Cost: func(r *http.Request) int64 {
				n, _ := strconv.ParseInt(r.URL.Query().Get("cost"), 10, 64)
				return n
			},
		})
	}
	return rules
}

// Each field of each response, in each form, is well formed by its standard.
func TestFieldsParse(t *testing.T) {
	limited, allowed := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		form := rapid.SampledFrom(forms).Draw(t, "form")
		newLimiter := func() *ratelimit.Limiter {
			l, err := ratelimit.New(ratelimit.Config{Headers: form, Rules: drawRules(t)})
			if err != nil {
				t.Skip("not a valid configuration:", err)
			}
			return l
		}
		h := newLimiter().Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		if rapid.Bool().Draw(t, "nested") {
			h = newLimiter().Handler(h)
		}
		server := httptest.NewServer(h)
		defer server.Close()
		for range rapid.IntRange(1, 6).Draw(t, "requests") {
			cost := rapid.Int64Range(0, 1<<rapid.IntRange(0, 32).Draw(t, "cost bits")).Draw(t, "cost")
			resp, err := server.Client().Get(server.URL + "?cost=" + strconv.FormatInt(cost, 10))
			require.NoError(t, err)
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			checkFields(t, form, resp.Header)
			checkStatus(t, resp)
			if resp.StatusCode == http.StatusOK {
				allowed++
			} else {
				limited++
			}
		}
	})
	require.Positive(t, limited)
	require.Positive(t, allowed)
}

// forms are all values of Config.Headers.
var forms = []ratelimit.Headers{
	ratelimit.DraftHeaders, ratelimit.Draft7Headers, ratelimit.Draft6Headers, ratelimit.LegacyHeaders,
	ratelimit.NoHeaders,
}

func checkStatus(t *rapid.T, resp *http.Response) {
	after := resp.Header.Values("Retry-After")
	if resp.StatusCode == http.StatusOK {
		require.Empty(t, after)
		return
	}
	require.Equal(t, http.StatusTooManyRequests, resp.StatusCode)
	require.Equal(t, []string{"no-store"}, resp.Header.Values("Cache-Control"))
	require.LessOrEqual(t, len(after), 1)
	if len(after) == 1 { // there is none if waiting does not help
		require.Regexp(t, `^[1-9][0-9]*$`, after[0])
	}
}

func checkFields(t *rapid.T, form ratelimit.Headers, h http.Header) {
	var names []string
	for name := range h {
		if strings.Contains(strings.ToLower(name), "ratelimit") {
			names = append(names, name)
			require.Len(t, h[name], 1, "%s has several lines", name)
		}
	}
	switch {
	case form == ratelimit.NoHeaders:
		require.Empty(t, names)
	case len(names) == 0: // all rules have OmitHeaders
	case form == ratelimit.DraftHeaders:
		require.ElementsMatch(t, []string{"Ratelimit", "Ratelimit-Policy"}, names)
		checkDraft(t, h)
	case form == ratelimit.Draft7Headers:
		require.ElementsMatch(t, []string{"Ratelimit", "Ratelimit-Policy"}, names)
		checkDraft7(t, h)
	default:
		prefix := "Ratelimit-"
		if form == ratelimit.LegacyHeaders {
			prefix = "X-Ratelimit-"
		}
		require.ElementsMatch(t, []string{prefix + "Limit", prefix + "Remaining", prefix + "Reset"}, names)
		require.LessOrEqual(t, integer(t, h.Get(prefix+"Remaining")), integer(t, h.Get(prefix+"Limit")))
		integer(t, h.Get(prefix+"Reset"))
	}
}

// checkDraft checks the fields of draft-ietf-httpapi-ratelimit-headers-11: lists of strings, with
// the parameters q and w, and r and t.
func checkDraft(t *rapid.T, h http.Header) {
	policies, err := httpsfv.UnmarshalList(h["Ratelimit-Policy"])
	require.NoError(t, err, "RateLimit-Policy: %q", h["Ratelimit-Policy"])
	levels, err := httpsfv.UnmarshalList(h["Ratelimit"])
	require.NoError(t, err, "RateLimit: %q", h["Ratelimit"])
	require.Len(t, levels, len(policies))
	for i := range policies {
		policy, level := policies[i].(httpsfv.Item), levels[i].(httpsfv.Item)
		require.IsType(t, "", policy.Value)
		require.Equal(t, policy.Value, level.Value)
		require.Equal(t, []string{"q", "w"}, policy.Params.Names())
		require.Equal(t, []string{"r", "t"}, level.Params.Names())
		parameter(t, policy, "q")
		require.Positive(t, parameter(t, policy, "w"))
		parameter(t, level, "r")
		parameter(t, level, "t")
	}
}

func parameter(t *rapid.T, item httpsfv.Item, name string) int64 {
	v, _ := item.Params.Get(name)
	n, ok := v.(int64)
	require.True(t, ok, "%s is %T %v", name, v, v)
	require.GreaterOrEqual(t, n, int64(0))
	return n
}

// checkDraft7 checks the fields of version 7: a dictionary, and a list of one integer.
func checkDraft7(t *rapid.T, h http.Header) {
	policies, err := httpsfv.UnmarshalList(h["Ratelimit-Policy"])
	require.NoError(t, err)
	require.Len(t, policies, 1)
	require.IsType(t, int64(0), policies[0].(httpsfv.Item).Value)
	require.Positive(t, parameter(t, policies[0].(httpsfv.Item), "w"))
	levels, err := httpsfv.UnmarshalDictionary(h["Ratelimit"])
	require.NoError(t, err, "RateLimit: %q", h["Ratelimit"])
	require.Equal(t, []string{"limit", "remaining", "reset"}, levels.Names())
	for _, name := range levels.Names() {
		m, _ := levels.Get(name)
		require.IsType(t, int64(0), m.(httpsfv.Item).Value)
	}
}

func integer(t *rapid.T, text string) int64 {
	require.Regexp(t, `^(0|[1-9][0-9]*)$`, text)
	n, err := strconv.ParseInt(text, 10, 64)
	require.NoError(t, err)
	return n
}
