package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// writePackage makes a module with benchmarks and returns its directory.
func writePackage(t *testing.T, body string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module example.com/m\n\ngo 1.25.0\n"), 0o600))
	text := "package m\n\nimport \"testing\"\n\nvar sink []byte\n\n" + body
	require.NoError(t, os.WriteFile(filepath.Join(dir, "m_test.go"), []byte(text), 0o600))
	return dir
}

const twoBenchmarks = `
func BenchmarkGroup(b *testing.B) {
	b.Run("make/1", func(b *testing.B) {
		for b.Loop() {
			sink = make([]byte, 1<<10)
		}
	})
}

func BenchmarkOnlyHere(b *testing.B) {
	for b.Loop() {
		sink = make([]byte, 1<<10)
	}
}
`

func TestRoundsInTurns(t *testing.T) {
	before, err := build(writePackage(t, twoBenchmarks), filepath.Join(t.TempDir(), "old.test"))
	require.NoError(t, err)
	after, err := build(writePackage(t, twoBenchmarks), filepath.Join(t.TempDir(), "new.test"))
	require.NoError(t, err)

	rows, err := match(before, after, "Group", time.Millisecond)
	require.NoError(t, err)
	require.Len(t, rows, 1)
	assert.Equal(t, "BenchmarkGroup/make/1", rows[0].name)
	assert.Greater(t, rows[0].iterations, 3)

	n, err := interleave(before, after, rows, plan{rounds: 2, deadline: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	assert.Equal(t, 2, n)
	for _, p := range []*pkg{before, after} {
		assert.Len(t, p.used["BenchmarkGroup/make/1"], 2)
		assert.Regexp(t, `^(BenchmarkGroup/make/1\s+\d+\s+[\d.]+ ns/op\s+1\d\d\d B/op\s+1 allocs/op\t[\d.]+ cpu-ns/op\n){2}$`,
			p.results.String())
	}

	n, err = interleave(before, after, rows, plan{rounds: 9, deadline: time.Now()})
	require.NoError(t, err)
	assert.Equal(t, 1, n, "the first round is run, however late it is")
}

func TestOnlyWhatBothHave(t *testing.T) {
	before, err := build(writePackage(t, twoBenchmarks), filepath.Join(t.TempDir(), "old.test"))
	require.NoError(t, err)
	after, err := build(writePackage(t, "func BenchmarkOther(b *testing.B) { sink = nil }\n"), filepath.Join(t.TempDir(), "new.test"))
	require.NoError(t, err)
	rows, err := match(before, after, ".", time.Millisecond)
	require.NoError(t, err)
	assert.Empty(t, rows)
}

func TestFailures(t *testing.T) {
	_, err := build(writePackage(t, "func BenchmarkX(b *testing.B) { undefined() }\n"), filepath.Join(t.TempDir(), "x.test"))
	assert.ErrorContains(t, err, "undefined: undefined")

	p, err := build(writePackage(t, "func BenchmarkX(b *testing.B) { b.Fatal(\"the reason\") }\n"), filepath.Join(t.TempDir(), "x.test"))
	require.NoError(t, err)
	_, err = match(p, p, ".", time.Millisecond)
	assert.ErrorContains(t, err, "the reason")
}

func TestOnly(t *testing.T) {
	assert.Equal(t, `^BenchmarkA$/^b\.c$`, only("BenchmarkA/b.c"))
}

func TestFastest(t *testing.T) {
	assert.Equal(t, 1.5, fastQuarter([]float64{9, 8, 2, 9, 1, 9, 9, 9}))
	assert.Equal(t, 3.0, fastQuarter([]float64{3}))
	assert.Zero(t, fastQuarter(nil))

	var out bytes.Buffer
	row := func(ns float64) *pkg { return &pkg{used: map[string][]float64{"BenchmarkA": {ns}}} }
	fastest(&out, row(100), row(104), []benchmark{{name: "BenchmarkA"}})
	assert.Regexp(t, `(?m)^ +A +100\.0 +104\.0 +1\.040$`, out.String())
}
