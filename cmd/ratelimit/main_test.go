package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit/cmd/ratelimit/internal/report"
)

var update = flag.Bool("update", false, "write the transcript of README.md")

// command runs a command line, and returns what it prints and its exit status.
func command(t *testing.T, in string, args ...string) (out, errs string, status int) {
	t.Helper()
	var o, e bytes.Buffer
	status = run(&streams{in: strings.NewReader(in), out: &o, err: &e}, args)
	for _, c := range o.String() + e.String() {
		usage := c == '\t' && slices.Contains(args, "-h")
		require.True(t, c == '\n' || usage || unicode.IsPrint(c), "printed raw: %q", c)
	}
	return o.String(), e.String(), status
}

func data(name string) string { return filepath.Join("testdata", name) }

// writeFile writes a file for one test and returns its name.
func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// TestREADME runs the commands of README.md and compares what they print.
func TestREADME(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	t.Chdir("testdata")
	const begin, end = "```console\n", "```\n"
	head, rest, ok := strings.Cut(string(readme), begin)
	require.True(t, ok)
	block, tail, ok := strings.Cut(rest, end)
	require.True(t, ok)
	var got strings.Builder
	for line := range strings.Lines(block) {
		words, ok := strings.CutPrefix(line, "$ ratelimit ")
		if !ok {
			continue
		}
		var args []string
		for _, word := range regexp.MustCompile(`"[^"]*"|\S+`).FindAllString(words, -1) {
			args = append(args, strings.Trim(word, `"`))
		}
		out, errs, status := command(t, "", args...)
		got.WriteString(line + out + errs)
		if status != 0 {
			fmt.Fprintf(&got, "exit status %d\n", status)
		}
	}
	if *update {
		require.NoError(t, os.WriteFile("../README.md", []byte(head+begin+got.String()+end+tail), 0o644))
		return
	}
	assert.Equal(t, block, got.String(), "go test -run README -update writes it")
}

func TestExitStatus(t *testing.T) {
	t.Parallel()
	policy, log := data("policy.yaml"), data("shop.log")
	mistakes := func(n int) string {
		return writeFile(t, "mistakes.yaml", "version: 1\nrules: ["+strings.Repeat("1,", n)+"]")
	}
	for _, c := range []struct {
		args   []string
		status int
		text   string // in what is printed
	}{
		{nil, 2, "Usage:"},
		{[]string{"help"}, 0, "Usage:"},
		{[]string{"chek", "\x1b[31m"}, 2, `no command "chek"`},
		{[]string{"check"}, 2, "want the name of a policy file"},
		{[]string{"check", "-h"}, 0, "-key"},
		{[]string{"check", policy, data("old.yaml")}, 0, "old.yaml: ok"},
		{[]string{"check", policy, data("bad.yaml")}, 1, "rules[0].limits"},
		{[]string{"check", data("gone.yaml")}, 1, "no such file"},
		{[]string{"check", mistakes(100)}, 1, "\n100 mistakes\n"},
		{[]string{"check", mistakes(101)}, 1, "\nmore than 100 mistakes\n"},
		{[]string{"explain", policy}, 2, "want a policy file and a request"},
		{[]string{"explain", policy, "GET /", "-from", "me"}, 2, `-from "me"`},
		{[]string{"explain", policy, "GET /", "-header", "x"}, 2, `want "Name: value"`},
		{[]string{"explain", policy, "GET /%zz"}, 2, "cannot read the target"},
		{[]string{"explain", data("bad.yaml"), "GET /"}, 1, "3 mistakes"},
		{[]string{"replay"}, 2, "want a policy file and access logs"},
		{[]string{"replay", policy}, 2, "want the names of access logs"},
		{[]string{"replay", policy, data("gone.log")}, 1, "no such file"},
		{[]string{"replay", policy, policy}, 1, "no known format"},
		{[]string{"replay", policy, "-", "-"}, 2, "only once"},
		{[]string{"replay", policy, log, "-wrong"}, 2, "flag provided but not defined"},
		{[]string{"replay", policy, log, "-format", "$"}, 2, "-format: the format has $"},
		{[]string{"replay", policy, log, "-zone", "Moon"}, 2, "-zone"},
		{[]string{"replay", policy, log, "-window", "0s"}, 2, "-window"},
		{[]string{"replay", policy, log, "-client", "x"}, 2, "want log or policy"},
		{[]string{"replay", policy, log, "-key", "tenant"}, 2, "want name=user"},
		{[]string{"replay", policy, log, "-top", "-1"}, 2, "-top"},
		{[]string{"replay", policy, log, "-max-denied-clients", "101%"}, 2, "want a share"},
		{[]string{"replay", policy, log, "-max-denied-clients", "NaN"}, 2, "want a share"},
		{[]string{"replay", policy, log, "-max-denied-clients", "5%"}, 0, "Gate passed"},
		{[]string{"replay", policy, log, "-max-refused-clients", "0.047"}, 1, "Gate FAILED"},
		{[]string{"replay", policy, os.DevNull, "-max-denied-clients", "5%"}, 1, "Gate FAILED: there was no request"},
		{[]string{"replay", policy, log, "-format", "slog", "-max-denied-clients", "5%"}, 1, "Gate FAILED: there was no request"},
		{[]string{"replay", policy, os.DevNull}, 0, "No requests."},
		{[]string{"replay", policy, log, "-against", data("bad.yaml")}, 1, "rules[0].limits"},
		{[]string{"replay", policy, log, "-svg", data("gone/x.svg")}, 1, "no such file"},
		{[]string{"suggest"}, 2, "want the names of access logs"},
		{[]string{"suggest", log, "-headroom", "0.5"}, 2, "-headroom"},
		{[]string{"suggest", log, "-headroom", "NaN"}, 2, "-headroom"},
		{[]string{"suggest", log, "-routes", "801"}, 2, "-routes from 0 to 800"},
		{[]string{"suggest", log, "-share", "2"}, 2, "want a share"},
		{[]string{"suggest", log, "-patterns", data("bad.yaml")}, 1, "rules[0].limits"},
		{[]string{"suggest", os.DevNull}, 1, "no request could be read"},
	} {
		out, errs, status := command(t, "", c.args...)
		assert.Equal(t, c.status, status, "%q: %s%s", c.args, out, errs)
		assert.Contains(t, out+errs, c.text, "%q", c.args)
	}
}

