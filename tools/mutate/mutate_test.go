package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	code = `package m

// Max is not changed by mutants of its comment.
func Max(a, b int) int {
	n := 0
	if a > b {
		n = a
	} else {
		n = b
	}
	_ = n == 4 && true
	return n
}
`
	tests = `package m

import "testing"

func TestMax(t *testing.T) {
	if Max(1, 2) != 2 || Max(2, 1) != 2 {
		t.Fail()
	}
}
`
)

func newModule(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module example.com/m\n\ngo 1.26.0\n", "m.go": code, "m_test.go": tests} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return dir
}

func TestMutants(t *testing.T) {
	all, err := mutantsOf(newModule(t), ".")
	require.NoError(t, err)
	var got []string
	for _, m := range all {
		got = append(got, m.at+": "+m.what)
	}
	assert.Equal(t, []string{
		"m.go:5:7: 0 -> 1",
		"m.go:6:5: a > b -> !(a > b)",
		"m.go:6:7: > -> >=",
		"m.go:6:7: > -> <=",
		"m.go:7:3: without n = a",
		"m.go:9:3: without n = b",
		"m.go:11:2: without _ = n == 4 && true",
		"m.go:11:13: && -> ||",
		"m.go:11:8: == -> !=",
		"m.go:11:11: 4 -> 5",
		"m.go:11:16: true -> false",
	}, got)
}

// A mutant that does not change the result lives.
func TestRunTellsWhoLives(t *testing.T) {
	o := options{root: newModule(t), timeout: time.Minute, workers: 2}
	found, lived, err := o.run(t.Context(), []string{"."}, 0, 1)
	require.NoError(t, err)
	assert.Equal(t, 4, found, "the condition, twice, and both assignments")
	assert.Equal(t, 7, lived)
}

// Tests that fail anyway would find every mutant.
func TestRunNeedsTestsThatPass(t *testing.T) {
	failing := newModule(t)
	const fails = "package m\n\nimport \"testing\"\n\nfunc TestFails(t *testing.T) { t.Fail() }\n"
	require.NoError(t, os.WriteFile(filepath.Join(failing, "fails_test.go"), []byte(fails), 0o600))
	for _, o := range []options{
		{root: newModule(t), timeout: time.Minute, workers: 1, tests: []string{"./missing"}},
		{root: failing, timeout: time.Minute, workers: 1},
	} {
		found, lived, err := o.run(t.Context(), []string{"."}, 0, 1)
		require.ErrorContains(t, err, "fails without a change")
		assert.Zero(t, found+lived)
	}
}
