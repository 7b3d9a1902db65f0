package accesslog

import (
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A sample is a line of testdata/lines.txt.
type sample struct {
	format, line string
	want         string // what describe returns
}

var samples = sync.OnceValue(func() (all []sample) {
	text, err := os.ReadFile("testdata/lines.txt")
	if err != nil {
		panic(err)
	}
	for block := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n\n") {
		if lines := strings.Split(block, "\n"); len(lines) == 3 {
			want, err := strconv.Unquote(`"` + lines[2] + `"`)
			if err != nil {
				panic(err)
			}
			all = append(all, sample{lines[0], lines[1], want})
		}
	}
	return all
})

// describe returns what matters of e in one line. The word s means whole seconds.
func describe(e *Entry) string {
	words := []string{e.Time.UTC().Format(time.RFC3339Nano)}
	if e.WholeSeconds {
		words = append(words, "s")
	}
	if e.Timed {
		words = append(words, e.Duration.String())
	}
	words = append(words, e.Client.String())
	if e.Peer != e.Client {
		words = append(words, "peer", e.Peer.String())
	}
	words = append(words, e.User, e.Method, e.Host+"/", e.Target, http.StatusText(0)+itoa(int64(e.Status)), itoa(e.Bytes))
	for _, name := range []string{"Accept", "Referer", "User-Agent", "X-Forwarded-For"} {
		if v := e.Header.Get(name); v != "" {
			words = append(words, name+"="+v)
		}
	}
	return strings.Join(words, " ")
}

func TestEachFormatReadsItsLines(t *testing.T) {
	t.Parallel()
	for _, c := range samples() {
		f, err := ParseFormat(c.format)
		require.NoError(t, err)
		var e Entry
		if assert.NoError(t, f.Parse(c.line, &e), "%s: %s", c.format, c.line) {
			assert.Equal(t, c.want, describe(&e), "%s: %s", c.format, c.line)
			assert.Equal(t, c.line, e.Line)
		}
	}
}

func TestDetectFindsTheFormat(t *testing.T) {
	t.Parallel()
	for _, c := range samples() {
		if strings.HasPrefix(c.format, w3cFields) {
			continue // its first lines tell its columns too: TestDirectivesNameTheColumns
		}
		f, err := detect([]string{"some other line", c.line, c.line})
		require.NoError(t, err, c.line)
		assert.Equal(t, c.format, f.Name(), c.line)
	}
	_, err := detect([]string{"some line", "another"})
	assert.ErrorIs(t, err, errUnknown)
}

func TestAHostThatIsAnAddressIsNoClient(t *testing.T) {
	t.Parallel()
	const request = ` - - [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1" 200 5`
	for line, want := range map[string]string{
		"10.0.0.1:80 192.0.2.7" + request + ` "-" "curl"`: "vhost-combined",
		"10.0.0.1 192.0.2.7" + request:                    "vhost-common",
		"[2001:db8::1]:80 192.0.2.7" + request:            "vhost-common",
		"10.0.0.1 2001:db8::7" + request:                  "vhost-common",
		"192.0.2.7" + request + ` "-" "curl"`:             "combined",
		"192.0.2.7" + request:                             "common",
	} {
		f, err := detect([]string{line})
		require.NoError(t, err, line)
		assert.Equal(t, want, f.Name(), line)
	}
}

// TestNoNameHidesALine has names that clients can send to a server that does not ask for one.
func TestNoNameHidesALine(t *testing.T) {
	t.Parallel()
	for format, rest := range map[string]string{
		"common": "", "combined": ` "-" "-"`, "%h %l %u %t \"%r\" %>s %b": "",
		"traefik": ` "-" "-" 5 "r" "s" 7ms`,
	} {
		f, err := ParseFormat(format)
		require.NoError(t, err)
		for _, user := range []string{
			"-", "bob", "bob smith", "bob [x", "[", "a [b] c", "a [10/Oct/1999:13:55:36 +0000", "a]", `a\x22`, `a\"`,
		} {
			line := "192.0.2.7 - " + user + ` [10/Oct/2000:13:55:36 +0000] "GET /] HTTP/1.1" 200 5` + rest
			var e Entry
			require.NoError(t, f.Parse(line, &e), line)
			assert.Equal(t, strings.TrimPrefix(user, "-"), e.User, line)
			assert.Equal(t, 2000, e.Time.Year(), line)
		}
	}
}

// TestNoBackslashHidesALine has lines of a server that escapes nothing, such as morgan.
func TestNoBackslashHidesALine(t *testing.T) {
	t.Parallel()
	f, err := ParseFormat("combined")
	require.NoError(t, err)
	for fields, agent := range map[string]string{
		`"-" "a\"`: `a\`, `"r\" "a"`: "a", `"r\" "a\"`: `a\`, `"-" "a\\\"`: `a\\`, `"-" "a\" b"`: `a" b`,
	} {
		var e Entry
		require.NoError(t, f.Parse(`192.0.2.7 - - [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1" 401 5 `+fields, &e), fields)
		assert.Equal(t, 401, e.Status, fields)
		assert.Equal(t, agent, e.Header.Get("User-Agent"), fields)
	}
}