func TestPartsMayShareRoutes(t *testing.T) {
	t.Parallel()
	policy := writeFile(t, "p.yaml", `
version: 1
logins:
  login: {account: {form: email}, routes: [POST /login]}
decorators:
  a: {rules: [{name: a, limits: 1 per second}], routes: [POST /login, "GET /{x}/a"]}
  b: {rules: [{name: b, limits: 1 per second}], routes: ["GET /b/{y}"]}
`)
	out, errs, status := command(t, "", "check", policy)
	assert.Zero(t, status, errs)
	assert.Contains(t, out, "ok (rules: 2, routes: 0, logins: 1)")
	for request, want := range map[string]string{
		"POST /login": "login login protects this route\ndecorator a: rule a, 1 per second\n",
		"GET /b/a":    "decorator a: rule a, 1 per second\ndecorator b: rule b, 1 per second\n",
	} {
		out, _, _ := command(t, "", "explain", policy, request)
		assert.Contains(t, out, want, request)
	}
}

func TestExplainShowsWhatAPolicyDoes(t *testing.T) {
	t.Parallel()
	policy := writeFile(t, "p.yaml", `
version: 1
client_ip: {header: X-Forwarded-For, trusted_proxies: [10.0.0.0/8]}
allow: {addresses: [192.0.2.1]}
deny: {addresses: [192.0.2.2]}
exempt_routes: [GET /health]
rules:
  - {name: busy, limits: 9 per second, in_flight: 4, max_wait: 2s}
  - {name: by-user, limits: 5 per minute, key: user, on_missing_key: skip, mode: dry-run}
  - {name: by-tenant, limits: 7 per minute, key: tenant, on_missing_key: skip}
routes:
  POST /pay: [{name: pay, limits: 3 per minute, block: {after: 10 per hour}}]
  GET api.example/: [{name: api, limits: 2 per minute}]
logins:
  login: {account: {form: email}, routes: [POST /login]}
decorators:
  slow: {rules: [{name: slow, limits: 1 per second}], routes: ["/slow/"]}
`)
	for want, args := range map[string][]string{
		"the client is allowed":               {"GET /", "-from", "192.0.2.1"},
		"it gets status 403":                  {"GET /", "-from", "10.0.0.1", "-header", "X-Forwarded-For: 192.0.2.2"},
		"client addr:198.51.100.1":            {"GET /", "-from", "10.0.0.1", "-header", "X-Forwarded-For: 198.51.100.1"},
		"the request is exempt":               {"GET /health", "-from", "192.0.2.3"},
		"at most 4 requests of a key":         {"/", "-from", "192.0.2.3"},
		"holds requests for up to 2s":         {"/", "-from", "192.0.2.3"},
		"5 per minute for user:bob":           {"GET /", "-from", "192.0.2.3", "-user", "bob"},
		"7 per minute for tenant:bob":         {"GET /", "-from", "192.0.2.3", "-user", "bob", "-key", "tenant=user"},
		"7 per minute for header:":            {"GET /", "-from", "192.0.2.3", "-header", "X-T: a", "-key", "tenant=header:X-T"},
		"3 per minute for addr:192.0.2.3":     {"POST /pay?a=b", "-from", "192.0.2.3"},
		"violations reach 10 per hour":        {"POST /pay", "-from", "192.0.2.3"},
		"login login protects this route":     {"POST /login", "-from", "192.0.2.3"},
		"decorator slow: rule slow, 1 per s":  {"GET /slow/a", "-from", "192.0.2.3"},
		"2 per minute for addr:192.0.2.3":     {"GET /", "-from", "192.0.2.3", "-header", "host: api.example"},
		"a function of the program: key tena": {"GET /", "-from", "192.0.2.4"},
		"key tenant. It is not known here.\n": {"GET /", "-from", "10.0.0.1", "-header", "X-Forwarded-For: 192.0.2.2"},
		"2 per minute for addr:192.0.2.4":     {"GET /", "-from", "192.0.2.4", "-host", "api.example"},
	} {
		out, errs, status := command(t, "", append([]string{"explain", policy}, args...)...)
		assert.Zero(t, status, errs)
		assert.Contains(t, out, want, "%q", args)
	}
}

