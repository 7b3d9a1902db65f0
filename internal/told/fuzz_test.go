package told

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// No field of a server leads to a panic, a negative wait, a wait beyond Never, or unbounded memory.
func FuzzRead(f *testing.F) {
	names := []string{
		"RateLimit", "RateLimit-Policy", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "X-RateLimit-Limit",
		"X-RateLimit-Remaining", "X-RateLimit-Reset", "Retry-After", "Retry-After-Ms", "Date", "X-RateLimit-Resource",
		"X-RateLimit-Remaining-Tokens", "X-RateLimit-Reset-Tokens",
	}
	f.Add(uint8(0), `"a";r=40;t=20;pk=:YQ==:`, uint8(1), `"a";q=100;w=60`, uint8(8), "17")
	f.Add(uint8(0), "limit=100, remaining=40, reset=20", uint8(1), "100;w=60", uint8(10), "Fri, 27 Nov 2026 12:00:10 GMT")
	f.Add(uint8(2), "100, 100;w=10", uint8(3), "5", uint8(4), "99999999999999999999")
	f.Add(uint8(5), "100", uint8(6), "-1", uint8(7), "1795780820.25")
	f.Add(uint8(12), "1", uint8(13), "1d6m0s", uint8(9), "1e9")
	f.Add(uint8(6), "1", uint8(7), "2026-11-27T12:00:20Z", uint8(8), "?0")
	f.Fuzz(func(t *testing.T, a uint8, first string, b uint8, second string, c uint8, third string) {
		h := http.Header{}
		for i, at := range []uint8{a, b, c} {
			h.Add(names[int(at)%len(names)], []string{first, second, third}[i])
		}
		got := Read(h, now)
		assert.True(t, got.RetryAfter >= 0 && got.RetryAfter <= Never)
		assert.LessOrEqual(t, len(got.Quotas), MaxQuotas)
		for _, q := range got.Quotas {
			assert.GreaterOrEqual(t, q.Left, int64(0))
			assert.GreaterOrEqual(t, q.Limit, int64(-1))
			assert.True(t, q.Reset >= -1 && q.Reset <= Never, "%v", q.Reset)
			assert.True(t, q.Window >= 0 && q.Window <= Never, "%v", q.Window)
			assert.Less(t, len(q.ID), 400)
		}
		_ = time.Second
	})
}

// The parser takes no text that is no structured field, and what it takes again is the same.
func FuzzStructured(f *testing.F) {
	for _, text := range []string{`"a";r=1;x`, "a=1, b=?0", `a;b=:YQ==:, *c="\""`, `%"a%20b"`, "@12, 1.5"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if items, err := parseList(text); err == nil {
			assert.LessOrEqual(t, len(items), maxMembers)
			for _, it := range items {
				assert.NotZero(t, it.value.kind)
			}
		}
		if items, err := parseDictionary(text); err == nil {
			for _, it := range items {
				assert.NotEmpty(t, it.key)
			}
		}
	})
}
