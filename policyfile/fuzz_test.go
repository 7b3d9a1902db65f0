package policyfile_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/policyfile"
)

// FuzzParse reads any data. Either all of it is valid, or each mistake has a place in it.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/good/*", "testdata/bad/*.[yj]*"} {
		for _, path := range files(&testing.T{}, pattern, 1) {
			f.Add(contentOf(&testing.T{}, path))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := policyfile.Parse(data, program())
		if err == nil {
			limiter, err := ratelimit.New(file.Config())
			require.NoError(t, err)
			for _, d := range file.Decorators() {
				limiter.With(d.Rules...)
			}
			return
		}
		assert.Nil(t, file)
		var mistakes policyfile.Mistakes
		require.ErrorAs(t, err, &mistakes)
		require.NotEmpty(t, mistakes)
		lines := bytes.Count(data, []byte("\n")) + bytes.Count(data, []byte("\r")) +
			bytes.Count(data, []byte("\u0085")) + bytes.Count(data, []byte("\u2028")) + bytes.Count(data, []byte("\u2029")) + 2
		for _, m := range mistakes {
			assert.True(t, m.Line >= 1 && m.Line <= lines && m.Column >= 1 && m.Column <= len(data)+2, "%v", m)
			assert.NotEmpty(t, m.Reason)
			assert.NotContains(t, m.Error(), "\n")
		}
	})
}

// rules returns a file with n rules and n routes.
func rules(n int, rule, routes, route string) []byte {
	data := []byte("version: 1\nrules:\n")
	for i := range n {
		data = fmt.Appendf(data, rule, i)
	}
	data = append(data, routes...)
	for i := range n {
		data = fmt.Appendf(data, route, i)
	}
	return data
}

// Many patterns in one ServeMux take time that grows with their square.
func TestRoutesAreBoundedWhereverTheyStand(t *testing.T) {
	many := strings.Repeat("\"GET /{a}/{b}/c/{rest...}\", ", 1001)
	for field, text := range map[string]string{
		`decorators["d"].routes`:     "decorators: {d: {rules: [{name: a, limits: 1/s}], routes: [%s]}}",
		`logins["l"].routes`:         "logins: {l: {account: email, routes: [%s]}}",
		"shedder.exempt_routes":      "shedder: {max_in_flight: 5, exempt_routes: [%s]}",
		"shedder.priority.critical":  "shedder: {max_in_flight: 5, priority: {critical: [%s]}}",
		"shedder.priority.sheddable": "shedder: {max_in_flight: 5, priority: {sheddable: [%s]}}",
		"exempt_routes":              "exempt_routes: [%s]",
	} {
		_, err := policyfile.Parse(fmt.Appendf(nil, "version: 1\n"+text+"\n", many), program())
		var mistakes policyfile.Mistakes
		require.ErrorAs(t, err, &mistakes, field)
		require.Len(t, mistakes, 1, field)
		assert.Equal(t, field, mistakes[0].Field)
		assert.Equal(t, "1001: want at most 1000 rules or routes", mistakes[0].Reason)
	}
}

// large is the size of the files of TestLargeFiles. With 1 MiB, the most that Parse reads, each
// takes half a second without the race detector.
const large = 1 << 17

// TestLargeFiles reads files with as many mistakes or fields as fit.
func TestLargeFiles(t *testing.T) {
	between := func(head, text, tail string) []byte {
		n := (large - len(head) - len(tail)) / len(text)
		return []byte(head + strings.Repeat(text, n) + tail)
	}
	repeat := func(head, text string) []byte { return between(head, text, "") }
	for name, data := range map[string][]byte{
		"empty rules":     repeat("version: 1\nrules:\n", "- {}\n"),
		"unknown fields":  repeat("version: 1\nrules:\n", "- {name: a, limits: 1/s, x: y}\n"),
		"duplicates":      repeat("version: 1\n", "a:\n"),
		"addresses":       repeat("version: 1\ndeny:\n  addresses:\n", "  - 192.0.2.300\n"),
		"exempt routes":   repeat("version: 1\nexempt_routes:\n", " - a\n"),
		"statuses":        repeat("version: 1\nrules:\n - name: a\n   count_only:\n", "     - 1\n"),
		"open brackets":   repeat("", "["),
		"open mappings":   repeat("", "{a: "),
		"question marks":  repeat("", "? "),
		"dashes":          repeat("", "- "),
		"quotes":          repeat("version: \"", "\\\""),
		"comments":        repeat("version: 1\n", "#\n"),
		"long limits":     between("version: 1\nrules: [{name: a, limits: '", "1/s;", "'}]"),
		"JSON in depth":   []byte(`{"a":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "}"),
		"good statuses":   between("version: 1\nrules: [{name: a, limits: 1/s, count_only: [200", ", 200", "]}]"),
		"good addresses":  between("version: 1\ndeny: {addresses: [192.0.2.1", ", 192.0.2.1", "]}"),
		"aliases":         repeat("a: &a [x]\n", "b: *a\n"),
		"directives":      repeat("", "%TAG ! a\n"),
		"key of all keys": between("version: 1\nrules: [{name: a, limits: 1/s, key: {all_of: [", "user, ", "user]}}]"),
		"all rules":       rules(500, "  - {name: a%d, limits: 1/s}\n", "routes:\n", "  /%d: [{name: b%[1]d, limits: 1/s}]\n"),
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, err := policyfile.Parse(data, program())
			var mistakes policyfile.Mistakes
			if err != nil {
				require.ErrorAs(t, err, &mistakes)
			}
			assert.LessOrEqual(t, len(mistakes), 101)
			assert.Less(t, len(mistakes)+len(mistakes.Error()), 100_000)
			assert.Less(t, time.Since(start), 20*time.Second)
			t.Log(time.Since(start), len(mistakes), mistakes[:min(1, len(mistakes))])
		})
	}
}