// TestNoQuoteMovesAValue has fields of clients of servers that do not escape quotes.
func TestNoQuoteMovesAValue(t *testing.T) {
	t.Parallel()
	f, err := ParseFormat("envoy")
	require.NoError(t, err)
	line := func(forwarded, agent string) string {
		return `[2026-11-20T10:00:01.5Z] "GET / HTTP/1.1" 200 - 0 5 20 10 "` + forwarded + `" "` + agent +
			`" "id" "example.com" "10.0.0.1:80"`
	}
	var e Entry
	require.NoError(t, f.Parse(line("9.9.9.9,192.0.2.7", "curl"), &e))
	assert.Equal(t, "192.0.2.7", e.Client.String())
	require.NoError(t, f.Parse(line("192.0.2.7", `a\`), &e), "a backslash escapes nothing")
	for _, moved := range []string{line(`9.9.9.9" "x,192.0.2.7`, "curl"), line("192.0.2.7", `a" "b`), line("192.0.2.7", `a"`)} {
		assert.ErrorContains(t, f.Parse(moved, &e), "quotes: want 12", moved)
	}

	f, err = ParseFormat("traefik")
	require.NoError(t, err)
	for _, agent := range []string{"curl", `a\`, `a"`, `foo " bar`, `a" "b`, `a" 5 "r" "s" 9ms`, `a" 5 "r" "s" 9ms "`} {
		line := `192.0.2.7 - - [20/Nov/2026:10:00:01 +0000] "GET / HTTP/1.1" 200 5 "-" "` + agent + `" 5 "router" "http://10.0.0.1" 7ms`
		var e Entry
		require.NoError(t, f.Parse(line, &e), line)
		assert.Equal(t, 7*time.Millisecond, e.Duration, line)
		assert.Equal(t, 200, e.Status, line)
	}
	assert.ErrorContains(t, f.Parse(`192.0.2.7 - - [20/Nov/2026:10:00:01 +0000] "GET / HTTP/1.1" 200 5 `+
		strings.Repeat(`"x" `, 6), &e), `want "ms" at the end`)
}

func TestFormatStrings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ format, line, want string }{
		{
			`$remote_addr [$time_iso8601] "$request" $status ${request_time}s`,
			`192.0.2.7 [2026-11-20T10:00:01+01:00] "GET /a HTTP/1.1" 200 0.500s`,
			"2026-11-20T09:00:00.5Z s 500ms 192.0.2.7  GET / /a 200 0",
		},
		{
			`$msec|$remote_addr|$host|$request_method|$uri|$args|$status|$body_bytes_sent|$http_referer`,
			`1795168801.250|192.0.2.7|h|GET|/a|b=c|204|7|-`,
			"2026-11-20T10:00:01.25Z 192.0.2.7  GET h/ /a?b=c 204 7",
		},
		{
			`%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" %D`,
			`192.0.2.7 - bob [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.1" 200 - "-" "x" 1500`,
			"2000-10-10T20:55:36Z s 1.5ms 192.0.2.7 bob GET / /a 200 0 User-Agent=x",
		},
		{
			`$remote_addr $time_iso8601 $request_method $uri$is_args$args $status`,
			`192.0.2.7 2026-11-20T09:00:00Z GET /a?b=c 200`,
			"2026-11-20T09:00:00Z s 192.0.2.7  GET / /a?b=c 200 0",
		},
		{
			`$remote_addr $msec "$request_method $uri $status`,
			`192.0.2.7 1795168801 "GET /100% 200`,
			"2026-11-20T10:00:01Z s 192.0.2.7  GET / /100%25 200 0",
		},
		{
			`%v:%p %{c}a %a %{msec}t %m %U%q %H %s %{ms}T 100%%`,
			`h:80 198.51.100.2 192.0.2.7 1795168801250 GET /a?b=c HTTP/1.1 200 20 100%`,
			"2026-11-20T10:00:01.25Z 20ms 192.0.2.7 peer 198.51.100.2  GET h/ /a?b=c 200 0",
		},
	} {
		f, err := ParseFormat(c.format)
		require.NoError(t, err, c.format)
		var e Entry
		require.NoError(t, f.Parse(c.line, &e), c.format)
		assert.Equal(t, c.want, describe(&e), c.format)
	}
}

