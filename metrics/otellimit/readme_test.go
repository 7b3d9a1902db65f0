package otellimit

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

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// order is the order of attributes in README.md.
var order = []string{"rule", "outcome", "reason", "limit", "mode", "decider", "state"}

// row returns the line of README.md for m.
func row(t *testing.T, m metricdata.Metrics) string {
	t.Helper()
	kind, used := "UpDownCounter", map[string]bool{}
	use := func(attrs attribute.Set) {
		for _, a := range attrs.ToSlice() {
			used[string(a.Key)] = true
		}
	}
	switch data := m.Data.(type) {
	case metricdata.Sum[int64]:
		if data.IsMonotonic {
			kind = "Counter"
		}
		for _, p := range data.DataPoints {
			use(p.Attributes)
		}
	case metricdata.Sum[float64]:
		require.True(t, data.IsMonotonic)
		kind = "Counter"
	}
	var attrs []string
	for _, name := range order {
		if used[name] {
			attrs = append(attrs, " `"+name+"`")
			delete(used, name)
		}
	}
	require.Empty(t, used)
	unit := ""
	if m.Unit != "" {
		unit = " `" + m.Unit + "`"
	}
	return fmt.Sprintf("| `%s` | %s |%s |%s | %s |", m.Name, kind, unit, strings.Join(attrs, ","), m.Description)
}

func TestReadmeListsTheMetrics(t *testing.T) {
	meter, collect := newMeter(t)
	s := full()
	_, err := register(meter, reading(&s), nil)
	require.NoError(t, err)
	rows := map[string]string{}
	for _, m := range collect() {
		rows[m.Name] = row(t, m)
	}
	var want []string
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		want = append(want, rows[name])
	}
	table := regexp.MustCompile("(?m)^\\| `ratelimit[^|]*\\| (Counter|UpDownCounter) .*$")
	assert.Equal(t, want, table.FindAllString(readme(t), -1))
}

func readme(t *testing.T) string { return read(t, "README.md") }

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(text)
}

// names returns the names of all metrics, and the names that a Prometheus exporter gives them.
func names(t *testing.T) map[string]string {
	t.Helper()
	meter, collect := newMeter(t)
	s := full()
	_, err := register(meter, reading(&s), nil)
	require.NoError(t, err)
	// Package storetime has a test that this is its name.
	names := map[string]string{"ratelimit.store.call.duration": "ratelimit_store_call_duration_seconds"}
	for _, m := range collect() {
		name := strings.ReplaceAll(m.Name, ".", "_")
		if m.Unit == "s" {
			name += "_seconds"
		}
		if strings.Contains(row(t, m), "| Counter |") {
			name += "_total"
		}
		names[m.Name] = name
	}
	return names
}

// Prometheus exporters write the names of promlimit, and two that promlimit has in its histogram.
func TestNamesInPrometheusAreThoseOfPromlimit(t *testing.T) {
	var ours, theirs []string
	for _, name := range names(t) {
		if name != "ratelimit_store_calls_total" && name != "ratelimit_store_call_time_seconds_total" {
			ours = append(ours, name)
		}
	}
	table := regexp.MustCompile("(?m)^\\| `(ratelimit_[a-z_]+)` \\|")
	for _, m := range table.FindAllStringSubmatch(read(t, "../promlimit/README.md"), -1) {
		theirs = append(theirs, m[1])
	}
	assert.ElementsMatch(t, theirs, ours)
}

func TestOperatingNamesMetricsThatExist(t *testing.T) {
	known := names(t)
	table := regexp.MustCompile("(?m)^\\| `(ratelimit_[a-z_]+)` \\| `(ratelimit\\.[a-z_.]+)` \\|")
	rows := table.FindAllStringSubmatch(read(t, "../../docs/operating.md"), -1)
	require.Greater(t, len(rows), 5)
	for _, row := range rows {
		assert.Equal(t, row[1], known[row[2]], row[2])
	}
}

func TestReadmeCompiles(t *testing.T) {
	dir, err := os.MkdirTemp(".", "_readme") // in this module, for its requirements
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	block := regexp.MustCompile("(?s)```go\n(.*?)```").FindStringSubmatch(readme(t))
	require.NotNil(t, block)
	const frame = `package main

import (
	"log"

	"go.opentelemetry.io/otel"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/metrics/otellimit"
)

func main() {
%s}
`
	file := filepath.Join(dir, "main.go")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, frame, block[1]), 0o600))
	out, err := exec.CommandContext(t.Context(), "go", "vet", file).CombinedOutput()
	require.NoError(t, err, "%s", out)
}
