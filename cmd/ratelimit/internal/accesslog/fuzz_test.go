package accesslog

import (
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"
)

func FuzzParse(f *testing.F) {
	for _, c := range samples() {
		f.Add(c.line)
	}
	var known []*Format
	formats := append(Names(), `%h %l %u %t "%r" %>s %b %D`, `$remote_addr|$msec|$request|$status`)
	for _, c := range samples() {
		formats = append(formats, c.format)
	}
	for _, name := range formats {
		format, err := ParseFormat(name)
		require.NoError(f, err)
		known = append(known, format)
	}
	f.Fuzz(func(t *testing.T, line string) {
		for _, format := range known {
			var e Entry
			if err := format.Parse(line, &e); err != nil {
				for _, c := range err.Error() {
					require.True(t, unicode.IsPrint(c), "%q", err.Error())
				}
				continue
			}
			require.NotNil(t, e.URL)
			require.True(t, e.Client.IsValid() && e.Peer.IsValid())
			require.True(t, isToken(e.Method))
			require.GreaterOrEqual(t, e.Duration, time.Duration(0))
			require.LessOrEqual(t, e.Duration, maxDuration)
			require.GreaterOrEqual(t, e.Status, 0)
		}
	})
}

func FuzzFormat(f *testing.F) {
	f.Add("$remote_addr ${status}", "192.0.2.7 200")
	f.Add(`#Fields: date time c-ip cs-method cs-uri cs(A)`, `2026-11-20	10:00:00	192.0.2.7	GET	/	"a ""b"" c"`)
	f.Add(`%h "%{User-Agent}i" %>s %%`, `192.0.2.7 "a\"b" 200 %`)
	f.Fuzz(func(t *testing.T, format, line string) {
		if known, err := ParseFormat(format); err == nil {
			_ = known.Parse(line, new(Entry))
		}
	})
}
