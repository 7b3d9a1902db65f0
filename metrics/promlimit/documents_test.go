package promlimit

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// gathered returns the line of README.md for each metric, by name.
func gathered(t *testing.T) map[string]string {
	t.Helper()
	c := of(full())
	r := prometheus.NewPedanticRegistry()
	require.NoError(t, r.Register(c))
	families, err := r.Gather()
	require.NoError(t, err)
	labels := map[string][]string{}
	for _, f := range c.families {
		for _, label := range f.labels {
			labels[f.name] = append(labels[f.name], " `"+label+"`")
		}
	}
	lines := map[string]string{}
	for _, f := range families {
		kind := strings.ToLower(f.GetType().String())
		lines[f.GetName()] = fmt.Sprintf("| `%s` | %s |%s | %s |",
			f.GetName(), kind, strings.Join(labels[f.GetName()], ","), f.GetHelp())
	}
	return lines
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(text)
}

func TestReadmeListsTheMetrics(t *testing.T) {
	lines := gathered(t)
	var want []string
	for _, name := range slices.Sorted(maps.Keys(lines)) {
		want = append(want, lines[name])
	}
	assert.Equal(t, want, regexp.MustCompile("(?m)^\\| `ratelimit_.*$").FindAllString(read(t, "README.md"), -1))
}

func TestOperatingNamesMetricsThatExist(t *testing.T) {
	known := gathered(t)
	names := regexp.MustCompile("(?m)^\\| `(ratelimit_[a-z_]+)` \\|").FindAllStringSubmatch(read(t, "../../docs/operating.md"), -1)
	require.Greater(t, len(names), 5)
	for _, name := range names {
		assert.Contains(t, known, name[1])
	}
	for _, name := range metric.FindAllString(read(t, "../../docs/operating.md"), -1) {
		assert.Contains(t, known, name, "outside of the table too")
	}
}

// metric finds names of metrics and of recording rules in an expression.
var metric = regexp.MustCompile(`\b(rule:)?ratelimit_[a-z0-9_:]+`)

func TestAlertsUseMetricsThatExist(t *testing.T) {
	text := read(t, "alerts.yaml")
	known := gathered(t)
	for _, m := range regexp.MustCompile(`record: (\S+)`).FindAllStringSubmatch(text, -1) {
		known[m[1]] = ""
	}
	expressions := regexp.MustCompile(`(?m)^        expr: (.+\n(?:          .+\n)*)`).FindAllStringSubmatch(text, -1)
	require.Len(t, expressions, strings.Count(text, "expr:"))
	for _, e := range expressions {
		names := metric.FindAllString(e[1], -1)
		assert.NotEmpty(t, names, e[1])
		for _, name := range names {
			assert.Contains(t, known, name, e[1])
		}
	}
}

func TestEachAlertHasARunbookATestAndALine(t *testing.T) {
	text := read(t, "alerts.yaml")
	operating := read(t, "../../docs/operating.md")
	tests, readme := read(t, "alerts_test.yaml"), read(t, "README.md")
	alerts := regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(text, -1)
	require.NotEmpty(t, alerts)
	for _, m := range alerts {
		const page = "https://github.com/ratelimit-go/ratelimit/blob/main/docs/operating.md"
		has := func(document, part string) {
			t.Helper()
			assert.True(t, strings.Contains(document, part), "want %q", part)
		}
		has(text, "runbook_url: "+page+"#alert-"+strings.ToLower(m[1])+"\n")
		has(operating, "\n### Alert "+m[1]+"\n") // its anchor
		has(tests, "alertname: "+m[1]+"\n")
		has(readme, "| `"+m[1]+"` |")
	}
	assert.Len(t, regexp.MustCompile(`runbook_url`).FindAllString(text, -1), len(alerts))
}

func TestReadmeCompiles(t *testing.T) {
	dir, err := os.MkdirTemp(".", "_readme") // in this module, for its requirements
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	block := regexp.MustCompile("(?s)```go\n(.*?)```").FindStringSubmatch(read(t, "README.md"))
	require.NotNil(t, block)
	const frame = `package main

import (
	"log"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/metrics/promlimit"
)

func main() {
%s}
`
	file := filepath.Join(dir, "main.go")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, frame, block[1]), 0o600))
	out, err := exec.CommandContext(t.Context(), "go", "vet", file).CombinedOutput()
	require.NoError(t, err, "%s", out)
}
