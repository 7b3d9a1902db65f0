package accesslog

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const iisHead = `#Software: Microsoft Internet Information Services 10.0
#Version: 1.0
#Date: 2026-11-20 00:00:00
`

// iis returns a file of IIS with n lines a second apart, as it looks after each start of a server.
func iis(first, n int, fields, rest string) string {
	var b strings.Builder
	b.WriteString(iisHead + "#Fields: date time c-ip cs-method cs-uri-stem" + fields + "\n")
	for i := range n {
		fmt.Fprintf(&b, "2026-11-20 00:%02d:%02d 192.0.2.7 GET /%d%s\r\n", (first+i)/60, (first+i)%60, first+i, rest)
	}
	return b.String()
}

func TestDirectivesNameTheColumns(t *testing.T) {
	t.Parallel()
	const n = 3 * batchLines
	text := iis(0, n, " sc-status", " 200") + iis(n, 2, "", "") + iis(n+2, 1, " time-taken", " 500")
	for _, opts := range []Options{{}, {Format: w3c}} {
		got, stats := readAll(t, opts, source("u_ex261120.log", text))
		require.Len(t, got, n+3)
		assert.Equal(t, "/0@0", got[0])
		assert.Equal(t, []string{"/768@768", "/769@769", "/770@769"}, got[n:], "the last took half a second")
		assert.Equal(t, Stats{Lines: n + 3, WholeSeconds: n + 3, Timed: 1, Formats: []string{"w3c"}}, stats,
			"a directive is no line")
	}
}

func TestCloudFrontIsReadThoughItsFieldsAreSeparatedOtherwise(t *testing.T) {
	t.Parallel()
	text := "#Version: 1.0\n#Fields: date time c-ip cs-method cs(Host) cs-uri-stem sc-status cs(User-Agent)\n" +
		"2026-11-20\t00:00:05\t2001:db8::1\tGET\td1.cloudfront.net\t/a%20b\t000\tan agent\n"
	r := Open([]Source{source("E2.gz", text)}, Options{})
	defer r.Close()
	e, err := r.Next()
	require.NoError(t, err)
	assert.Equal(t, "2026-11-20T00:00:05Z s 2001:db8::1  GET d1.cloudfront.net/ /a%20b 0 0 User-Agent=an agent", describe(e))
	_, err = r.Next()
	assert.Equal(t, io.EOF, err)
}

// TestNoQuoteHoldsValuesTogether has header fields that clients of IIS can send.
func TestNoQuoteHoldsValuesTogether(t *testing.T) {
	t.Parallel()
	f, err := ParseFormat("#Fields: date time c-ip cs-method cs-uri-stem cs(User-Agent) cs(Referer) sc-status")
	require.NoError(t, err)
	for values, want := range map[string][2]string{
		`curl/8 -`:    {"curl/8", ""},
		`"a b"`:       {`"a`, `b"`}, // two values
		`"a -`:        {`"a`, ""},
		`"a" "b""c"`:  {"a", `b"c`},
		`"a b" "c d"`: {"a b", "c d"}, // Tomcat
		`" "`:         {`"`, `"`},
		"a\tb c":      {"a\tb", "c"},
	} {
		var e Entry
		require.NoError(t, f.Parse("2026-11-20 00:00:00 192.0.2.7 GET / "+values+" 200", &e), values)
		assert.Equal(t, want, [2]string{e.Header.Get("User-Agent"), e.Header.Get("Referer")}, values)
		assert.Equal(t, 200, e.Status, values)
	}
}

func TestUnreadableW3CLinesSayWhy(t *testing.T) {
	t.Parallel()
	const fields = "#Fields: date time c-ip cs-method cs-uri-stem"
	for text, want := range map[string]string{
		"2026-11-20 00:00:00 192.0.2.7 GET":            "4 values: want 5, as the line #Fields: has names",
		"2026-11-20 00:00:00 192.0.2.7 GET / 200":      "6 values: want 5",
		"2026-11-20 00:00:61 192.0.2.7 GET /":          `no time: "2026-11-20 00:00:61"`,
		"- - 192.0.2.7 GET /":                          `no time: "- -"`,
		"2026-11-20 00:00:00 - GET /":                  "no address of a client",
		"2026-11-20 00:00:00 192.0.2.7 - -":            "no HTTP request",
		`2026-11-20 00:00:00 192.0.2.7 GET "/not shut`: "6 values: want 5",
	} {
		_, stats := readAll(t, Options{}, source("a", fields+"\n"+text+"\n"))
		if assert.Len(t, stats.First, 1, text) {
			assert.Contains(t, stats.First[0].Reason, want, text)
		}
	}
	for text, want := range map[string]string{
		"#Fields: date time cs-method cs-uri-stem\n2026-11-20 00:00:00 GET /\n": "the line #Fields: has no c-ip: want it in the log",
		"#Fields: time c-ip cs-method\n00:00:00 192.0.2.7 GET\n":                "the line #Fields: has no date",
		"2026-11-20 00:00:00 192.0.2.7 GET /\n" + fields + "\n":                 "no line #Fields: before it",
	} {
		_, stats := readAll(t, Options{Format: w3c}, source("a", text))
		if assert.Len(t, stats.First, 1, text) {
			assert.Contains(t, stats.First[0].Reason, want, text)
		}
	}
}

// In the logs of others a line that begins so is a line like any other.
func TestDirectivesInOtherFormatsAreLines(t *testing.T) {
	t.Parallel()
	combined, err := ParseFormat("combined")
	require.NoError(t, err)
	got, stats := readAll(t, Options{Format: combined}, source("a", line(1, "/a")+"\n#Fields: date\n"+line(2, "/b")))
	assert.Equal(t, []string{"/a@1", "/b@2"}, got)
	assert.EqualValues(t, 1, stats.Unreadable)
}