func TestMistakesInFormatStringsAreExplained(t *testing.T) {
	t.Parallel()
	for format, want := range map[string]string{
		"nothing":                 "want a format string, or one of",
		"$":                       "$ without the name of a variable",
		"${remote_addr":           "${ without }",
		"$remote_addr$status":     "$status follows $remote_addr without a character between them",
		"%h %{Referer":            "%{ without }",
		"%h %":                    "% without a directive",
		"%h %{%Y}t":               `the time "%Y"`,
		"%{days}T":                `the unit "days"`,
		"100%%":                   "the format has no field",
		"\x1b[31m no dollar \x07": `\x1b[31m no dollar \x07`,
	} {
		_, err := ParseFormat(format)
		assert.ErrorContains(t, err, want, format)
	}
}

func TestUnreadableLinesSayWhy(t *testing.T) {
	t.Parallel()
	const end = ` 400 0 "-" "-"`
	for line, want := range map[string]string{
		`192.0.2.7 - - [10/Oct/2000:13:55:36 +0000] "-"` + end:                          "the line has no HTTP request",
		`192.0.2.7 - - [10/Oct/2000:13:55:36 +0000] "\x16\x03\x01"` + end:               `no HTTP request: "\x16\x03\x01"`,
		`192.0.2.7 - - [10/Oct/2000:13:55:36 +0000] "GET /%zz HTTP/1.1"` + end:          `cannot read the target "/%zz"`,
		`192.0.2.7 - - [10/Oct/2000:13:55:36 +0000] "G(T / HTTP/1.1"` + end:             "no HTTP request",
		`host.example - - [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1"` + end:          `the client is no address: "host.example"`,
		`192.0.2.7 - - [32/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1"` + end:             "no time",
		`192.0.2.7 - - [10/Oct/2262:13:55:36 +0000] "GET / HTTP/1.1"` + end:             "the time is in the year 2262",
		`192.0.2.7 - - [10/Oct/1969:13:55:36 +0000] "GET / HTTP/1.1"` + end:             "the time is in the year 1969",
		`192.0.2.7 - - [10/Foo/2000:13:55:36 +0000] "GET / HTTP/1.1"` + end:             "no time",
		`192.0.2.7 - - [10/Oct/2000:13:55:36 +9999] "GET / HTTP/1.1"` + end:             "no time: zone",
		`192.0.2.7 - - [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1" many 0 "-" "-"`:    "no status",
		`192.0.2.7 - - [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1" 200 -5 "-" "-"`:    "no number of bytes",
		`192.0.2.7 - - [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1" 200 0 "-" "-"tail`: "want the end of the line",
		`192.0.2.7 - - [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1" 200 0`:             "want",
		`192.0.2.7`: "want",
	} {
		f, err := ParseFormat("combined")
		require.NoError(t, err)
		var e Entry
		assert.ErrorContains(t, f.Parse(line, &e), want, line)
	}
}

func TestLeapSecondsAreTimes(t *testing.T) {
	t.Parallel()
	for format, line := range map[string]string{
		"common":     `192.0.2.7 - - [01/Jan/2017:00:59:60 +0100] "GET / HTTP/1.1" 200 5`,
		"nginx-json": `{"time_iso8601":"2017-01-01T00:59:60+01:00","remote_addr":"192.0.2.7","request":"GET / HTTP/1.1"}`,
		"slog":       `{"time":"2016-12-31T23:59:60.000Z","level":"INFO","msg":"","client":"192.0.2.7","method":"GET","path":"/"}`,
		"#Fields: date time c-ip cs-method cs-uri-stem": `2016-12-31 23:59:60 192.0.2.7 GET /`,
	} {
		f, err := ParseFormat(format)
		require.NoError(t, err)
		var e Entry
		require.NoError(t, f.Parse(line, &e), line)
		assert.Equal(t, "2017-01-01T00:00:00Z", e.Time.UTC().Format(time.RFC3339Nano), line)
	}
	f, err := ParseFormat("common")
	require.NoError(t, err)
	for _, clock := range []string{"23:59:61", "23:60:00", "24:00:00"} {
		line := `192.0.2.7 - - [31/Dec/2016:` + clock + ` +0000] "GET / HTTP/1.1" 200 5`
		assert.ErrorContains(t, f.Parse(line, new(Entry)), "no time", line)
	}
}

func TestTimesWithoutAZoneAreInTheGivenOne(t *testing.T) {
	t.Parallel()
	f, err := ParseFormat("haproxy")
	require.NoError(t, err)
	var e Entry
	require.NoError(t, f.In(time.FixedZone("", 3600)).Parse(
		`192.0.2.7:1 [06/Feb/2009:12:14:14.655] f b/s 0/0/0/0/0 200 0 - - ---- 0/0/0/0/0 0/0 "GET / HTTP/1.1"`, &e))
	assert.Equal(t, "2009-02-06T11:14:14.655Z", e.Time.UTC().Format(time.RFC3339Nano))
}
