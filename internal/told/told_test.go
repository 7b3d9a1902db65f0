package told

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

var now = time.Date(2026, 11, 27, 12, 0, 0, 500_000_000, time.UTC)

// header returns a header of names and values.
func header(fields ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(fields); i += 2 {
		h.Add(fields[i], fields[i+1])
	}
	return h
}

func TestRetryAfter(t *testing.T) {
	for _, tc := range []struct {
		name   string
		header http.Header
		want   time.Duration
		known  bool
	}{
		{"none", header(), 0, false},
		{"seconds", header("Retry-After", "17"), 17 * time.Second, true},
		{"zero", header("Retry-After", "0"), 0, true},
		{"date", header("Retry-After", "Fri, 27 Nov 2026 12:00:10 GMT"), 9500 * time.Millisecond, true},
		{"date of RFC 850", header("Retry-After", "Friday, 27-Nov-26 12:00:10 GMT"), 9500 * time.Millisecond, true},
		{"past date", header("Retry-After", "Fri, 27 Nov 2020 12:00:10 GMT"), 0, true},
		{"fraction", header("Retry-After", "1.5"), 1500 * time.Millisecond, true},
		{"negative", header("Retry-After", "-5"), 0, false},
		{"words", header("Retry-After", "soon"), 0, false},
		{"thirty digits", header("Retry-After", strings.Repeat("9", 30)), Never, true},
		{"ten thousand digits", header("Retry-After", strings.Repeat("9", 10_000)), 0, false},
		{"the longest of two", header("Retry-After", "5", "Retry-After", "60"), time.Minute, true},
		{"date of asctime", header("Retry-After", "Fri Nov 27 12:00:10 2026"), 9500 * time.Millisecond, true},
		{"two that a proxy has joined", header("Retry-After", "5, 60"), time.Minute, true},
		{"joined with a malformed one", header("Retry-After", "5, soon"), 0, false},
		{"duration", header("Retry-After", "1m30s"), 90 * time.Second, true},
		{"RFC 3339", header("Retry-After", "2026-11-27T12:00:10Z"), 9500 * time.Millisecond, true},
		{"milliseconds of Azure", header("X-Ms-Retry-After-Ms", "1250"), 1250 * time.Millisecond, true},
		{
			"milliseconds of Azure, rounded to seconds",
			header("X-Ms-Retry-After-Ms", "1250", "Retry-After-Ms", "1250", "Retry-After", "2"), 1250 * time.Millisecond, true,
		},
		{
			"milliseconds that contradict each other",
			header("X-Ms-Retry-After-Ms", "10", "Retry-After-Ms", "900"), 900 * time.Millisecond, true,
		},
		{"milliseconds", header("Retry-After-Ms", "1250"), 1250 * time.Millisecond, true},
		{"milliseconds that seconds round", header("Retry-After-Ms", "1250", "Retry-After", "2"), 1250 * time.Millisecond, true},
		{"milliseconds that contradict", header("Retry-After-Ms", "10", "Retry-After", "20"), 20 * time.Second, true},
		{"malformed milliseconds", header("Retry-After-Ms", "x", "Retry-After", "2"), 2 * time.Second, true},
		{
			"date of a clock an hour ahead",
			header("Retry-After", "Fri, 27 Nov 2026 13:00:10 GMT", "Date", "Fri, 27 Nov 2026 13:00:00 GMT"), 10 * time.Second, true,
		},
		{
			"date of a clock an hour behind",
			header("Retry-After", "Fri, 27 Nov 2026 11:00:10 GMT", "Date", "Fri, 27 Nov 2026 11:00:00 GMT"), 10 * time.Second, true,
		},
		{
			"year 1 of a clock that is ahead",
			header("Retry-After", "Mon, 01 Jan 0001 00:00:00 GMT", "Date", "Fri, 27 Nov 2026 13:00:00 GMT"), 0, true,
		},
		{
			"a clock that has never been set",
			header("Retry-After", "Mon, 01 Jan 0001 00:00:10 GMT", "Date", "Mon, 01 Jan 0001 00:00:00 GMT"), 10 * time.Second, true,
		},
		{
			"date of the same clock",
			header("Retry-After", "Fri, 27 Nov 2026 12:00:10 GMT", "Date", "Fri, 27 Nov 2026 12:00:00 GMT"), 9500 * time.Millisecond, true,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := Read(tc.header, now)
			assert.Equal(t, tc.known, got.HasRetryAfter)
			assert.InDelta(t, tc.want, got.RetryAfter, 2)
		})
	}
}