func TestExplainTellsWhatTheLimiterReports(t *testing.T) {
	t.Parallel()
	policy := writeFile(t, "p.yaml", "version: 1\nrules: [{name: a, limits: 1 per hour, key: pattern}]\n")
	out, errs, status := command(t, "", "explain", policy, "GET /", "-header", "X-Forwarded-For: 192.0.2.9")
	require.Zero(t, status, errs)
	assert.Equal(t, 1, strings.Count(out, "X-Forwarded-For is present, but Config.ClientIP trusts no proxy"), out)
	assert.Equal(t, 1, strings.Count(out, `rule "a": ByPattern: no http.ServeMux has matched`), out)
}

func TestReplayPrintsJSON(t *testing.T) {
	t.Parallel()
	empty, errs, status := command(t, "", "replay", writeFile(t, "p.yaml", "version: 1"), "-", "-json")
	require.Zero(t, status, errs)
	assert.NotContains(t, empty, "null", "an empty list is a list")
	log, err := os.ReadFile(data("shop.log"))
	require.NoError(t, err)
	svg := filepath.Join(t.TempDir(), "x.svg")
	out, errs, status := command(t, string(log), "replay", data("policy.yaml"), "-", "-json", "-svg", svg,
		"-against", data("old.yaml"), "-max-denied-clients", "50%")
	require.Zero(t, status, errs)
	assert.NotRegexp(t, `"[A-Z][A-Za-z]*":`, out, "no name is a name in Go")
	var r report.Report
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	assert.EqualValues(t, 479, r.Requests)
	assert.EqualValues(t, 76, r.Denied)
	assert.Equal(t, report.Share{Total: 42, Denied: 2, Share: 2.0 / 42}, r.Clients)
	assert.Equal(t, report.Then{Denied: 13, Both: 11, OnlyNow: 65}, r.Then)
	assert.EqualValues(t, 25, r.Against.NewlyDenied)
	assert.EqualValues(t, 36, r.Against.NewlyAllowed)
	assert.Equal(t, r.Denied-r.Against.Denied, r.Against.NewlyDenied-r.Against.NewlyAllowed)
	assert.True(t, r.Gate.Passed)
	assert.EqualValues(t, 2, r.Log.Unreadable)
	require.Len(t, r.Top, 2)
	assert.Equal(t, "addr:203.0.113.7", r.Top[0].Client)
	assert.Equal(t, "standard input", r.Top[0].First.File)
	var slots report.Slot
	for _, s := range r.Time.Slots {
		slots.Allowed += s.Allowed
		slots.Denied += s.Denied
		slots.Then += s.Then
	}
	assert.Equal(t, report.Slot{Allowed: 403, Denied: 76, Then: 13}, slots)
	requireXML(t, svg)
}

func requireXML(t *testing.T, path string) {
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	d, elements := xml.NewDecoder(f), map[string]int{}
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		if e, ok := token.(xml.StartElement); ok {
			elements[e.Name.Local]++
		}
	}
	assert.Greater(t, elements["rect"], 4)
	assert.Zero(t, elements["script"])
}

