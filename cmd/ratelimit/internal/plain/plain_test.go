package plain_test

import (
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/plain"
)

func TestText(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain text":                "plain text",
		"Grüße, 世界":                 "Grüße, 世界",
		"\x1b[31mred\x1b[0m":        `\x1b[31mred\x1b[0m`,
		"\x1b]0;title\x07":          `\x1b]0;title\x07`,
		"\u009b31m":                 `\u009b31m`,
		"line\r\nline\ttab\x00\x7f": `line\x0d\x0aline\x09tab\x00\x7f`,
		"right\u202eleft\u2066":     `right\u202eleft\u2066`,
		"\xff\xfe":                  `\xff\xfe`,
		"012345678901234567890":     "01234567890123456789...",
		"0123456789012345678é":      "0123456789012345678...",
	} {
		assert.Equal(t, want, plain.Text(in, 20), "%q", in)
	}
}

func FuzzText(f *testing.F) {
	f.Add("\x1b[31m\u202e\xff")
	f.Fuzz(func(t *testing.T, s string) {
		got := plain.Text(s, 50)
		require.True(t, utf8.ValidString(got))
		for _, c := range got {
			require.True(t, unicode.IsPrint(c), "%q", got)
		}
		require.LessOrEqual(t, len(got), 6*50+3)
	})
}

func TestCount(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{
		0: "0 lines", 1: "1 line", -1: "-1 lines", 999: "999 lines", 1000: "1,000 lines", 1234567: "1,234,567 lines", -1000: "-1,000 lines",
		-123456: "-123,456 lines",
	} {
		assert.Equal(t, want, plain.Count(n, "line"))
	}
}