func TestShouldRetry(t *testing.T) {
	assert.True(t, Read(header("X-Should-Retry", "true"), now).ShouldRetry)
	assert.True(t, Read(header("X-Should-Retry", "False"), now).ShouldNotRetry)
	assert.True(t, Read(header("Stripe-Should-Retry", "true"), now).ShouldRetry)
	assert.True(t, Read(header("Stripe-Should-Retry", "false"), now).ShouldNotRetry)
	got := Read(header("X-Should-Retry", "perhaps"), now)
	assert.False(t, got.ShouldRetry || got.ShouldNotRetry)
}

func TestQuotas(t *testing.T) {
	x := func(reset string) http.Header {
		return header("X-RateLimit-Limit", "100", "X-RateLimit-Remaining", "40", "X-RateLimit-Reset", reset)
	}
	of := func(id string, reset time.Duration, instant bool) Quota {
		return Quota{ID: id, Requests: true, Limit: 100, Left: 40, Reset: reset, Instant: instant}
	}
	minute := of("draft 100", 20*time.Second, false)
	minute.Window = time.Minute
	draft6 := minute
	draft6.ID = "draft-6 100"
	for _, tc := range []struct {
		name   string
		header http.Header
		want   []Quota
	}{
		{
			"draft 3, policy in the limit",
			header("RateLimit-Limit", "100, 100;w=60", "RateLimit-Remaining", "40", "RateLimit-Reset", "20"),
			[]Quota{draft6},
		},
		{
			"draft 6",
			header("RateLimit-Limit", "100", "RateLimit-Policy", "100;w=60", "RateLimit-Remaining", "40", "RateLimit-Reset", "20"),
			[]Quota{draft6},
		},
		{
			"draft 7", header("RateLimit-Policy", `100;w=60, 5000;w=3600;comment="x"`, "RateLimit", "limit=100, remaining=40, reset=20"),
			[]Quota{minute},
		},
		{"draft 7 without remaining", header("RateLimit", "limit=100, reset=20"), nil},
		{
			"draft 8",
			header("RateLimit-Policy", `"a";q=100;w=60,"b"; q=1000; w=86400;qu="content-bytes"`, "RateLimit", `"a";r=40;t=20, "b"; r=7`),
			[]Quota{
				{ID: `draft "a" `, Requests: true, Limit: 100, Window: time.Minute, Left: 40, Reset: 20 * time.Second},
				{ID: `draft "b" `, Limit: 1000, Window: 24 * time.Hour, Left: 7, Reset: -1},
			},
		},
		{
			"draft 11 in two lines, with partition keys",
			header("RateLimit", `"a";r=40;t=20;pk=:YQ==:`, "RateLimit", `"a";r=41;t=21;pk=:Yg==:`,
				"RateLimit-Policy", `"a";q=100;w=60;pk=:YQ==:`),
			[]Quota{
				{ID: `draft "a" a`, Requests: true, Limit: 100, Window: time.Minute, Left: 40, Reset: 20 * time.Second},
				{ID: `draft "a" b`, Requests: true, Limit: -1, Left: 41, Reset: 21 * time.Second},
			},
		},
		{
			"the names of a later draft", header("RateLimit", `"a";a=40;w=20`),
			[]Quota{{ID: `draft "a" `, Requests: true, Limit: -1, Left: 40, Reset: 20 * time.Second}},
		},
		{
			"more left than the limit: the stricter counts", header("RateLimit-Policy", `"a";q=5;w=60`, "RateLimit", `"a";r=40;t=20`),
			[]Quota{{ID: `draft "a" `, Requests: true, Limit: 5, Window: time.Minute, Left: 5, Reset: 20 * time.Second}},
		},
		{
			"requests in flight wait for no time",
			header("RateLimit-Policy", `"a";q=5;qu="concurrent-requests"`, "RateLimit", `"a";r=0;t=20`),
			[]Quota{{ID: `draft "a" `, Limit: 5, Left: 1, Reset: 20 * time.Second}},
		},
		{"seconds", x("20"), []Quota{of("x 100", 20*time.Second, false)}},
		{"fraction of seconds", x("0.25"), []Quota{of("x 100", 250*time.Millisecond, false)}},
		{"seconds since 1970", x("1795780820"), []Quota{of("x 100", 19500*time.Millisecond, true)}},
		{"seconds since 1970 with a fraction", x("1795780820.5"), []Quota{of("x 100", 20*time.Second, true)}},
		{"milliseconds since 1970", x("1795780820500"), []Quota{of("x 100", 20*time.Second, true)}},
		{"microseconds since 1970", x("1795780820500000"), []Quota{of("x 100", 20*time.Second, true)}},
		{"nanoseconds since 1970", x("1795780820500000000"), []Quota{of("x 100", 20*time.Second, true)}},
		{"RFC 3339", x("2026-11-27T13:00:20.5+01:00"), []Quota{of("x 100", 20*time.Second, true)}},
		{"ISO 8601 without a zone", x("2026-11-27 12:00:20"), []Quota{of("x 100", 19500*time.Millisecond, true)}},
		{"Jira", x("2026-11-27T12:10Z"), []Quota{of("x 100", 10*time.Minute-500*time.Millisecond, true)}},
		{"date of mail", x("Fri, 27 Nov 2026 13:00:20 +0100"), []Quota{of("x 100", 19500*time.Millisecond, true)}},
		{
			"date of JavaScript", x("Fri Nov 27 2026 13:00:20 GMT+0100 (Central European Standard Time)"),
			[]Quota{of("x 100", 19500*time.Millisecond, true)},
		},
		{"two resets that a proxy has joined", x("1, 30"), []Quota{of("x 100", 30*time.Second, false)}},
		{"joined with a malformed reset", x("1, later"), []Quota{of("x 100", -1, false)}},
		{"date of HTTP", x("Fri, 27 Nov 2026 12:00:20 GMT"), []Quota{of("x 100", 19500*time.Millisecond, true)}},
		{"6m0s", x("6m0s"), []Quota{of("x 100", 6*time.Minute, false)}},
		{"1s", x("1s"), []Quota{of("x 100", time.Second, false)}},
		{"12ms", x("12ms"), []Quota{of("x 100", 12*time.Millisecond, false)}},
		{"1d2h", x("1d2h"), []Quota{of("x 100", 26*time.Hour, false)}},
		{"7d", x("7d"), []Quota{of("x 100", 7*24*time.Hour, false)}},
		{"instant in the past", x("1600000000"), []Quota{of("x 100", 0, true)}},
		{"thirty digits", x(strings.Repeat("9", 30)), []Quota{of("x 100", Never, true)}},
		{"malformed reset", x("later"), []Quota{of("x 100", -1, false)}},
		{"negative reset", x("-3s"), []Quota{of("x 100", -1, false)}},
		{
			"the latest of two resets", header("X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "20", "X-RateLimit-Reset", "30"),
			[]Quota{{ID: "x -1", Requests: true, Limit: -1, Reset: 30 * time.Second}},
		},
		{
			"the lowest of two remainings", header("X-RateLimit-Remaining", "8", "X-RateLimit-Remaining", "3"),
			[]Quota{{ID: "x -1", Requests: true, Limit: -1, Left: 3, Reset: -1}},
		},
		{"fewer than none left", header("X-RateLimit-Remaining", "-2"), []Quota{{ID: "x -1", Requests: true, Limit: -1, Reset: -1}}},
		{"malformed remaining", header("X-RateLimit-Remaining", "some", "X-RateLimit-Reset", "20"), nil},
		{
			"GitHub",
			header("X-RateLimit-Limit", "5000", "X-RateLimit-Remaining", "4999", "X-RateLimit-Reset", "1795784400",
				"X-RateLimit-Resource", "core", "X-RateLimit-Used", "1"),
			[]Quota{{
				ID: "x core 5000", Requests: true, Limit: 5000, Left: 4999, Reset: time.Hour - 500*time.Millisecond,
				Instant: true, Refills: true,
			}},
		},
		{
			"Docker Hub", header("ratelimit-limit", "100;w=21600", "ratelimit-remaining", "76;w=21600"),
			[]Quota{{ID: "draft-6 100", Requests: true, Limit: 100, Left: 76, Window: 6 * time.Hour, Reset: -1}},
		},
		{
			"Discord: the time counts, and not the instant of another clock",
			header("X-RateLimit-Limit", "5", "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "1470173023.123",
				"X-RateLimit-Reset-After", "1.25", "X-RateLimit-Bucket", "abcd1234"),
			[]Quota{{ID: "x 5", Requests: true, Limit: 5, Reset: 1250 * time.Millisecond}},
		},
		{
			"Shopify", header("X-Shopify-Shop-Api-Call-Limit", "32/40"),
			[]Quota{{ID: "shopify 40", Requests: true, Limit: 40, Left: 8, Reset: -1}},
		},
		{
			"Shopify, over the limit", header("X-Shopify-Shop-Api-Call-Limit", "41/40"),
			[]Quota{{ID: "shopify 40", Requests: true, Limit: 40, Reset: -1}},
		},
		{"Shopify, malformed", header("X-Shopify-Shop-Api-Call-Limit", "32"), nil},
		{
			"OpenAI",
			header("x-ratelimit-limit-requests", "60", "x-ratelimit-remaining-requests", "59", "x-ratelimit-reset-requests", "1s",
				"x-ratelimit-limit-tokens", "150000", "x-ratelimit-remaining-tokens", "149984", "x-ratelimit-reset-tokens", "6m0s"),
			[]Quota{
				{ID: "openai-requests 60", Requests: true, Limit: 60, Left: 59, Reset: time.Second},
				{ID: "openai-tokens 150000", Limit: 150000, Left: 149984, Reset: 6 * time.Minute},
			},
		},
		{
			"Anthropic",
			header("anthropic-ratelimit-requests-limit", "50", "anthropic-ratelimit-requests-remaining", "49",
				"anthropic-ratelimit-requests-reset", "2026-11-27T12:00:02Z",
				"anthropic-ratelimit-output-tokens-limit", "8000", "anthropic-ratelimit-output-tokens-remaining", "0",
				"anthropic-ratelimit-output-tokens-reset", "2026-11-27T12:01:00Z"),
			[]Quota{
				{ID: "anthropic-requests 50", Requests: true, Limit: 50, Left: 49, Reset: 1500 * time.Millisecond, Instant: true},
				{ID: "anthropic-output-tokens 8000", Limit: 8000, Reset: 59500 * time.Millisecond, Instant: true},
			},
		},
		{
			"a gateway and its backend, with one name", header("RateLimit", `"a";r=0;t=10`, "RateLimit", `"a";r=5;t=3`),
			[]Quota{{ID: `draft "a" `, Requests: true, Limit: -1, Reset: 10 * time.Second}},
		},
		{
			"the same in another order", header("RateLimit", `"a";r=5;t=3, "a";r=0;t=10, "a";r=0;t=3`),
			[]Quota{{ID: `draft "a" `, Requests: true, Limit: -1, Reset: 10 * time.Second}},
		},
		{"from a cache", header("Age", "3", "X-RateLimit-Remaining", "40"), nil},
		{
			"not from a cache", header("Age", "0", "X-RateLimit-Remaining", "40"),
			[]Quota{{ID: "x -1", Requests: true, Limit: -1, Left: 40, Reset: -1}},
		},
		{"too long", header("RateLimit", `"`+strings.Repeat("a", 5000)+`";r=1`), nil},
		{"not a structured field", header("RateLimit", `"a";r=1,`), nil},
		{"no name", header("RateLimit", `a;r=1`), nil},
		{"r is no integer", header("RateLimit", `"a";r=1.5`), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := Read(tc.header, now).Quotas
			for i := range got {
				if got[i].Reset > 0 { // a fraction of a number is not exact
					got[i].Reset = got[i].Reset.Round(time.Millisecond)
				}
			}
			assert.Equal(t, tc.want, got)
		})
	}
}

func TestQuotasAreBounded(t *testing.T) {
	many := `"a";r=2`
	for i := range 50 {
		many += fmt.Sprintf(`, "a%d";r=1`, i)
	}
	got := Read(header("RateLimit", many), now)
	assert.Len(t, got.Quotas, MaxQuotas)
	assert.NotEmpty(t, got.Mistakes)
	got = Read(header("RateLimit", `"`+strings.Repeat("n", 3000)+`";r=1`), now)
	assert.Less(t, len(got.Quotas[0].ID), 200)
}

// What is malformed is reported, and never quoted in full.
func TestMistakes(t *testing.T) {
	got := Read(header("Retry-After", "soon", "RateLimit", "(", "X-RateLimit-Remaining", "x",
		"RateLimit-Remaining", "1", "RateLimit-Reset", "y"), now)
	assert.Len(t, got.Mistakes, 4)
	for _, err := range got.Mistakes {
		assert.Less(t, len(err.Error()), 100)
	}
	got = Read(header("RateLimit-Policy", "(", "X-RateLimit-Remaining", "1", "RateLimit-Remaining", "1",
		"X-RateLimit-Remaining-Tokens", "1"), now)
	assert.Len(t, got.Mistakes, 1, "the policies of three quotas are one field")
}