func TestNothingOfALogReachesTheTerminalRaw(t *testing.T) {
	t.Parallel()
	const evil = "\x1b]0;owned\x07\u202e\u009b31m</svg><script>"
	line := `192.0.2.1 - ` + evil + ` [20/Nov/2026:09:01:47 +0000] "GET /\u202e</svg><script> HTTP/1.1" 200 1 "-" "` + evil + `"` + "\n"
	log := writeFile(t, "a\x1b[31m.log", strings.Repeat(line, 20)+evil+"\n")
	policy := writeFile(t, "p\x1b[31m.yaml", `
version: 1
rules:
  - {name: a, limits: 1 per hour, key: user}
  - {name: b, limits: 1 per hour, key: "k\e[31m", limits_for: "l\e[31m", mode: dry-run}
decorators:
  "d\e[31m": {rules: [{name: d, limits: 1 per hour}], routes: [/]}
  "e\e[31m": {rules: [{name: e, limits: 1 per hour}]}
`)
	svg := filepath.Join(t.TempDir(), "x.svg")
	for _, args := range [][]string{
		{"check", policy},
		{"check", log},
		{"explain", policy, "GET /" + evil},
		{"replay", policy, log, "-svg", svg},
		{"replay", policy, log, "-json", "-against", policy},
		{"suggest", log, "-format", evil},
		{"suggest", log},
		{"replay", log, policy},
		{"replay", policy, log + evil},
		{"explain", policy, "GET /", "-user", evil},
	} {
		command(t, "", args...) // fails if anything is printed raw
	}
	requireXML(t, svg)
}

func TestNotesSayWhatAReplayCannotKnow(t *testing.T) {
	t.Parallel()
	policy := writeFile(t, "p.yaml", `
version: 1
rules:
  - {name: key, limits: 1000 per second, key: {header: X-Api-Key}}
  - {name: tenant, limits: 1000 per second, key: tenant}
  - {name: wait, limits: 60 per minute, max_wait: 5s}
  - {name: rows, limits: 1000 per second, response_cost: {header: X-Rows, max: 100}}
logins:
  login: {account: {form: email}, routes: [POST /login]}
shedder: {max_in_flight: 10}
`)
	out, errs, status := command(t, "", "replay", policy, data("shop.log"))
	require.Zero(t, status, errs)
	for _, want := range []string{
		"Rule key found no key in 479 requests", "The policy names a function of the program: key tenant",
		"a replay does not wait",
		"response_cost charges what is reserved", "logs have no accounts", "The shedder of the policy is not replayed",
		"are timed in whole seconds", "are without a duration",
	} {
		assert.Contains(t, out, want)
	}
}

func TestSuggestionsAreValidPoliciesThatPassTheirGate(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"-share", "0"},
		{"-share", "5%"},
		{"-share", "20%", "-routes", "3"},
		{"-headroom", "2", "-check=false"},
		{"-share", "20%", "-patterns", data("policy.yaml")},
	} {
		out, errs, status := command(t, "", append([]string{"suggest", data("shop.log")}, args...)...)
		require.Zero(t, status, errs)
		policy := writeFile(t, "suggested.yaml", out)
		_, errs, status = command(t, "", "check", policy)
		require.Zero(t, status, errs)
		share := "0.1%"
		if args[0] == "-share" {
			share = args[1]
		}
		out, errs, status = command(t, "", "replay", policy, data("shop.log"), "-max-denied-clients", share)
		require.Zero(t, status, "%s%s", out, errs)
	}
}

func TestProgressIsShownOnATerminalOnly(t *testing.T) {
	t.Parallel()
	log, err := os.ReadFile(data("shop.log"))
	require.NoError(t, err)
	path := writeFile(t, "long.log", strings.Repeat(string(log), 4))
	for _, progress := range []bool{false, true} {
		var o, e bytes.Buffer
		status := run(&streams{out: &o, err: &e, progress: progress}, []string{"replay", data("policy.yaml"), path})
		require.Zero(t, status)
		assert.Equal(t, progress, strings.Contains(e.String(), "\r["))
		assert.NotContains(t, o.String(), "\r")
	}
}

func TestOneIsSingular(t *testing.T) {
	t.Parallel()
	const line = `192.0.2.1 - - [20/Nov/2026:09:01:47 +0000] "GET / HTTP/1.1" 200 1` + "\n"
	out, errs, status := command(t, line+"x\n", "suggest", "-", "-routes", "0")
	require.Zero(t, status, errs)
	policy := writeFile(t, "p.yaml", "version: 1\nrules: [{name: a, in_flight: 1}]\n")
	more, errs, status := command(t, "", "explain", policy, "GET /")
	require.Zero(t, status, errs)
	assert.NotRegexp(t, `\b1 (more )?(lines|clients|requests|routes)\b`, out+more)
	for _, want := range []string{
		"from 1 line of 1 client.", "1 more line cannot", "1 route with", "1 request of 1 client.", "at most 1 request of a key",
	} {
		assert.Contains(t, out+more, want)
	}
}
